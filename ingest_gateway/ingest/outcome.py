"""What became of one request's events: the numbers and the bad news its reply tells."""

import msgspec

from ingest_gateway.ingest.batch import PostedBatch
from schemas.event import RejectCode, Rejection, Verdict
from schemas.hashing import KEY_BYTES
from schemas.ids import base36

_ID_DIGITS = 24


class BatchOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """Every posted event is in exactly one of the four: accepted, duplicates, rejections, held_back."""

    accepted: int
    duplicates: int
    rejections: tuple[Rejection, ...]
    """Invalid events and conflicts, by index."""
    held_back: int = 0
    """Good events of a strict request that had bad ones: nothing of it is stored."""

    @property
    def is_refused(self) -> bool:
        """No event was accepted or known before: the reply is a refusal that lists why."""
        return not (self.accepted or self.duplicates)

    @property
    def verdict(self) -> Verdict:
        """Of a request with one event: what became of it."""
        if self.accepted:
            return Verdict.ACCEPTED
        if self.duplicates:
            return Verdict.DUPLICATE
        return Verdict.CONFLICT if self.rejections[0].code is RejectCode.CONFLICT else Verdict.INVALID


def usage_id(posted: PostedBatch) -> str:
    """The id of a single event's usage: made from its key alone, so that a retry is told the same one."""
    number = int.from_bytes(posted.good.key_hashes[:KEY_BYTES], "big")
    return "c" + base36(number % 36**_ID_DIGITS, _ID_DIGITS)
