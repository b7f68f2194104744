"""What stories are drawn from."""

from hypothesis import strategies as st

from schemas.timestamps import DAY
from tests.interleavings.interleaving import Interleaving, Operation
from tests.stream_processors.in_memory_pipeline import PARTITIONS

PARTITION = st.integers(0, PARTITIONS - 1)
WORKER = st.integers(0, 1)
SIZE = st.integers(0, 2)
CALLS = st.integers(0, 25)
REJECT = st.integers(0, 3)
PAUSE = st.sampled_from((0, 0, 0, 1, 20 * DAY, 35 * DAY))
"""Few rejects, and mostly at once: so that the same one is tried again and again."""


def operations() -> st.SearchStrategy[Operation]:
    """Everything that can happen, named, so that a failing story reads as one."""
    return st.one_of(
        st.just(Interleaving.post),
        st.just(Interleaving.post),
        st.just(Interleaving.make_meter),
        st.just(Interleaving.archive_meter),
        replays(),
        st.builds(flush, WORKER, PARTITION),
        st.builds(flush, WORKER, PARTITION),
        st.builds(lambda p: _named(f"flush_both({p})", lambda story: story.flush_both(p)), PARTITION),
        st.builds(lambda w, s: _named(f"restart({w}, {s})", lambda story: story.restart(w, s)), WORKER, SIZE),
        st.builds(
            lambda w, p, c, a: _named(f"die({w}, {p}, {c}, {a})", lambda story: story.crash(w, p, c, a)),
            *(WORKER, PARTITION, CALLS, st.booleans()),
        ),
        st.just(Interleaving.backfill),
        st.builds(
            lambda c, a: _named(f"die_in_backfill({c}, {a})", lambda story: story.crash_in_backfill(c, a)),
            *(CALLS, st.booleans()),
        ),
    )


def flush(worker: int, partition: int) -> Operation:
    return _named(f"flush({worker}, {partition})", lambda story: story.flush(worker, partition))


def replays() -> st.SearchStrategy[Operation]:
    return st.builds(lambda which, pause, able: replaying(which, pause, readable=able), REJECT, PAUSE, st.booleans())


def replaying(which: int, pause: int = 0, *, readable: bool) -> Operation:
    return _named(
        f"trying({which}, {pause}, readable={readable})",
        lambda story: story.replay(which, pause, readable=readable),
    )


def _named(name: str, operation: Operation) -> Operation:
    operation.__name__ = name
    return operation
