"""Which events are new: in order of arrival the first event of a key wins, for a window of time."""

from collections.abc import Callable

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from schemas.flush import SeenRows
from schemas.hashing import KeyHashes

Mask = npt.NDArray[np.bool_]


class Question(msgspec.Struct, frozen=True):
    """What has to be looked up before a flush can be judged: distinct key hashes."""

    seen: list[bytes]
    """Those that the filter may know."""
    events: list[bytes]
    """Those of events under the backfill scope, whose keys are known without limit of age."""


class Known(msgspec.Struct, frozen=True):
    """The answers from flushes with a lower number."""

    seen: SeenRows
    events: SeenRows


class Judgement(msgspec.Struct, frozen=True):
    """What each event is; exactly one of the three holds for each."""

    first: Mask
    duplicate: Mask
    conflict: Mask


def suspects(events: pa.Table, may_contain: Callable[[KeyHashes], Mask]) -> Question:
    """The keys to look up, each once."""
    raise NotImplementedError


def judge(events: pa.Table, known: Known, window: int) -> Judgement:
    """First-seen, duplicate (same body) or conflict (another body) for every event."""
    raise NotImplementedError
