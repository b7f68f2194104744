"""The keys a gateway is told of by others."""

import numpy as np
import pytest

from schemas.hashing import as_halves
from schemas.logger import NullLogger
from tallyhouse.cluster.known import open_known_keys
from tallyhouse.runtime.context import Runtime
from tallyhouse.runtime.prometheus import PrometheusMetrics
from tests.server_process import free_port

pytestmark = pytest.mark.anyio

KEYS = as_halves(bytes(16))


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.mark.parametrize("redis", [True, False])
async def test_without_redis_nothing_is_known_and_nothing_fails(redis: bool) -> None:
    """Neither where none is named, nor where the one that is named does not answer: which is told in a metric."""
    runtime = Runtime(clock=lambda: 0, logger=NullLogger(), metrics=PrometheusMetrics())
    url = f"redis://127.0.0.1:{free_port()}/0" if redis else None
    async with open_known_keys(url, runtime) as known:
        known.remember(KEYS, np.zeros(1, np.uint64), 0)
        assert await known.bodies(KEYS, 0) == {}
    assert (b"tallyhouse_shared_keys_down 1.0" in runtime.metrics.render()) is redis
