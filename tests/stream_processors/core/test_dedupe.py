"""The first event of a key wins."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from schemas.event import EventFlag, Verdict
from schemas.flush import SeenRows
from stream_processors.core.bloom import BloomFilter
from stream_processors.core.dedupe import (
    Classification,
    KeyColumns,
    KeyLookupResult,
    classify,
    classify_one_by_one,
    halves_of,
    keys_to_look_up,
)
from stream_processors.core.flush_plan import assemble
from tests import oracle
from tests.factories import NOTHING_KNOWN, NOW, WINDOW, Event, make_event, make_frame
from tests.strategies import batches
from tests.stream_processors.core.flush_sequence import as_frames

Posted = list[tuple[int, list[Event]]]


def verdicts(judgement: Classification) -> list[Verdict]:
    masks = np.stack([judgement.first, judgement.duplicate, judgement.conflict])
    assert (masks.sum(axis=0) == 1).all()
    names = (Verdict.ACCEPTED, Verdict.DUPLICATE, Verdict.CONFLICT)
    return [names[number] for number in masks.argmax(axis=0)]


@given(batches(odd=False))
def test_within_a_flush_the_oracle_agrees(posted: Posted) -> None:
    """Repeats inside one flush, of the same body and of another, within the window and past it."""
    events = [event for _, batch in posted for event in batch]
    arrivals = [arrival for arrival, batch in posted for _ in batch]
    judged = verdicts(classify(assemble(as_frames(posted)), NOTHING_KNOWN, WINDOW))
    assert judged == oracle.verdicts(events, arrivals)


@st.composite
def knowledge(draw: st.DrawFn, posted: Posted) -> KeyLookupResult:
    """Stored rows of some of the keys, of any age, with the same body or another."""
    events = {event.key_hash: event.body_hash for _, batch in posted for event in batch}
    found = []
    for _ in range(2):
        keys = draw(st.lists(st.sampled_from(sorted(events)), unique=True)) if events else []
        bodies = [draw(st.sampled_from((events[key], 1))) for key in keys]
        ages = [draw(st.sampled_from((1, WINDOW - 1, WINDOW, WINDOW + 1, 2 * WINDOW))) for _ in keys]
        found.append(SeenRows(keys, bodies, [NOW - age for age in ages]))
    return KeyLookupResult(*found)


@given(batches(odd=False), st.data())
def test_whole_flushes_are_classified_as_event_by_event(posted: Posted, data: st.DataObject) -> None:
    """The vectorised code and the definition agree for any stored keys."""
    known = data.draw(knowledge(posted))
    events = assemble(as_frames(posted))
    assert verdicts(classify(events, known, WINDOW)) == verdicts(
        classify_one_by_one(KeyColumns.of(events), known, WINDOW)
    )


def test_only_possibly_stored_keys_are_looked_up_each_once() -> None:
    """In `seen` the keys that the filter may contain; in `events` those under the backfill scope."""
    old, new, late = make_event("old"), make_event("new"), make_event("late", flags=EventFlag.BACKFILL)
    events = assemble([make_frame([old, new, late, old, late])])
    keys = BloomFilter.sized_for(100)
    keys.add(halves_of(assemble([make_frame([old])])["key_hash"]))
    question = keys_to_look_up(events, keys.may_contain)
    assert (question.seen, question.events) == ([old.key_hash], [late.key_hash])


def test_a_flush_without_events_looks_up_nothing() -> None:
    """A barrier flush has none."""
    nothing = assemble(())
    question = keys_to_look_up(nothing, BloomFilter.sized_for(1).may_contain)
    assert (question.seen, question.events) == ([], [])
    assert verdicts(classify(nothing, NOTHING_KNOWN, WINDOW)) == []
