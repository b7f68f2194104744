"""When nobody is let to wait for the brokers any more, and how often it is tried whether they answer."""

import pytest

from schemas.errors import Overloaded
from stream_processors.backends.log.kafka.sink import Circuit


def test_it_lets_appends_through_until_it_is_opened() -> None:
    """And again when it is closed; what it says meanwhile is the latest reason, and when to come again."""
    circuit = Circuit()
    circuit.check()
    for reason in ("no broker is there", "no broker answers"):
        circuit.open(reason)
    with pytest.raises(Overloaded, match="no broker answers") as refusal:
        circuit.check()
    assert refusal.value.retry_after >= 1
    circuit.close()
    circuit.check()


def test_it_is_tried_at_once_and_then_more_and_more_rarely() -> None:
    """Never so rarely that an end of the outage stays unseen for long; each outage begins anew."""
    circuit = Circuit()
    for _ in range(2):
        circuit.open("no broker answers")
        rests = [circuit.backoff() for _ in range(2_000)]
        assert rests[0] == 0.0
        assert 0.0 < rests[1] < rests[2]
        assert rests == sorted(rests)
        assert rests[-1] <= 1.0
        circuit.close()
