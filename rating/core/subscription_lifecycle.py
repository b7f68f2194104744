"""The lifecycle of a subscription: which transition leads from which status to which, in one table."""

from enum import StrEnum
from typing import NamedTuple

from schemas.errors import Conflict
from schemas.subscription import Status


class SubscriptionTransition(StrEnum):
    """What can happen to a subscription; the value completes "it cannot be …"."""

    TRIAL_STARTED = "begun with a trial"
    ACTIVATED = "activated"
    """It starts without a trial."""
    RENEWED = "renewed"
    """A period or the trial ends, and the next period begins."""
    CANCEL_SCHEDULED = "canceled at the end of its period"
    CANCEL_WITHDRAWN = "kept"
    """A scheduled end is withdrawn."""
    ENDED = "ended"
    """The scheduled end is reached."""
    CANCELED = "canceled"
    """It ends at once, by request."""


class TransitionRule(NamedTuple):
    before: Status
    transition: SubscriptionTransition
    after: Status


SUBSCRIPTION_TRANSITIONS = (
    TransitionRule(Status.PENDING, SubscriptionTransition.TRIAL_STARTED, Status.TRIALING),
    TransitionRule(Status.PENDING, SubscriptionTransition.ACTIVATED, Status.ACTIVE),
    TransitionRule(Status.PENDING, SubscriptionTransition.CANCELED, Status.CANCELED),
    TransitionRule(Status.TRIALING, SubscriptionTransition.RENEWED, Status.ACTIVE),
    TransitionRule(Status.TRIALING, SubscriptionTransition.CANCEL_SCHEDULED, Status.TRIALING),
    TransitionRule(Status.TRIALING, SubscriptionTransition.CANCEL_WITHDRAWN, Status.TRIALING),
    TransitionRule(Status.TRIALING, SubscriptionTransition.ENDED, Status.CANCELED),
    TransitionRule(Status.TRIALING, SubscriptionTransition.CANCELED, Status.CANCELED),
    TransitionRule(Status.ACTIVE, SubscriptionTransition.RENEWED, Status.ACTIVE),
    TransitionRule(Status.ACTIVE, SubscriptionTransition.CANCEL_SCHEDULED, Status.ACTIVE),
    TransitionRule(Status.ACTIVE, SubscriptionTransition.CANCEL_WITHDRAWN, Status.ACTIVE),
    TransitionRule(Status.ACTIVE, SubscriptionTransition.ENDED, Status.CANCELED),
    TransitionRule(Status.ACTIVE, SubscriptionTransition.CANCELED, Status.CANCELED),
)

_AFTER = {(row.before, row.transition): row.after for row in SUBSCRIPTION_TRANSITIONS}


def next_status(status: Status, transition: SubscriptionTransition) -> Status:
    """The status that the transition leads to. Raises Conflict if it is not allowed, naming those that are."""
    try:
        return _AFTER[status, transition]
    except KeyError:
        raise refused_transition(status, transition.value) from None


def refused_transition(status: Status, word: str) -> Conflict:
    """The error for a transition that the status forbids; `word` completes "it cannot be …"."""
    possible = [transition.value for before, transition, _ in SUBSCRIPTION_TRANSITIONS if before is status]
    hint = f"it can be {', '.join(possible)}" if possible else "that status is final; create another subscription"
    return Conflict(
        f"the subscription is {status.value}, so it cannot be {word}; {hint}",
        code="INVALID_TRANSITION",
        details={"status": status.value, "possible": possible},
    )
