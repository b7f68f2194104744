"""For any operations in any order, usage, rejects and events are exactly those of the oracle."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.meter import Meter
from tests.conftest import Databases
from tests.interleavings.environments import durable, in_memory, run_interleaving
from tests.interleavings.interleaving import Operation, Posts, operations
from tests.strategies import batches, meter_lists


@given(posts=batches(), meters=meter_lists(), operations_drawn=st.lists(operations(), min_size=3, max_size=25))
def test_any_interleaving_in_memory(
    posts: Posts, meters: Sequence[Meter], operations_drawn: Sequence[Operation]
) -> None:
    """On the in-memory log and store, every interleaving ends exact."""
    run_interleaving(in_memory, posts, meters, operations_drawn)


@settings(max_examples=settings().max_examples // 3)
@given(posts=batches(), meters=meter_lists(), operations_drawn=st.lists(operations(), min_size=3, max_size=15))
def test_any_interleaving_on_disk(
    tmp_path: Path,
    databases: Databases,
    threads: ThreadPoolExecutor,
    posts: Posts,
    meters: Sequence[Meter],
    operations_drawn: Sequence[Operation],
) -> None:
    """On SQLite and chDB, every interleaving ends exact."""
    run_interleaving(durable(tmp_path, databases, threads), posts, meters, operations_drawn)
