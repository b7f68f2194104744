"""Many tenths through the whole server add up to the last decimal."""

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from tests.e2e.posting import post_all
from tests.server_process import ServerProcess

EVENTS, BATCH = 1_000_000, 10_000


def tenths(batch: int, now: str) -> bytes:
    events = (
        f'{{"event_name":"api.request","idempotency_key":"{batch}-{place}","customer_id":"acme",'
        f'"timestamp":"{now}","properties":{{"tokens":0.1}}}}'
        for place in range(BATCH)
    )
    return f'{{"events":[{",".join(events)}]}}'.encode()


@pytest.mark.long
def test_tenths_add_up_exactly(tmp_path: Path) -> None:
    """No float holds a tenth: a million tenths are exactly a hundred thousand."""
    now = datetime.now(UTC).isoformat()
    with ServerProcess(tmp_path / "data") as server:
        server.make_meter("tokens", "$.tokens")
        server.make_meter("requests")
        responses = post_all(server.url, [tenths(batch, now) for batch in range(EVENTS // BATCH)], connections=2)
        assert sum(answer["accepted"] for answer in responses) == EVENTS
        server.wait_until_counted()
        assert server.usage("tokens") == {"acme": Decimal(EVENTS) / 10}
        assert server.usage("requests") == {"acme": Decimal(EVENTS)}
