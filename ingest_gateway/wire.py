"""The forms a body may have: which one it is, and where each event in it begins and ends."""

from ingest_gateway.posted import Posted
from schemas.ids import AccountId


def parse_body(
    body: bytes, content_type: str, *, account: AccountId, request_id: str, strict: bool, backfill: bool
) -> Posted:
    """The events of a body, each checked on its own. Raises Invalid or TooLarge where the body as a whole is bad."""
    raise NotImplementedError
