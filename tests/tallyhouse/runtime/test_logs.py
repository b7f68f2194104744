"""Log lines: whole, structured, and without secrets."""

import asyncio
import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from tallyhouse.runtime.logs import bind_request, build_logger, forward_stdlib
from tallyhouse.runtime.settings import LogFormat, LogLevel

NOON = 1_795_262_400_000_000


def logger_to(stream: io.StringIO, log_format: LogFormat = LogFormat.JSON, level: LogLevel = LogLevel.INFO) -> Any:
    return build_logger(log_format=log_format, level=level, stream=stream, clock=lambda: NOON)


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


@pytest.fixture
def quiet_logging() -> Iterator[None]:
    """Restores the process's `logging` configuration."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level


def test_a_line_is_one_json_object() -> None:
    stream = io.StringIO()
    logger_to(stream).bind(partition=3).info("flush done", number=7)
    assert lines(stream) == [
        {
            "event": "flush done",
            "level": "info",
            "number": 7,
            "partition": 3,
            "timestamp": "2026-11-21T12:00:00Z",
        }
    ]


def test_lines_below_the_level_are_omitted() -> None:
    stream = io.StringIO()
    logger_to(stream, level=LogLevel.WARNING).info("chatter")
    assert stream.getvalue() == ""


def test_every_line_of_a_request_carries_its_id() -> None:
    """Concurrent requests have tasks of their own, so their ids do not mix."""
    stream = io.StringIO()
    logger = logger_to(stream)

    async def request(request_id: str) -> None:
        bind_request(request_id)
        await asyncio.sleep(0)
        logger.info("inside")

    async def both() -> None:
        await asyncio.gather(request("req_1"), request("req_2"))
        logger.info("outside")

    asyncio.run(both())
    assert [line.get("request_id") for line in lines(stream)] == ["req_1", "req_2", None]


@pytest.mark.parametrize("log_format", list(LogFormat))
def test_secrets_are_masked(log_format: LogFormat) -> None:
    """In fields, texts and tracebacks."""
    stream = io.StringIO()
    logger = logger_to(stream, log_format)
    logger.info("bad ak_live_sesame", token="sesame", header="Bearer ak_test_sesame")
    try:
        raise RuntimeError("ak_live_sesame")  # noqa: TRY301 - the traceback is the subject
    except RuntimeError:
        logger.exception("failed")
    assert "sesame" not in stream.getvalue()
    assert "ak_test_" in stream.getvalue()


def test_a_librarys_warning_becomes_our_line(quiet_logging: None) -> None:
    """All lines of a process have one format."""
    stream = io.StringIO()
    forward_stdlib(logger_to(stream))
    logging.getLogger("some.library").warning("took %s s", 5)
    assert [(line["event"], line["library"]) for line in lines(stream)] == [("took 5 s", "some.library")]
