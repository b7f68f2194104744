"""Log lines: whole, structured, and without secrets."""

import asyncio
import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from tallyhouse.runtime.logs import (
    AGAIN_SECONDS,
    MOST_CAUSES,
    SILENT_SECONDS,
    RepeatedCause,
    RepeatFilter,
    bind_request,
    build_logger,
    cause_of,
    forward_stdlib,
)
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


def test_a_repeated_cause_is_written_once_a_minute_with_its_count_and_its_end() -> None:
    """140 records a second for two minutes are three lines; another cause is written at once."""
    repeats = RepeatFilter()
    written = [(second, repeats.occurs("refused", second)) for second in range(120) for _ in range(140)]
    lines = [(second, left_out) for second, left_out in written if left_out is not None]
    assert lines == [(0, 0), (60, 60 * 140 - 1)]
    assert repeats.occurs("another", 119.0) == 0
    assert repeats.ended(119.0 + SILENT_SECONDS - 1) == []
    assert repeats.ended(119.0 + SILENT_SECONDS) == [RepeatedCause("refused", 60 * 140 - 1)]
    assert not repeats.is_watching
    assert repeats.occurs("refused", 1_000.0) == 0


def test_a_cause_that_comes_once_in_a_while_is_written_each_time() -> None:
    repeats = RepeatFilter()
    assert [repeats.occurs("now and then", AGAIN_SECONDS * time) for time in range(5)] == [0] * 5


def test_the_memory_of_causes_is_bounded() -> None:
    """What does not fit is written."""
    repeats = RepeatFilter()
    for number in range(MOST_CAUSES + 5):
        assert [repeats.occurs(f"cause {'x' * number}", 0.0) for _ in range(2)].count(0) == (
            1 if number < MOST_CAUSES else 2
        )


def test_records_that_differ_in_numbers_have_one_cause() -> None:
    """As the Kafka client reports every node and every attempt."""

    def record(port: int, name: str = "aiokafka") -> logging.LogRecord:
        return logging.LogRecord(name, logging.ERROR, "", 0, "connect call failed ('127.0.0.1', %d)", (port,), None)

    assert cause_of(record(9092)) == cause_of(record(19_092))
    assert cause_of(record(9092)) != cause_of(record(9092, "faust"))


def test_a_library_that_repeats_itself_is_forwarded_once(quiet_logging: None) -> None:
    stream = io.StringIO()
    forward_stdlib(logger_to(stream))
    for number in range(1_000):
        logging.getLogger("aiokafka").error("unable to connect to node %d", number)
    logging.getLogger("aiokafka").error("unable to authenticate")
    assert [line["event"] for line in lines(stream)] == ["unable to connect to node 0", "unable to authenticate"]
