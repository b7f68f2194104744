"""Consecutive failures of a flush are counted, and described for an operator."""

from schemas.errors import StoreFailed
from stream_processors.flushing.retry import Attempts
from tests.factories import make_claim


def test_a_failure_names_flush_frames_step_error_and_duration() -> None:
    """Everything that an operator needs is in one sentence."""
    moments = iter([100.0, 160.0])
    attempts = Attempts(lambda: next(moments))
    attempts.begin(make_claim(17, 40, 52))
    assert attempts.fail("events", StoreFailed("no answer")) == 1
    assert attempts.fail("usage", StoreFailed("the disk is full")) == 2
    assert str(attempts.failure).startswith(
        "flush 17 (frames 40 to 52) has been failing for 60 seconds; attempt 2 failed at the step 'usage' with "
        "StoreFailed: the disk is full. Nothing accepted is lost"
    )


def test_a_success_clears_the_failures() -> None:
    """The next failure is the first of another flush."""
    attempts = Attempts(lambda: 0.0)
    attempts.begin(make_claim(17, 40, 52))
    attempts.fail("claim", StoreFailed("no answer"))
    attempts.succeed()
    assert attempts.failure is None
    assert attempts.fail("flush", ValueError("a bug")) == 1
    assert str(attempts.failure).startswith("the next flush has been failing")


def test_a_failed_barrier_flush_is_described_as_one() -> None:
    """A barrier has no frames to name."""
    attempts = Attempts(lambda: 0.0)
    attempts.begin(make_claim(3, 8, 7))
    attempts.fail("finish", StoreFailed("no answer"))
    assert str(attempts.failure).startswith("flush 3 (no frames, a new meter set) has been failing")
