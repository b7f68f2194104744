"""Letting go of a consumer, however its brokers are."""

import asyncio

from aiokafka import AIOKafkaConsumer


async def close_consumer(consumer: AIOKafkaConsumer, seconds: float) -> None:
    """Close it for good, within a bounded time. What it complains of is nothing: it has only read.

    It ends in a task of its own, for it takes the end of its own tasks, cancelled in the middle of a pause between two
    fetches, for a cancellation of whoever stops it.
    """
    await _wait_bounded(asyncio.create_task(consumer.stop()), seconds)
    # A stop that broke off in the middle leaves the connections open, and a second one does nothing.
    await _wait_bounded(asyncio.create_task(consumer._client.close()), seconds)  # noqa: SLF001 - there is no other way


async def _wait_bounded(ending: "asyncio.Task[None]", seconds: float) -> None:
    try:
        await asyncio.wait({ending}, timeout=seconds)
    finally:
        ending.cancel()
        ending.add_done_callback(_forget)


def _forget(ended: "asyncio.Task[None]") -> None:
    """Ask for its outcome, so that nobody complains that none has."""
    if not ended.cancelled():
        ended.exception()
