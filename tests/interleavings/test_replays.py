"""Rejects tried again, wherever and however often: each counts at most once, and once where it can be read by then."""

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
"""Flushes rejected something."""

BACKFILLED = [
    Interleaving.post,
    flush(0, 0),
    flush(0, 1),
    Interleaving.make_meter,
    flush(0, 0),
    *[Interleaving.backfill] * 3,
]
"""A backfill did, of one partition, while the other does not even know of the meter."""


def uncounted() -> st.SearchStrategy[Posts]:
    """Posts that mostly end as rejects."""
    return batches(smallest=2, of=st.one_of(uncountable(), uncountable(), events()))


def meters() -> st.SearchStrategy[Sequence[Meter]]:
    """One that has rejects, and any others."""
    return st.builds(lambda sure, more: (sure, *more), token_meters(), meter_lists(2))


def replay_interleavings(most: int) -> st.SearchStrategy[list[Operation]]:
    """Rejects first, then as many tries as anything else."""
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
def test_what_fails_again_can_be_tried_again(environment: Environment, begun: list[Operation]) -> None:
    """The first try of a reject decides; failed, it is a reject that names the one before; read at last, it counts."""
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
    counting = run_interleaving(environment, BAD, [TOKENS], operations_drawn)
    first, second, _ = [reject.id for reject in counting.rejects]
    assert [reject.replay_of for reject in counting.rejects] == [None, first, second]
    assert counting.usage == {USAGE_KEY: NEWEST}


@pytest.mark.parametrize("begun", [IN_A_FLUSH, IN_A_BACKFILL], ids=["flush", "backfill"])
def test_what_finds_its_meter_archived_is_no_try(environment: Environment, begun: list[Operation]) -> None:
    """It neither counts nor fails."""
    counting = run_interleaving(
        environment, BAD, [TOKENS], [*begun, replaying(0, readable=True), Interleaving.archive_meter, *FLUSH]
    )
    assert len(counting.rejects) == 1
    assert counting.usage == {}


@given(posts=uncounted(), meters=meters(), operations_drawn=replay_interleavings(20))
def test_any_tries_in_memory(posts: Posts, meters: Sequence[Meter], operations_drawn: Sequence[Operation]) -> None:
    """On the in-memory log and store, any story of rejects tried again ends exactly."""
    run_interleaving(in_memory, posts, meters, operations_drawn)


@settings(max_examples=10)
@given(posts=uncounted(), meters=meters(), operations_drawn=replay_interleavings(12))
def test_any_tries_on_disk(
    tmp_path: Path,
    databases: Databases,
    threads: ThreadPoolExecutor,
    posts: Posts,
    meters: Sequence[Meter],
    operations_drawn: Sequence[Operation],
) -> None:
    """On SQLite and chDB, any story of rejects tried again ends exactly."""
    run_interleaving(durable(tmp_path, databases, threads), posts, meters, operations_drawn)
