"""What gateways and workers have in common: the log, the usage store and the ledger, opened together."""

from contextlib import AsyncExitStack
from typing import NamedTuple

from rating.ledger.ledger import Ledger, open_ledger
from rating.ledger.migrate import require_newest
from stream_processors.backends.log.kafka.log import KafkaFrameLog
from stream_processors.backends.log.kafka.policy import KafkaPolicy
from tallyhouse.cluster.connections import identify_log_and_warn, open_log
from tallyhouse.cluster.store import ClusterStore, open_store
from tallyhouse.runtime.cluster_settings import ClusterSettings
from tallyhouse.runtime.context import Runtime


class Connections(NamedTuple):
    """What a process shares with all others."""

    log: KafkaFrameLog
    store: ClusterStore
    ledger: Ledger


async def open_connections(
    opened: AsyncExitStack, settings: ClusterSettings, runtime: Runtime, reading: KafkaPolicy
) -> Connections:
    """All of them, or none."""
    async with AsyncExitStack() as attempt:
        identity = await identify_log_and_warn(settings, runtime.logger)
        log = await attempt.enter_async_context(open_log(settings, reading))
        store = attempt.enter_context(open_store(settings, identity))
        ledger = attempt.enter_context(open_ledger(settings.ledger_url, runtime.clock, prepare=require_newest))
        opened.push_async_exit(attempt.pop_all())
        return Connections(log, store, ledger)
