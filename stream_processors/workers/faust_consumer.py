"""Faust's consumer, whose thread ends within a bounded time and leaves no connection open."""

import asyncio
from typing import ClassVar

import faust
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread, Consumer, Transport
from faust.types.transports import ConsumerT
from mode.services import Service
from mode.threads import QueueServiceThread, ServiceThread

from stream_processors.backends.log.kafka.clients import close_client

_CLOSE_SECONDS = 5.0
"""How long the consumer may take to leave its group, and then to close its connections."""

_EXECUTE_TASK = Service._execute_task.__name__  # noqa: SLF001
"""The name of Faust's tasks that execute a call from another thread."""


class FrameConsumerThread(AIOKafkaConsumerThread):
    """A thread that ends however its client's stop ends.

    That stop may take the end of one of the client's tasks for a cancellation of its own. Faust's thread would then
    leave connections open and never report its end.
    """

    async def on_thread_stop(self) -> None:
        await QueueServiceThread.on_thread_stop(self)  # the last calls, which need the client
        if self._consumer is not None:
            await close_client(self._consumer, _CLOSE_SECONDS)


class FrameConsumer(Consumer):
    """A consumer that runs in such a thread."""

    def _new_consumer_thread(self) -> AIOKafkaConsumerThread:
        return FrameConsumerThread(self, loop=self.loop, beacon=self.beacon)


class FrameTransport(Transport):
    """Kafka, through such a consumer."""

    Consumer: ClassVar[type[ConsumerT]] = FrameConsumer


def abort_consumer(app: faust.App) -> None:
    """Aborts the current work of the app's consumer thread.

    Its last commit waits for unreachable brokers without a timeout. Otherwise the thread would block the exit of the
    process, or stay in the group and own partitions that no worker processes.
    """
    thread = app.consumer._thread  # type: ignore[attr-defined] # noqa: SLF001 - there is no other way to it
    if not thread.thread_loop.is_closed():
        thread.thread_loop.call_soon_threadsafe(_abort, thread)


def _abort(thread: ServiceThread) -> None:
    """Cancels the calls from other threads; the main task of the thread then ends as usual."""
    thread._stopped.set()  # noqa: SLF001 - as its own `stop` does, but only after the last commit
    for task in asyncio.all_tasks():
        if getattr(task.get_coro(), "__name__", "") == _EXECUTE_TASK:
            task.cancel()
