"""How a port call can go, and what else can happen to whoever makes it."""

from enum import StrEnum


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
