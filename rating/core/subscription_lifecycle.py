"""What a subscription can become: the one table of it."""

from enum import StrEnum
from typing import NamedTuple

from schemas.errors import Conflict
from schemas.subscription import Status


class Verb(StrEnum):
    """What can happen to a subscription; the word completes "it cannot be …"."""

    TRIED = "begun with a trial"
    ACTIVATED = "activated"
    """It begins without one."""
    RENEWED = "renewed"
    """A period, or the trial, is over, and another one begins."""
    SCHEDULED = "canceled at the end of its period"
    KEPT = "kept"
    """It was to end, and is not any more."""
    ENDED = "ended"
    """The end it was scheduled for has come."""
    CANCELED = "canceled"
    """Now, by request."""


class Transition(NamedTuple):
    before: Status
    verb: Verb
    after: Status


TRANSITIONS = (
    Transition(Status.PENDING, Verb.TRIED, Status.TRIALING),
    Transition(Status.PENDING, Verb.ACTIVATED, Status.ACTIVE),
    Transition(Status.PENDING, Verb.CANCELED, Status.CANCELED),
    Transition(Status.TRIALING, Verb.RENEWED, Status.ACTIVE),
    Transition(Status.TRIALING, Verb.SCHEDULED, Status.TRIALING),
    Transition(Status.TRIALING, Verb.KEPT, Status.TRIALING),
    Transition(Status.TRIALING, Verb.ENDED, Status.CANCELED),
    Transition(Status.TRIALING, Verb.CANCELED, Status.CANCELED),
    Transition(Status.ACTIVE, Verb.RENEWED, Status.ACTIVE),
    Transition(Status.ACTIVE, Verb.SCHEDULED, Status.ACTIVE),
    Transition(Status.ACTIVE, Verb.KEPT, Status.ACTIVE),
    Transition(Status.ACTIVE, Verb.ENDED, Status.CANCELED),
    Transition(Status.ACTIVE, Verb.CANCELED, Status.CANCELED),
)

_AFTER = {(row.before, row.verb): row.after for row in TRANSITIONS}


def after(status: Status, verb: Verb) -> Status:
    """Raises Conflict, with what is possible instead."""
    try:
        return _AFTER[status, verb]
    except KeyError:
        raise refused(status, verb.value) from None


def refused(status: Status, word: str) -> Conflict:
    """`word` completes "it cannot be …"."""
    possible = [verb.value for before, verb, _ in TRANSITIONS if before is status]
    hint = f"it can be {', '.join(possible)}" if possible else "nothing comes after that; create another subscription"
    return Conflict(
        f"the subscription is {status.value}, so it cannot be {word}; {hint}",
        code="INVALID_TRANSITION",
        details={"status": status.value, "possible": possible},
    )
