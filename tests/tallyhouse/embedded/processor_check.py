"""A readiness check of processors, as the gateway derives it from a report."""

from ingest_gateway.api.health import Check
from tallyhouse.embedded.worker_runtime import Processors


def check_of(processors: Processors) -> Check:
    async def check() -> None:
        if not processors.is_healthy:
            raise RuntimeError

    return check
