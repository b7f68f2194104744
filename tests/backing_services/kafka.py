"""Which broker the tests of a run share: a container, else a local one, else a stand-in."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from random import SystemRandom
from typing import NamedTuple

from tallyhouse.local.kafka_broker import KafkaBroker
from tallyhouse.local.kafka_jars import ToolMissing, kafka_runtime
from tests.backing_services.container import container
from tests.backing_services.stand_in import LIMITS, stand_in

Tell = Callable[[str], None]


class Shared(NamedTuple):
    """The address of the broker, and what is missing for it to be a real one."""

    bootstrap: str
    missing: ToolMissing | None


@contextmanager
def best_broker(
    folder: Path, environ: Mapping[str, str], tell: Tell, *, docker: bool, only_real: bool
) -> Iterator[Shared]:
    """A local broker is one for all who name the folder; of the others each process has its own."""
    if docker:
        with container() as bootstrap:
            yield Shared(bootstrap, None)
        return
    try:
        runtime = kafka_runtime(environ, tell)
    except ToolMissing as missing:
        if only_real:
            raise
        tell(f"Kafka is NOT the real one in this run: librdkafka's mock stands in for it; {LIMITS}. {missing}")
        with stand_in() as bootstrap:
            yield Shared(bootstrap, missing)
        return
    with KafkaBroker(folder, runtime, SystemRandom()) as local:
        yield Shared(local.bootstrap, None)
