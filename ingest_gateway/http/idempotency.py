"""From a request to the act it stands for, and from what was done to its answer."""

from hashlib import sha256
from typing import Any

import msgspec

from ingest_gateway.http.envelope import Reply
from ingest_gateway.http.errors import Headers
from ingest_gateway.http.request import Call
from schemas.command import Act, Done, Once
from schemas.errors import Invalid

HEADER = b"idempotency-key"
LONGEST = 255
_REPLAYED = (b"idempotent-replayed", b"true")


def act_of(call: Call, document: Any = None) -> Act:
    """`document` is the body as it was read: another one under the same Idempotency-Key is a mistake."""
    key = call.header.get(HEADER)
    once = None if key is None else Once(key=_checked(key), fingerprint=_fingerprint(call, document))
    return Act(account=call.account, actor=call.key.id, request_id=call.request_id, once=once)


def answer(call: Call, done: Done[Any], *, status: int = 200, location: str | None = None, **resources: Any) -> Reply:
    """What a change is answered with; a repeated one says that it is."""
    headers: Headers = []
    if location is not None:
        headers.append((b"location", location.encode()))
    return call.success(http_status=status, headers=headers + replayed(done), **resources)


def replayed(done: Done[Any]) -> Headers:
    """Says that it is a repeated answer, where it is."""
    return [_REPLAYED] if done.is_replay else []


def _checked(key: bytes) -> str:
    text = key.decode("latin-1")
    if not 1 <= len(text) <= LONGEST or not (text.isascii() and text.isprintable()):
        raise Invalid(
            f"Idempotency-Key: expected 1 to {LONGEST} printable ASCII characters, such as a UUID",
            field="Idempotency-Key",
        )
    return text


def _fingerprint(call: Call, document: Any) -> str:
    asked = (call.method, call.url_path, document)
    return sha256(msgspec.json.encode(asked, order="deterministic")).hexdigest()
