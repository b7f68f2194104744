"""When the circuit refuses appends, and how often the sink tries to reconnect."""

import pytest

from schemas.errors import IdentityChanged, LogFailed, Overloaded
from stream_processors.backends.log.kafka.sink import AckVerification, Circuit


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


class Verifications:
    """Counts the verifications of a log, which may be another one."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.asked = 0
        self.fault: Exception | None = None

    async def verify(self) -> None:
        self.asked += 1
        if self.fault is not None:
            raise self.fault

    def new(self) -> AckVerification:
        return AckVerification(self.verify, lambda: self.seconds)


@pytest.mark.anyio
async def test_acks_are_verified_once_a_second_and_when_offsets_do_not_rise() -> None:
    """The first of each partition, and every one that begins again, as in a topic that was made again."""
    log = Verifications()
    acks = log.new()
    for acked, asked in (
        ([(0, 5)], 1),
        ([(0, 6), (0, 7)], 1),
        ([(1, 0)], 2),
        ([(1, 1), (0, 8)], 2),
        ([(0, 8)], 3),
        ([(0, 3)], 4),
        ([(0, 9)], 4),
    ):
        await acks.verify(acked)
        assert log.asked == asked
    log.seconds += 1.0
    await acks.verify([(0, 10)])
    assert log.asked == 5


@pytest.mark.anyio
@pytest.mark.parametrize("fault", [IdentityChanged("made again"), LogFailed("silent")])
async def test_frames_that_may_be_in_another_log_are_refused(fault: Exception) -> None:
    """Each append, until the log says that it is the one it was."""
    log = Verifications()
    acks = log.new()
    await acks.verify([(0, 5)])
    log.fault = fault
    for _ in range(3):
        with pytest.raises(Overloaded, match="may be in another log"):
            await acks.verify([(0, 0)])
    log.fault = None
    await acks.verify([(0, 6)])
