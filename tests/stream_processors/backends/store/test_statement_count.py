"""How many statements a flush sends to the store when no worker fails and none has a rival: each takes as long as
thousands of rows."""

from collections.abc import Callable
from typing import Any, cast

import pytest

from stream_processors.backends.store.embedded import EmbeddedStore
from stream_processors.backends.store.engine import GuardedEngine
from stream_processors.backends.store.guarded import GuardedStore
from stream_processors.backends.store.memory import MemoryEngine
from stream_processors.flushing.partition import FlushPorts, Partition
from stream_processors.flushing.policy import FlushPolicy
from tests.factories import NOW, make_event, make_meter
from tests.stream_processors.in_memory_pipeline import InMemoryPipeline, no_pause

pytestmark = pytest.mark.anyio

GUARDED = ["insert_claim_guarded", "claims_from", *["insert_guarded"] * 3, "insert_done_guarded", "is_done"]
GUARDED_WITH_REJECTS = [*GUARDED[:4], "insert_guarded", "flush_state", *GUARDED[4:]]
EMBEDDED = ["insert_claim", "insert", "insert", "insert", "insert_done"]
EMBEDDED_WITH_REJECTS = [*EMBEDDED[:2], "insert", *EMBEDDED[2:]]


class RecordingEngine:
    """An engine that records its calls, each of which is one statement in SQL."""

    def __init__(self, engine: MemoryEngine) -> None:
        self.calls: list[str] = []
        self._engine = engine

    def __getattr__(self, name: str) -> Any:
        if name != "exclusive":
            self.calls.append(name)
        return getattr(self._engine, name)


@pytest.mark.parametrize(
    ("policy", "properties", "expected"),
    [
        (GuardedStore, '{"tokens":1}', GUARDED),
        (GuardedStore, '{"tokens":"x"}', GUARDED_WITH_REJECTS),
        (EmbeddedStore, '{"tokens":1}', EMBEDDED),
        (EmbeddedStore, '{"tokens":"x"}', EMBEDDED_WITH_REJECTS),
    ],
)
async def test_statements_of_a_flush(
    policy: Callable[[GuardedEngine], GuardedStore | EmbeddedStore], properties: str, expected: list[str]
) -> None:
    """Seven in a cluster and five in embedded mode, and two or one more for rejects."""
    pipeline = InMemoryPipeline()
    pipeline.meters.add(make_meter("tokens", "sum"))
    engine = RecordingEngine(pipeline.engine)
    store = policy(cast("GuardedEngine", engine))
    ports = FlushPorts(log=pipeline.log, claims=store, tables=store, seen=store, meters=pipeline.meters, pause=no_pause)
    partition = Partition(0, ports, FlushPolicy(filter_keys=1000))
    for flush in range(3):
        engine.calls.clear()
        await pipeline.post([make_event(f"{flush} {key}", properties) for key in range(20)], NOW + flush)
        assert await partition.step() == 1
    assert engine.calls == expected
