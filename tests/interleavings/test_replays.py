"""Rejects tried again, wherever and however often: each counts at most once, and once where it can be read by then."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.meter import Meter
from schemas.timestamps import MINUTE, SECOND
from tests.conftest import Databases
from tests.factories import NOW, make_event, make_meter
from tests.interleavings.chapters import chapters, flush, tries, trying
from tests.interleavings.environments import World, durable, in_memory, tell
from tests.interleavings.interleaving import Chapter, Posts, Story
from tests.strategies import batches, events, meter_lists, token_meters, uncountable

COUNTED = [Story.make_meter, Story.post, Story.post, flush(0, 0), flush(1, 1)]
"""Flushes rejected something."""

BACKFILLED = [Story.post, flush(0, 0), flush(0, 1), Story.make_meter, flush(0, 0), *[Story.backfill] * 3]
"""A backfill did, of one partition, while the other does not even know of the meter."""


def uncounted() -> st.SearchStrategy[Posts]:
    """Posts that mostly end as rejects."""
    return batches(smallest=2, of=st.one_of(uncountable(), uncountable(), events()))


def meters() -> st.SearchStrategy[Sequence[Meter]]:
    """One that has rejects, and any others."""
    return st.builds(lambda sure, more: (sure, *more), token_meters(), meter_lists(2))


def tellings(most: int) -> st.SearchStrategy[list[Chapter]]:
    """Rejects first, then as many tries as anything else."""
    begun = st.sampled_from((COUNTED, BACKFILLED))
    return st.builds(lambda one, more: [*one, *more], begun, st.lists(tries() | chapters(), min_size=5, max_size=most))


@pytest.fixture(params=["memory", "disk"])
def world(request: pytest.FixtureRequest) -> World:
    if request.param == "memory":
        return in_memory
    return durable(*map(request.getfixturevalue, ("tmp_path", "databases", "threads")))


FLUSH = [flush(0, 0), flush(0, 1)]
IN_A_FLUSH = [Story.make_meter, Story.post, *FLUSH]
IN_A_BACKFILL = [Story.post, *FLUSH, Story.make_meter, *FLUSH, *[Story.backfill] * 6]
NEWEST = -1

TOKENS = make_meter("tokens", "sum")
BAD = [(NOW, [make_event("bad", {"tokens": "many"}, timestamp=NOW)])]
USAGE_KEY = (TOKENS.account, "tokens", "cust_1", NOW // MINUTE * MINUTE // SECOND, "[]")


@pytest.mark.parametrize("begun", [IN_A_FLUSH, IN_A_BACKFILL], ids=["flush", "backfill"])
def test_what_fails_again_can_be_tried_again(world: World, begun: list[Chapter]) -> None:
    """The first try of a reject decides; failed, it is a reject that names the one before; read at last, it counts."""
    told = [
        *(*begun, trying(0, readable=False), trying(0, readable=True), *FLUSH, trying(0, readable=True), *FLUSH),
        *(trying(NEWEST, 1, readable=False), *FLUSH),
        *(trying(NEWEST, 1, readable=True), trying(NEWEST, readable=True), *FLUSH, trying(NEWEST, readable=True)),
    ]
    counting = tell(world, BAD, [TOKENS], told)
    first, second, _ = [reject.id for reject in counting.rejects]
    assert [reject.replay_of for reject in counting.rejects] == [None, first, second]
    assert counting.usage == {USAGE_KEY: NEWEST}


@pytest.mark.parametrize("begun", [IN_A_FLUSH, IN_A_BACKFILL], ids=["flush", "backfill"])
def test_what_finds_its_meter_archived_is_no_try(world: World, begun: list[Chapter]) -> None:
    """It neither counts nor fails."""
    counting = tell(world, BAD, [TOKENS], [*begun, trying(0, readable=True), Story.archive_meter, *FLUSH])
    assert len(counting.rejects) == 1
    assert counting.usage == {}


@settings(max_examples=100, deadline=None)
@given(posts=uncounted(), meters=meters(), told=tellings(20))
def test_any_tries_in_memory(posts: Posts, meters: Sequence[Meter], told: Sequence[Chapter]) -> None:
    """On the in-memory log and store, any story of rejects tried again ends exactly."""
    tell(in_memory, posts, meters, told)


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(posts=uncounted(), meters=meters(), told=tellings(12))
def test_any_tries_on_disk(
    tmp_path: Path,
    databases: Databases,
    threads: ThreadPoolExecutor,
    posts: Posts,
    meters: Sequence[Meter],
    told: Sequence[Chapter],
) -> None:
    """On SQLite and chDB, any story of rejects tried again ends exactly."""
    tell(durable(tmp_path, databases, threads), posts, meters, told)
