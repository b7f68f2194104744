"""Replayed rejects count at most once, however often they are replayed, and once if they have become readable."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.meter import Meter
from schemas.timestamps import MINUTE, SECOND
from tests.conftest import Databases
from tests.factories import NOW, make_event, make_meter
from tests.interleavings.environments import Environment, durable, in_memory, run_interleaving
from tests.interleavings.interleaving import Interleaving, Operation, Posts, flush, operations, replaying, replays
from tests.strategies import batches, events, meter_lists, token_meters, uncountable

COUNTED = [Interleaving.make_meter, Interleaving.post, Interleaving.post, flush(0, 0), flush(1, 1)]
"""Rejects of flushes."""

BACKFILLED = [
    Interleaving.post,
    flush(0, 0),
    flush(0, 1),
    Interleaving.make_meter,
    flush(0, 0),
    *[Interleaving.backfill] * 3,
]
"""Rejects of a backfill of one partition, while the other has not activated the meter."""


def uncounted() -> st.SearchStrategy[Posts]:
    """Posts of mostly uncountable events."""
    return batches(smallest=2, of=st.one_of(uncountable(), uncountable(), events()))


def meters() -> st.SearchStrategy[Sequence[Meter]]:
    """A meter that has rejects, and any others."""
    return st.builds(lambda sure, more: (sure, *more), token_meters(), meter_lists(2))


def replay_interleavings(most: int) -> st.SearchStrategy[list[Operation]]:
    """Rejects first, then replays as often as all other operations."""
    begun = st.sampled_from((COUNTED, BACKFILLED))
    return st.builds(
        lambda one, more: [*one, *more], begun, st.lists(replays() | operations(), min_size=5, max_size=most)
    )


@pytest.fixture(params=["memory", "disk"])
def environment(request: pytest.FixtureRequest) -> Environment:
    if request.param == "memory":
        return in_memory
    return durable(*map(request.getfixturevalue, ("tmp_path", "databases", "threads")))


FLUSH = [flush(0, 0), flush(0, 1)]
IN_A_FLUSH = [Interleaving.make_meter, Interleaving.post, *FLUSH]
IN_A_BACKFILL = [Interleaving.post, *FLUSH, Interleaving.make_meter, *FLUSH, *[Interleaving.backfill] * 6]
NEWEST = -1

TOKENS = make_meter("tokens", "sum")
BAD = [(NOW, [make_event("bad", {"tokens": "many"}, timestamp=NOW)])]
USAGE_KEY = (TOKENS.account, "tokens", "cust_1", NOW // MINUTE * MINUTE // SECOND, "[]")


@pytest.mark.parametrize("begun", [IN_A_FLUSH, IN_A_BACKFILL], ids=["flush", "backfill"])
def test_a_replay_that_fails_can_be_replayed(environment: Environment, begun: list[Operation]) -> None:
    """The first replay of a reject decides: if it fails, it is a new reject that names the old one; else it counts."""
    operations_drawn = [
        *(
            *begun,
            replaying(0, readable=False),
            replaying(0, readable=True),
            *FLUSH,
            replaying(0, readable=True),
            *FLUSH,
        ),
        *(replaying(NEWEST, 1, readable=False), *FLUSH),
        *(
            replaying(NEWEST, 1, readable=True),
            replaying(NEWEST, readable=True),
            *FLUSH,
            replaying(NEWEST, readable=True),
        ),
    ]
    pipeline = run_interleaving(environment, BAD, [TOKENS], operations_drawn)
    first, second, _ = [reject.id for reject in pipeline.rejects]
    assert [reject.replay_of for reject in pipeline.rejects] == [None, first, second]
    assert pipeline.usage == {USAGE_KEY: NEWEST}


@pytest.mark.parametrize("begun", [IN_A_FLUSH, IN_A_BACKFILL], ids=["flush", "backfill"])
def test_a_replay_for_an_archived_meter_has_no_effect(environment: Environment, begun: list[Operation]) -> None:
    """It neither counts nor fails, and the reject stays open."""
    pipeline = run_interleaving(
        environment, BAD, [TOKENS], [*begun, replaying(0, readable=True), Interleaving.archive_meter, *FLUSH]
    )
    assert len(pipeline.rejects) == 1
    assert pipeline.usage == {}


@given(posts=uncounted(), meters=meters(), operations_drawn=replay_interleavings(20))
def test_any_replays_in_memory(posts: Posts, meters: Sequence[Meter], operations_drawn: Sequence[Operation]) -> None:
    """On the in-memory log and store, every interleaving with replays ends exact."""
    run_interleaving(in_memory, posts, meters, operations_drawn)


@settings(max_examples=settings().max_examples // 3)
@given(posts=uncounted(), meters=meters(), operations_drawn=replay_interleavings(12))
def test_any_replays_on_disk(
    tmp_path: Path,
    databases: Databases,
    threads: ThreadPoolExecutor,
    posts: Posts,
    meters: Sequence[Meter],
    operations_drawn: Sequence[Operation],
) -> None:
    """On SQLite and chDB, every interleaving with replays ends exact."""
    run_interleaving(durable(tmp_path, databases, threads), posts, meters, operations_drawn)
