"""What the lost rows of `flushes` were, as far as what is left says it: a pure function of the rest of the store.

Frames are claimed without gaps, so a claim begins where the one before it ends. Where it ends is known if the next
claim is; otherwise anywhere between the last event of its flush and the first one of the next. Any choice there is as
good as another: a flush that is done is never redone, and its number and its meter set alone are used afterwards. Only
the end of the very last claim matters, for the log is read from there; the recorded position of the log says it.
"""

from collections.abc import Mapping
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from schemas.flush import Claim

Numbers = npt.NDArray[np.int64]


class ClaimGap(msgspec.Struct, frozen=True, kw_only=True):
    """A run of flush numbers of a partition whose claims are lost, and what is left of them."""

    partition: int
    first: int
    last: int
    before: Claim | None
    """The claim of the number before; None if the gap begins with the first flush."""
    after: Claim | None
    """The claim of the number after; None if no later claim is left."""
    offsets: Mapping[int, tuple[int, int]]
    """The first and the last offset of the events of a flush; none of a flush without new events."""
    counted: frozenset[int]
    """The flushes whose rows are in `usage`."""
    position: int
    """The last offset that is recorded as counted; -1 if none is."""
    newest_version: int
    """Of all meter sets."""


class DerivedClaims(NamedTuple):
    """The claims of a gap."""

    claims: list[Claim]
    is_certain: bool
    """False if the meter set of a flush is a choice: then all usage must be counted again, so that flushes and
    backfills agree on it."""


def derived_claims(gap: ClaimGap) -> DerivedClaims:
    """A claim for each number of the gap."""
    before, claims = gap.before, []
    for number in range(gap.first, gap.last + 1):
        before = _claim(gap, number, before)
        claims.append(before)
    highest = gap.after.version if gap.after else gap.newest_version
    return DerivedClaims(claims, gap.before is not None and gap.before.version == highest)


def _claim(gap: ClaimGap, number: int, before: Claim | None) -> Claim:
    first = before.last + 1 if before else 0
    last = first - 1
    if number in gap.offsets:
        last = max(gap.offsets[number][1], last)
    elif number in gap.counted:
        last = first
    if number == gap.last:
        last = gap.after.first - 1 if gap.after else max(last, gap.position)
    version = before.version if before else (gap.after.version if gap.after else gap.newest_version)
    if number == gap.last and gap.after is None:
        # The meters are active at once, not only with the next flush.
        version = gap.newest_version
    return Claim(partition=gap.partition, number=number, first=first, last=last, version=version)


def runs_missing(present: Numbers, top: int) -> list[tuple[int, int]]:
    """The runs of numbers from 0 to `top` that are not among those present."""
    missing = np.setdiff1d(np.arange(top + 1, dtype=np.int64), present)
    if not len(missing):
        return []
    starts = np.flatnonzero(np.diff(missing, prepend=missing[0] - 2) != 1)
    ends = np.append(starts[1:], len(missing)) - 1
    return list(zip(missing[starts].tolist(), missing[ends].tolist(), strict=True))
