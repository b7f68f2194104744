"""Judges every event of a group, in vectorised steps whose order matters."""

from collections.abc import Sequence
from enum import IntEnum

import msgspec
import numpy as np
import numpy.typing as npt

from ingest_gateway.ingest.event_group import EventGroup, Numbers
from schemas.arrays import Mask
from schemas.hashing import BodyHashes, first_occurrences
from schemas.window import MAX_EVENT_AGE, MAX_EVENT_AHEAD


class Mark(IntEnum):
    """The judgement on one row of a group."""

    FRESH = 0
    DUPLICATE = 1
    CONFLICT = 2
    OLD = 3
    AHEAD = 4
    HELD_BACK = 5


Marks = npt.NDArray[np.uint8]


class AgeLimits(msgspec.Struct, frozen=True, kw_only=True):
    """How far an event's timestamp may be from its arrival, in microseconds."""

    oldest: int = MAX_EVENT_AGE
    furthest_ahead: int = MAX_EVENT_AHEAD


class FirstOccurrences(msgspec.Struct, frozen=True):
    """The rows within the age limits, and for each the first row with the same key: the row that counts."""

    rows: Numbers
    first: Numbers

    @property
    def distinct(self) -> Numbers:
        """The rows that are the first of their key."""
        distinct: Numbers = self.rows[self.rows == self.first]
        return distinct


def older_than_limit(group: EventGroup, age_limits: AgeLimits) -> Mask:
    """The rows older than the limit. They are refused, or flagged if the key has the backfill scope."""
    return group.timestamps < group.arrival - age_limits.oldest


def mark_ages(group: EventGroup, age_limits: AgeLimits) -> Marks:
    """Marks the rows that are too old or too far ahead; all others are fresh."""
    marks = np.full(len(group), Mark.FRESH, np.uint8)
    if any(not posted.backfill for posted in group.requests):
        may = group.per_row([posted.backfill for posted in group.requests]) != 0
        marks[older_than_limit(group, age_limits) & ~may] = Mark.OLD
    marks[group.timestamps > group.arrival + age_limits.furthest_ahead] = Mark.AHEAD
    return marks


def first_rows(group: EventGroup, marks: Marks) -> FirstOccurrences:
    """The first row of each key among the fresh rows."""
    rows = np.flatnonzero(marks == Mark.FRESH)
    return FirstOccurrences(rows, rows[first_occurrences(group.keys[rows])])


def mark_repeats(
    group: EventGroup, marks: Marks, firsts: FirstOccurrences, known: Mask, known_bodies: BodyHashes
) -> None:
    """Marks duplicates and conflicts, compared with the known body of the key, or else with its first row.

    `known` and `known_bodies` say for every row of the group whether its key is known to be durable, and with which
    body.
    """
    first, rows = firsts.first, firsts.rows
    was_known = known[first]
    repeat = was_known | (first != rows)
    body = np.where(was_known, known_bodies[first], group.bodies[first])
    same = body == group.bodies[rows]
    marks[rows[repeat & same]] = Mark.DUPLICATE
    marks[rows[repeat & ~same]] = Mark.CONFLICT


def hold_back_strict(group: EventGroup, marks: Marks) -> None:
    """Holds back all valid rows of a strict request that has a rejected one.

    A strict request is always the last of its group, so no row of another request is a repeat of a held-back one.
    """
    last = group.requests[-1]
    own = marks[int(group.starts[-2]) :]
    if last.strict and is_rejected(own).any():
        own[~is_rejected(own)] = Mark.HELD_BACK


def is_rejected(marks: Marks) -> Mask:
    """The rows that the reply lists as rejections."""
    rejected: Mask = (marks == Mark.CONFLICT) | (marks == Mark.OLD) | (marks == Mark.AHEAD)
    return rejected


def counts(group: EventGroup, marks: Marks) -> Sequence[Sequence[int]]:
    """The number of rows with each mark, for each request."""
    requests = np.repeat(np.arange(len(group.requests)), np.diff(group.starts))
    table = np.bincount(requests * len(Mark) + marks, minlength=len(group.requests) * len(Mark))
    listed: list[list[int]] = table.reshape(-1, len(Mark)).tolist()
    return listed
