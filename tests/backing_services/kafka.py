"""Which broker the tests of a run share: a container, else a local one, else a stand-in."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from random import SystemRandom
from typing import NamedTuple

from tallyhouse.local.kafka_broker import KafkaBroker
from tallyhouse.local.kafka_jars import ToolMissing, find_kafka
from tests.backing_services.container import container
from tests.backing_services.stand_in import LIMITS, stand_in

Print = Callable[[str], None]


class SharedBroker(NamedTuple):
    """The address of the broker, and what is missing for it to be a real one."""

    bootstrap: str
    missing: ToolMissing | None


@contextmanager
def best_broker(
    folder: Path, environ: Mapping[str, str], notify: Print, *, docker: bool, only_real: bool
) -> Iterator[SharedBroker]:
    """A local broker is one for all who name the folder; of the others each process has its own."""
    if docker:
        with container() as bootstrap:
            yield SharedBroker(bootstrap, None)
        return
    try:
        runtime = find_kafka(environ, notify)
    except ToolMissing as missing:
        if only_real:
            raise
        notify(f"Kafka is NOT the real one in this run: librdkafka's mock stands in for it; {LIMITS}. {missing}")
        with stand_in() as bootstrap:
            yield SharedBroker(bootstrap, missing)
        return
    with KafkaBroker(folder, runtime, SystemRandom()) as local:
        yield SharedBroker(local.bootstrap, None)
