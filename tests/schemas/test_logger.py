"""A failure that repeats is one line for its cause, a line a minute with its count, and a line for its end."""

from schemas.logger import QUIET_SECONDS, REPEAT_SECONDS, CauseLog, NullLogger


class Lines(NullLogger):
    """Records the lines of the levels error and info."""

    def __init__(self) -> None:
        self.written: list[tuple[str, object, object]] = []

    def error(self, event: str, **fields: object) -> None:
        self.written.append((event, fields["cause"], fields["times"]))

    def info(self, event: str, **fields: object) -> None:
        self.written.append((event, fields["cause"], fields["times"]))


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_cause_is_one_line_and_its_end_another() -> None:
    lines, clock = Lines(), Clock()
    causes = CauseLog(lines, clock)
    for number in range(100_000):
        clock.now += 0.0001
        causes.failed("log", "failing", f"the disk is full: {number} bytes are free")
    assert causes.is_failing
    causes.recovered("log", "works")
    assert len(lines.written) == 1
    clock.now += QUIET_SECONDS
    causes.recovered("other", "works")
    causes.recovered("log", "works")
    causes.recovered("log", "works")
    assert lines.written == [
        ("failing", "the disk is full: 0 bytes are free", 1),
        ("works", "the disk is full: 0 bytes are free", 100_000),
    ]
    assert not causes.is_failing


def test_a_failure_that_lasts_is_counted_every_minute() -> None:
    lines, clock = Lines(), Clock()
    causes = CauseLog(lines, clock)
    for _ in range(3):
        causes.failed("log", "failing", "frozen")
        causes.failed("log", "failing", "frozen")
        clock.now += REPEAT_SECONDS
    assert [times for _, _, times in lines.written] == [1, 3, 5]


def test_causes_that_alternate_are_kept_apart_and_bounded() -> None:
    """Successes in between do not begin a new line either."""
    lines, clock = Lines(), Clock()
    causes = CauseLog(lines, clock)
    for _ in range(1000):
        causes.failed("log", "failing", "full")
        causes.recovered("log", "works")
        causes.failed("log", "failing", "frozen")
    assert [cause for _, cause, _ in lines.written] == ["full", "frozen"]
    for number in range(1000):
        causes.failed("log", "failing", "x" * number)
    assert len(lines.written) == 50
