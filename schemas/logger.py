"""The logger port, a logger that drops everything, and one line for a failure that repeats."""

import re
import threading
from collections.abc import Callable
from typing import Protocol, Self

REPEAT_SECONDS = 60.0
"""A failure that lasts is logged again after this time, with a count."""

QUIET_SECONDS = 5.0
"""A failure that has not come for this long has ended, once its part works."""

MOST_CAUSES = 50
"""Different causes of one part that are kept apart; further ones count as the first."""

_NUMBER = re.compile(r"[0-9][0-9,.]*")


class Logger(Protocol):
    """One line per occurrence: a short sentence, and fields. Never log a secret, though the adapter masks API keys."""

    def bind(self, **fields: object) -> Self:
        """A logger that adds these fields to each of its lines."""
        ...

    def debug(self, event: str, **fields: object) -> object: ...

    def info(self, event: str, **fields: object) -> object: ...

    def warning(self, event: str, **fields: object) -> object: ...

    def error(self, event: str, **fields: object) -> object: ...

    def exception(self, event: str, **fields: object) -> object:
        """An error, with the traceback of the exception being handled."""
        ...


class NullLogger:
    """Drops every line."""

    def bind(self, **fields: object) -> Self:  # noqa: ARG002 - the port's signature
        return self

    def debug(self, event: str, **fields: object) -> None:
        pass

    def info(self, event: str, **fields: object) -> None:
        pass

    def warning(self, event: str, **fields: object) -> None:
        pass

    def error(self, event: str, **fields: object) -> None:
        pass

    def exception(self, event: str, **fields: object) -> None:
        pass


class _Repeats:
    def __init__(self, cause: str, now: float) -> None:
        self.cause = cause
        self.since = now
        self.written = now
        self.last = now
        self.times = 0


class CauseLog:
    """Logs a failure that repeats once for its cause, then at most once a minute with a count, and its end.

    Causes that differ in numbers only are one cause. Thread-safe. `monotonic` returns seconds.
    """

    def __init__(self, logger: Logger, monotonic: Callable[[], float]) -> None:
        self._logger = logger
        self._monotonic = monotonic
        self._failing: dict[str, dict[str, _Repeats]] = {}
        self._lock = threading.Lock()

    @property
    def is_failing(self) -> bool:
        """True from a failure until its end was logged."""
        return bool(self._failing)

    def failed(self, part: str, event: str, cause: str, **fields: object) -> None:
        """Notes a failure of the part. A new cause is logged at once."""
        now = self._monotonic()
        with self._lock:
            causes = self._failing.setdefault(part, {})
            kind = _NUMBER.sub("#", cause)
            is_new = kind not in causes
            if is_new and len(causes) >= MOST_CAUSES:
                kind, is_new = next(iter(causes)), False
            repeats = causes.setdefault(kind, _Repeats(cause, now))
            repeats.times += 1
            repeats.last = now
            if not is_new and now - repeats.written < REPEAT_SECONDS:
                return
            repeats.written = now
            times = repeats.times
        self._logger.error(event, cause=cause, times=times, **fields)

    def recovered(self, part: str, event: str) -> None:
        """Notes that the part works. Logs the end of each failure that has not come for a while, with its count."""
        if part not in self._failing:
            return
        now = self._monotonic()
        with self._lock:
            causes = self._failing.get(part, {})
            ended = [kind for kind, repeats in causes.items() if now - repeats.last >= QUIET_SECONDS]
            over = [causes.pop(kind) for kind in ended]
            if not causes:
                self._failing.pop(part, None)
        for repeats in over:
            seconds = round(repeats.last - repeats.since, 1)
            self._logger.info(event, cause=repeats.cause, times=repeats.times, seconds=seconds)
