"""When the circuit refuses appends, and how often the sink tries to reconnect."""

import pytest

from schemas.errors import Overloaded
from stream_processors.backends.log.kafka.sink import Circuit


def test_the_circuit_accepts_appends_until_it_is_opened() -> None:
    """It accepts them again when it is closed; until then it reports the latest reason and a time to retry."""
    circuit = Circuit()
    circuit.check()
    for reason in ("no broker was found", "no broker answers"):
        circuit.open(reason)
    with pytest.raises(Overloaded, match="no broker answers") as refusal:
        circuit.check()
    assert refusal.value.retry_after >= 1
    circuit.close()
    circuit.check()


def test_the_first_reconnect_is_immediate_and_later_ones_back_off() -> None:
    """The backoff stays at most a second, so that the end of an outage is noticed; each outage starts from zero."""
    circuit = Circuit()
    for _ in range(2):
        circuit.open("no broker answers")
        delays = [circuit.backoff() for _ in range(2_000)]
        assert delays[0] == 0.0
        assert 0.0 < delays[1] < delays[2]
        assert delays == sorted(delays)
        assert delays[-1] <= 1.0
        circuit.close()
