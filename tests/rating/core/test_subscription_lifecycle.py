"""The lifecycle of a subscription: its table of transitions."""

import pytest

from rating.core.subscription_lifecycle import SUBSCRIPTION_TRANSITIONS, SubscriptionTransition, next_status
from schemas.errors import Conflict
from schemas.subscription import Status


def test_the_table_has_each_transition_once() -> None:
    """Every status but the last has a transition, and one to the end."""
    assert len({(row.before, row.transition) for row in SUBSCRIPTION_TRANSITIONS}) == len(SUBSCRIPTION_TRANSITIONS)
    assert {row.before for row in SUBSCRIPTION_TRANSITIONS} == set(Status) - {Status.CANCELED}
    assert {row.before for row in SUBSCRIPTION_TRANSITIONS if row.after is Status.CANCELED} == set(Status) - {
        Status.CANCELED
    }


@pytest.mark.parametrize("transition", SubscriptionTransition)
def test_a_canceled_subscription_allows_no_transition(transition: SubscriptionTransition) -> None:
    """The error names the status."""
    with pytest.raises(Conflict, match="the subscription is canceled"):
        next_status(Status.CANCELED, transition)
