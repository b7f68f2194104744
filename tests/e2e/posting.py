"""Posts many bodies over several connections, as many producers would."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx

from tests.server_process import KEY

Answer = dict[str, Any]


def post_all(url: str, bodies: Sequence[bytes], connections: int) -> list[Answer]:
    """Every answer, in the order of the bodies. Each must be a 200."""

    headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
    limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
    with httpx.Client(base_url=url, headers=headers, timeout=60, limits=limits) as client:

        def post(body: bytes) -> Answer:
            answer = client.post("/v1/events/ingest", content=body)
            assert answer.status_code == 200, answer.text
            response: Answer = answer.json()
            return response

        with ThreadPoolExecutor(connections) as senders:
            return list(senders.map(post, bodies))
