"""From a request to its command, and from an applied command to its response."""

from hashlib import sha256
from typing import Any

import msgspec

from ingest_gateway.http.envelope import Response
from ingest_gateway.http.errors import Headers
from ingest_gateway.http.request import Request
from schemas.command import Applied, Command, IdempotencyKey
from schemas.errors import Invalid

IDEMPOTENCY_HEADER = b"idempotency-key"
LONGEST_KEY = 255
_REPLAYED = (b"idempotent-replayed", b"true")


def command_of(request: Request, document: Any = None) -> Command:
    """`document` is the parsed body; the same Idempotency-Key with another body is a Conflict. Raises Invalid."""
    key = request.headers.get(IDEMPOTENCY_HEADER)
    idempotency_key = (
        None if key is None else IdempotencyKey(key=_checked(key), fingerprint=_fingerprint(request, document))
    )
    return Command(
        account=request.account, actor=request.key.id, request_id=request.request_id, idempotency_key=idempotency_key
    )


def applied_response(
    request: Request, applied: Applied[Any], *, http_status: int = 200, location: str | None = None, **resources: Any
) -> Response:
    """The response to a change; the header `Idempotent-Replayed` marks the response to a repeated command."""
    headers: Headers = []
    if location is not None:
        headers.append((b"location", location.encode()))
    if applied.is_replay:
        headers.append(_REPLAYED)
    return request.success(http_status=http_status, headers=headers, **resources)


def _checked(key: bytes) -> str:
    text = key.decode("latin-1")
    if not 1 <= len(text) <= LONGEST_KEY or not (text.isascii() and text.isprintable()):
        raise Invalid(
            f"Idempotency-Key: expected 1 to {LONGEST_KEY} printable ASCII characters, such as a UUID",
            field="Idempotency-Key",
        )
    return text


def _fingerprint(request: Request, document: Any) -> str:
    fingerprinted = (request.method, request.path, document)
    return sha256(msgspec.json.encode(fingerprinted, order="deterministic")).hexdigest()
