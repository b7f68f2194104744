"""What the store has taken in, in order, as its own account for the checks."""

import msgspec

from schemas.flush import Claim
from tests.simulator.contents import Block


class ClaimAdded(msgspec.Struct, frozen=True):
    """A row of `flushes`."""

    claim: Claim


class DoneAdded(msgspec.Struct, frozen=True):
    """The other kind of row of `flushes`."""

    number: int


class BlockAdded(msgspec.Struct, frozen=True):
    """An insert into any other table."""

    block: Block


class BlocksLost(msgspec.Struct, frozen=True):
    """A power cut took what was not on disk."""

    blocks: tuple[Block, ...]


class SeenDropped(msgspec.Struct, frozen=True):
    """Seen keys expired: when their frames had arrived."""

    arrivals: tuple[int, ...]


Entry = ClaimAdded | DoneAdded | BlockAdded | BlocksLost | SeenDropped
