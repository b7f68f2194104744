"""Readiness as a worker's report has it."""

from ingest_gateway.api.health import Check
from ingest_gateway.embedded.processors import Processors


def check_of(processors: Processors) -> Check:
    async def check() -> None:
        if not processors.is_well:
            raise RuntimeError

    return check
