"""The Logger port over structlog: JSON for machines or lines for people, with secrets masked."""

import logging
import re
import threading
import time
from collections.abc import Callable, MutableMapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, NamedTuple, TextIO

import structlog
from structlog.typing import FilteringBoundLogger

from schemas.timestamps import to_iso
from tallyhouse.runtime.settings import LogFormat, LogLevel

_SECRET_FIELDS = {"authorization", "token", "secret", "api_key", "password"}
_KEY = re.compile(r"\b(ak_(?:live|test)_)[A-Za-z0-9_-]+")
_LEVELS = {
    LogLevel.DEBUG: logging.DEBUG,
    LogLevel.INFO: logging.INFO,
    LogLevel.WARNING: logging.WARNING,
    LogLevel.ERROR: logging.ERROR,
}

_NUMBER = re.compile(r"[0-9]+")

AGAIN_SECONDS = 60.0
"""A library's message is written again after this time, with the number of those left out."""

SILENT_SECONDS = 15.0
"""A message that has not come for this long has ended."""

MOST_CAUSES = 200
"""Beyond this number of different causes at a time, every record is written."""

Event = MutableMapping[str, Any]


def build_logger(
    *, log_format: LogFormat, level: LogLevel, stream: TextIO, clock: Callable[[], int]
) -> FilteringBoundLogger:
    """Returns a logger that writes whole lines to `stream`. It is thread-safe."""
    logger: FilteringBoundLogger = structlog.wrap_logger(
        structlog.WriteLogger(stream),
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            _stamp(clock),
            *_renderers(log_format, colours=stream.isatty()),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        context_class=dict,
        cache_logger_on_first_use=True,
    )
    return logger


def bind_request(request_id: str) -> None:
    """Adds the id to every later log line of the current task, and of no other task."""
    structlog.contextvars.bind_contextvars(request_id=request_id)


def mask(event: Event) -> Event:
    """Hides secret fields, and shortens an API key wherever it occurs in a text. Changes the event in place."""
    for field, value in event.items():
        if field.lower() in _SECRET_FIELDS:
            event[field] = "(hidden)"
        elif isinstance(value, str):
            event[field] = _KEY.sub(r"\1…", value)
    return event


def forward_stdlib(logger: FilteringBoundLogger) -> None:
    """Writes records of the standard `logging` module, from WARNING up, as lines of `logger`.

    A library that repeats itself is written once, then once a minute with a count, and once more when it has ended.
    """
    logging.basicConfig(handlers=[_Forward(logger, RepeatFilter())], level=logging.WARNING, force=True)


def _stamp(clock: Callable[[], int]) -> Callable[[Any, str, Event], Event]:
    def stamp(_logger: Any, _method: str, event: Event) -> Event:
        event["timestamp"] = to_iso(clock())
        return event

    return stamp


def _mask(_logger: Any, _method: str, event: Event) -> Event:
    return mask(event)


def _renderers(log_format: LogFormat, *, colours: bool) -> list[Any]:
    # The traceback becomes text before the mask, so that a key inside it is cut too.
    text = [structlog.processors.format_exc_info, _mask]
    if log_format is LogFormat.JSON:
        return [*text, structlog.processors.JSONRenderer()]
    console = structlog.dev.ConsoleRenderer(
        colors=colours, pad_event_to=36, sort_keys=False, exception_formatter=structlog.dev.plain_traceback
    )
    return [*text, console]


class RepeatedCause(NamedTuple):
    """A cause that is no longer written for each record."""

    cause: str
    times: int
    """How often it came since it was last written."""


@dataclass
class _Repeats:
    written: float
    last: float
    unwritten: int = 0


class RepeatFilter:
    """Decides which of a library's records to write, by their cause: library, level and text without its numbers.

    It has no clock: each call says when it is. Not thread-safe.
    """

    def __init__(self) -> None:
        self._causes: dict[str, _Repeats] = {}

    def occurs(self, cause: str, now: float) -> int | None:
        """How many records of this cause were left out before this one, if it is to be written; otherwise None."""
        repeats = self._causes.get(cause)
        if repeats is None:
            if len(self._causes) >= MOST_CAUSES:
                return 0
            self._causes[cause] = _Repeats(written=now, last=now)
            return 0
        repeats.last = now
        if now - repeats.written < AGAIN_SECONDS:
            repeats.unwritten += 1
            return None
        left_out, repeats.unwritten, repeats.written = repeats.unwritten, 0, now
        return left_out

    def ended(self, now: float) -> list[RepeatedCause]:
        """The repeated causes that have been silent for a while, which are then forgotten."""
        silent = [cause for cause, repeats in self._causes.items() if now - repeats.last >= SILENT_SECONDS]
        forgotten = [RepeatedCause(cause, self._causes.pop(cause).unwritten) for cause in silent]
        return [repeated for repeated in forgotten if repeated.times]

    @property
    def is_watching(self) -> bool:
        """True while `ended` may have something to report later."""
        return bool(self._causes)


def cause_of(record: logging.LogRecord) -> str:
    """The text of the record without its numbers: nodes, ports and attempts differ, the cause does not."""
    return f"{record.name}: {_NUMBER.sub('#', record.getMessage())}"


class _Forward(logging.Handler):
    """`emit` and the timer hold the handler's lock, so the filter is used by one thread at a time."""

    def __init__(self, logger: FilteringBoundLogger, repeats: RepeatFilter) -> None:
        super().__init__()
        self._logger = logger
        self._repeats = repeats
        self._timer: threading.Timer | None = None

    def emit(self, record: logging.LogRecord) -> None:
        left_out = self._repeats.occurs(cause_of(record), time.monotonic())
        self._watch()
        if left_out is None:
            return
        fields = {"left_out": left_out} if left_out else {}
        self._logger.log(record.levelno, record.getMessage(), library=record.name, exc_info=record.exc_info, **fields)

    def _watch(self) -> None:
        if self._timer is None and self._repeats.is_watching:
            self._timer = threading.Timer(SILENT_SECONDS / 2, self._report_ended)
            self._timer.daemon = True
            self._timer.start()

    def _report_ended(self) -> None:
        with self.lock or nullcontext():
            self._timer = None
            for cause, times in self._repeats.ended(time.monotonic()):
                self._logger.info("a repeated message of a library has ended", cause=cause, left_out=times)
            self._watch()
