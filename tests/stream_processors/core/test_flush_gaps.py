"""Lost claims are derived from what is left: without gaps, with every event in its own flush."""

import numpy as np
import pytest

from schemas.flush import Claim
from stream_processors.core.flush_gaps import ClaimGap, derived_claims, runs_missing


def claim(number: int, first: int, last: int, version: int = 1) -> Claim:
    return Claim(partition=0, number=number, first=first, last=last, version=version)


def gap(first: int, last: int, **known: object) -> ClaimGap:
    given: dict[str, object] = {
        "before": None,
        "after": None,
        "offsets": {},
        "counted": frozenset(),
        "position": -1,
        "newest_version": 1,
    }
    return ClaimGap(partition=0, first=first, last=last, **(given | known))  # type: ignore[arg-type]


def test_a_single_lost_claim_is_exactly_what_it_was() -> None:
    """It begins and ends where its neighbours do."""
    found = derived_claims(gap(4, 4, before=claim(3, 10, 12), after=claim(5, 20, 22)))
    assert found == ([claim(4, 13, 19)], True)


def test_a_run_is_cut_by_its_events() -> None:
    """A flush without events and with a receipt had duplicates alone; one without either was a barrier."""
    known = {"offsets": {4: (14, 15)}, "counted": frozenset({4, 5})}
    found = derived_claims(gap(4, 7, before=claim(3, 10, 12), after=claim(8, 20, 22), **known))
    assert found.claims == [claim(4, 13, 15), claim(5, 16, 16), claim(6, 17, 16), claim(7, 17, 19)]


def test_the_last_claim_ends_where_the_log_is_counted() -> None:
    """Frames of duplicates leave no events."""
    found = derived_claims(gap(4, 5, before=claim(3, 10, 12), offsets={4: (13, 14), 5: (15, 16)}, position=18))
    assert found == ([claim(4, 13, 14), claim(5, 15, 18)], True)


@pytest.mark.parametrize(
    ("known", "version"),
    [
        ({"before": claim(3, 10, 12), "after": claim(5, 20, 22, 2)}, 1),
        ({"before": claim(3, 10, 12), "newest_version": 2}, 2),
        ({"after": claim(5, 20, 22, 2)}, 2),
        ({"newest_version": 3}, 3),
    ],
)
def test_a_meter_set_that_is_a_choice_is_called_one(known: dict[str, object], version: int) -> None:
    """A new meter may have been activated in the gap."""
    found = derived_claims(gap(4, 4, **known))
    assert (found.is_certain, found.claims[0].version) == (False, version)


def test_missing_numbers_are_found_in_runs() -> None:
    """At the start, in the middle and at the end."""
    assert runs_missing(np.array([2, 3, 7], dtype=np.int64), 9) == [(0, 1), (4, 6), (8, 9)]
    assert runs_missing(np.array([0, 1, 2], dtype=np.int64), 2) == []
    assert runs_missing(np.array([], dtype=np.int64), -1) == []
