"""The Logger port over structlog: JSON for machines or lines for people, with secrets masked."""

import logging
import re
from collections.abc import Callable, MutableMapping
from typing import Any, TextIO

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
    """Writes records of the standard `logging` module, from WARNING up, as lines of `logger`."""
    logging.basicConfig(handlers=[_Forward(logger)], level=logging.WARNING, force=True)


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


class _Forward(logging.Handler):
    def __init__(self, logger: FilteringBoundLogger) -> None:
        super().__init__()
        self._logger = logger

    def emit(self, record: logging.LogRecord) -> None:
        self._logger.log(record.levelno, record.getMessage(), library=record.name, exc_info=record.exc_info)
