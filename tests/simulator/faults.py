"""Faults a run may draw: how a port call can end, and which disasters may happen how often."""

from enum import StrEnum

import msgspec


class CallOutcome(StrEnum):
    """The scheduler decides one of these for each call."""

    OK = "ok"
    FAILS = "fails"
    """No effect, and the caller gets an error."""
    REPLY_LOST = "reply lost"
    """It took effect, but the caller gets an error."""
    TOKEN_ONLY = "token only"
    """The engine is killed between writing the token and renaming the part: the token stays, the rows do not."""
    STALE = "stale"
    """A reply that was true some time ago."""
    LATE = "late"
    """The caller's connection breaks; the store has the statement and will run it at some time."""


READ = (CallOutcome.OK, CallOutcome.FAILS)
WRITE = (CallOutcome.OK, CallOutcome.FAILS, CallOutcome.REPLY_LOST)
SURE = (CallOutcome.OK,)


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """The faults of a search. Without any, only the interleaving of the actors varies."""

    faults: int = 0
    """The most faults of a run: every failed call, crash, power cut and loss of tokens counts."""
    outcomes: frozenset[CallOutcome] = frozenset()
    """The possible outcomes of a call in addition to OK."""
    crash: bool = False
    """A process crashes: the state of its workers is lost, its locks are released, and it starts again."""
    power_cut: bool = False
    """The whole machine crashes: data that is not fsynced is lost as well."""
    store_dies: bool = False
    """The store is killed and restarts: running statements fail, and finished ones stay."""
    stalls: bool = False
    """The store writes the token of an insert long before its rows."""
    forget_tokens: bool = False
    """Deduplication tokens leave their window."""
    expiry: bool = False
    """Seen keys that no later frame can meet are dropped."""
    trickle: bool = False
    """Frames arrive during the run; otherwise all exist at the start."""
    pauses: bool = False
    """Workers stop for long and resume as zombies."""
    switches: int | None = None
    """How often a worker that could continue has to wait for another; None for no limit."""
    backfill: bool = False
    """New meters are backfilled during traffic."""
    reader: bool = False
    """A reader reads usage at a watermark during the run."""
