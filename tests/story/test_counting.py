"""Whatever happens, in whatever order: usage, rejects and events are exactly what a plain count of the posts says."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.meter import Meter
from tests.conftest import Databases
from tests.factories import Event
from tests.story.story import Chapter, Story
from tests.story.worlds import World, durable, in_memory
from tests.strategies import batches, meter_lists
from tests.stream_processors.counting import PARTITIONS

PARTITION = st.integers(0, PARTITIONS - 1)
WORKER = st.integers(0, 1)
SIZE = st.integers(0, 2)
CALLS = st.integers(0, 25)


def chapters() -> st.SearchStrategy[Chapter]:
    """Named, so that a failing story reads as one."""
    return st.one_of(
        st.just(Story.post),
        st.just(Story.post),
        st.just(Story.make_meter),
        st.builds(lambda w, p: _named(f"flush({w}, {p})", lambda story: story.flush(w, p)), WORKER, PARTITION),
        st.builds(lambda w, p: _named(f"flush({w}, {p})", lambda story: story.flush(w, p)), WORKER, PARTITION),
        st.builds(lambda p: _named(f"flush_both({p})", lambda story: story.flush_both(p)), PARTITION),
        st.builds(lambda w, s: _named(f"restart({w}, {s})", lambda story: story.restart(w, s)), WORKER, SIZE),
        st.builds(
            lambda w, p, c, a: _named(f"die({w}, {p}, {c}, {a})", lambda story: story.die(w, p, c, a)),
            *(WORKER, PARTITION, CALLS, st.booleans()),
        ),
        st.just(Story.backfill),
        st.builds(
            lambda c, a: _named(f"die_in_backfill({c}, {a})", lambda story: story.die_in_backfill(c, a)),
            *(CALLS, st.booleans()),
        ),
    )


def _named(name: str, chapter: Chapter) -> Chapter:
    chapter.__name__ = name
    return chapter


def tell(
    world: World, posts: Sequence[tuple[int, list[Event]]], meters: Sequence[Meter], told: Sequence[Chapter]
) -> None:
    async def run() -> None:
        async with world() as counting:
            story = Story(counting, posts, meters)
            for chapter in told:
                await chapter(story)
            await story.end()

    asyncio.run(run())


@settings(max_examples=100, deadline=None)
@given(posts=batches(), meters=meter_lists(), told=st.lists(chapters(), min_size=3, max_size=25))
def test_any_story_in_memory(
    posts: Sequence[tuple[int, list[Event]]], meters: Sequence[Meter], told: Sequence[Chapter]
) -> None:
    """On the in-memory log and store, any story ends exactly."""
    tell(in_memory, posts, meters, told)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(posts=batches(), meters=meter_lists(), told=st.lists(chapters(), min_size=3, max_size=15))
def test_any_story_on_disk(
    tmp_path: Path,
    databases: Databases,
    threads: ThreadPoolExecutor,
    posts: Sequence[tuple[int, list[Event]]],
    meters: Sequence[Meter],
    told: Sequence[Chapter],
) -> None:
    """On SQLite and chDB, any story ends exactly."""
    tell(durable(tmp_path, databases, threads), posts, meters, told)
