"""What a usage store lacks, and what of it can be made again: the records, and the text for people."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import NamedTuple

import msgspec
import numpy as np

from schemas.flush import Claim
from stream_processors.core.flush_gaps import Numbers


class BrokenPart(NamedTuple):
    """A part that the engine could not read and has put aside."""

    table: str
    name: str
    month: int
    """0 if the table has no months."""


class Replay(NamedTuple):
    """A key that a replay has left, and the reject that was replayed."""

    partition: int
    number: int
    arrival: int
    reject: Mapping[str, object]
    """A row of `rejects`, with the columns of EVENTS, `origin` and `meter`."""


class PartitionFlushes(NamedTuple):
    """The flushes of a partition with what was derived of the lost ones."""

    numbers: Numbers
    versions: Numbers
    counted: Numbers
    """The flushes that took frames and are done: each has a receipt."""
    months: Numbers
    """The month of each of them."""
    last_done: int

    def version_of(self, numbers: Numbers) -> Numbers:
        return self.versions[np.searchsorted(self.numbers, numbers)]

    def activation(self, version: int) -> int | None:
        place = int(np.searchsorted(self.versions, version))
        return int(self.numbers[place]) if place < len(self.numbers) else None


class StoreFindings(msgspec.Struct, frozen=True, kw_only=True):
    """What a store lacks."""

    broken: Sequence[BrokenPart]
    claims: Sequence[Claim]
    """Lost claims, as they are derived."""
    done: Sequence[tuple[int, int]]
    """Partition and number of flushes of which it is lost that they are done."""
    is_certain: bool
    usage: Sequence[int]
    """Months whose usage is to be counted again."""
    seen: Sequence[int]
    rejects: Sequence[int]
    mended: Sequence[BrokenPart]
    """Parts that were put aside, and are not needed after the repair."""
    lost: Sequence[str]
    """What cannot be made again, each as a sentence."""
    flushes: Mapping[int, PartitionFlushes]
    replays: Sequence[Replay]

    @property
    def is_whole(self) -> bool:
        return not (self.has_work or self.lost)

    @property
    def has_work(self) -> bool:
        """Whether there is anything to repair."""
        return bool(self.mended or self.claims or self.done or self.usage or self.seen or self.rejects)

    def lines(self) -> Sequence[str]:
        """The findings for people."""
        if self.is_whole:
            return ["the usage store is complete"]
        lines = [f"part {part.name} of the table {part.table} cannot be read and was put aside" for part in self.broken]
        for partition, claims in groupby(self.claims, key=lambda claim: claim.partition):
            numbers = [claim.number for claim in claims]
            lines.append(f"flushes: {len(numbers)} claims of partition {partition} are lost: {ranges(numbers)}")
        for partition, marks in groupby(self.done, key=lambda mark: mark[0]):
            numbers = [number for _, number in marks]
            lines.append(f"flushes: {len(numbers)} flushes of partition {partition} lack the mark that they are done")
        if self.claims and not self.is_certain:
            lines.append(
                "flushes: it is not known from which of them on a new meter counted: all usage is counted again"
            )
        for table, months in (("usage", self.usage), ("seen", self.seen), ("rejects", self.rejects)):
            if months:
                lines.append(f"{table}: to be made again from events, of the arrival months {ranges(months)}")
        return [*lines, *(f"CANNOT BE REPAIRED: {sentence}" for sentence in self.lost)]


REPAIRABLE = ("flushes", "usage", "seen", "rejects")


def ranges(numbers: Sequence[int]) -> str:
    """Such as `3 to 5, 9`."""
    runs = []
    for _, run in groupby(enumerate(numbers), lambda numbered: numbered[1] - numbered[0]):
        each = [number for _, number in run]
        runs.append(str(each[0]) if len(each) == 1 else f"{each[0]} to {each[-1]}")
    return ", ".join(runs) or "none"
