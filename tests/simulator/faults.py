"""Faults a run may draw: how a port call can end, and which disasters may happen how often."""

from enum import StrEnum

import msgspec


class CallOutcome(StrEnum):
    """The scheduler decides one of these for each call."""

    OK = "ok"
    FAILS = "fails"
    """No effect, and the caller is told so."""
    REPLY_LOST = "reply lost"
    """It took effect, but the caller is told that it failed."""
    TOKEN_ONLY = "token only"
    """The engine is killed between writing the token and renaming the part: the token stays, the rows do not."""
    STALE = "stale"
    """An answer that was true some time ago."""
    LATE = "late"
    """The caller's connection breaks; the store has the statement and will run it at some time."""


READ = (CallOutcome.OK, CallOutcome.FAILS)
WRITE = (CallOutcome.OK, CallOutcome.FAILS, CallOutcome.REPLY_LOST)
SURE = (CallOutcome.OK,)


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """The faults of a search. Without any, all that varies is who is when at work."""

    faults: int = 0
    """How many in all: every failed call, crash, power cut and forgetting counts."""
    outcomes: frozenset[CallOutcome] = frozenset()
    """Beside OK, which ends of a call."""
    crash: bool = False
    """A process dies: everything its workers remember is lost, its locks vanish, and it starts anew."""
    power_cut: bool = False
    """The whole machine dies: what is not fsynced is lost as well."""
    store_dies: bool = False
    """The store is killed and starts again: what it was working on fails, what it has answered stays."""
    stalls: bool = False
    """The store writes the token of an insert long before its rows."""
    forget_tokens: bool = False
    """Deduplication tokens leave their window."""
    expiry: bool = False
    """Seen keys that nobody can ask about any more are dropped."""
    trickle: bool = False
    """Frames arrive while the run goes on; else all are there from the start."""
    pauses: bool = False
    """Workers stop for long and resume as zombies."""
    switches: int | None = None
    """How often a worker that could go on is made to wait for another; None: as often as possible."""
    backfill: bool = False
    """Meters made later count the past, while traffic flows."""
    reader: bool = False
    """Somebody reads usage at a watermark all the while."""
