"""The contract of every table of flushes."""

import asyncio
import threading

import pytest
from hypothesis import strategies as st

from schemas.flush import UNCOUNTED, Claim, FlushProgress
from tests.contracts.stores import Subject, claim_of


@pytest.mark.anyio
class ClaimsContract:
    """Subclasses give the fixture `subject`."""

    async def test_an_untouched_partition_has_no_progress(self, subject: Subject) -> None:
        """Nothing claimed, nothing done."""
        assert await subject.store.progress(0) is None
        assert await subject.store.read_back(0, 0) == []

    async def test_a_claim_is_read_back_whole(self, subject: Subject) -> None:
        """With its range and its version, and not as done."""
        claim = claim_of(partition=3, first=5, last=8, version=7)
        await subject.store.claim(claim)
        assert await subject.store.read_back(3, 0) == [FlushProgress(claim=claim, done=False)]
        assert await subject.store.progress(3) == FlushProgress(claim=claim, done=False)

    async def test_the_first_claim_of_a_number_wins(self, subject: Subject) -> None:
        """A second one, with other frames and another version, changes nothing."""
        await subject.store.claim(claim_of(last=9, version=1))
        await subject.rival.claim(claim_of(last=4, version=2))
        assert await subject.rival.read_back(0, 0) == [FlushProgress(claim=claim_of(last=9, version=1), done=False)]

    async def test_nothing_is_claimed_below_a_higher_claim(self, subject: Subject) -> None:
        """A late claim of an old number is not stored, and reading back returns the higher one."""
        await subject.store.claim(claim_of(number=4, first=40, last=49))
        await subject.rival.claim(claim_of(number=3, first=30, last=39))
        assert [progress.claim.number for progress in await subject.rival.read_back(0, 3)] == [4]

    async def test_progress_is_the_highest_claim_and_whether_it_is_done(self, subject: Subject) -> None:
        """Done flushes below it make no difference."""
        first, second = claim_of(number=0), claim_of(number=1, first=10, last=19)
        await subject.store.claim(first)
        await subject.store.finish(0, 0, UNCOUNTED)
        assert await subject.store.progress(0) == FlushProgress(claim=first, done=True)
        await subject.store.claim(second)
        assert await subject.store.progress(0) == FlushProgress(claim=second, done=False)
        assert await subject.store.read_back(0, 0) == [
            FlushProgress(claim=first, done=True),
            FlushProgress(claim=second, done=False),
        ]

    async def test_a_barrier_flush_can_be_claimed_before_any_frame(self, subject: Subject) -> None:
        """Its empty range ends one before its first offset, even before offset 0."""
        barrier = claim_of(first=0, last=-1, version=2)
        await subject.store.claim(barrier)
        progress = await subject.store.progress(0)
        assert progress is not None
        assert progress.claim == barrier
        assert progress.claim.is_barrier

    async def test_finishing_twice_is_finishing_once(self, subject: Subject) -> None:
        """After a lost reply the call is repeated."""
        await subject.store.claim(claim_of())
        await subject.store.finish(0, 0, UNCOUNTED)
        await subject.rival.finish(0, 0, UNCOUNTED)
        assert await subject.store.read_back(0, 0) == [FlushProgress(claim=claim_of(), done=True)]

    async def test_partitions_are_independent(self, subject: Subject) -> None:
        """The same number in two partitions is two flushes."""
        await subject.store.claim(claim_of(partition=1, last=1))
        await subject.store.claim(claim_of(partition=2, last=2))
        await subject.store.finish(2, 0, UNCOUNTED)
        assert await subject.store.progress(1) == FlushProgress(claim=claim_of(partition=1, last=1), done=False)
        assert await subject.store.progress(2) == FlushProgress(claim=claim_of(partition=2, last=2), done=True)

    async def test_of_racing_claims_one_wins(self, subject: Subject) -> None:
        """Many workers in separate threads and event loops claim one number: all read back the same claim."""
        claims = [claim_of(last=last) for last in range(1, 7)]
        read: list[Claim] = []

        async def race(claim: Claim) -> None:
            await subject.store.claim(claim)
            read.extend(progress.claim for progress in await subject.store.read_back(0, 0))

        rivals = [threading.Thread(target=asyncio.run, args=(race(claim),)) for claim in claims]
        for rival in rivals:
            rival.start()
        for rival in rivals:
            await asyncio.to_thread(rival.join)
        assert len(read) == len(claims)
        assert len(set(read)) == 1

    async def test_activation_is_the_first_flush_with_the_version(self, subject: Subject) -> None:
        """None while no claim has it; a newer version counts as well."""
        assert await subject.store.activation(0, 1) is None
        for number, version in enumerate([1, 1, 3, 4]):
            await subject.store.claim(claim_of(number=number, version=version))
        found = [await subject.store.activation(0, version) for version in range(1, 6)]
        assert found == [0, 2, 2, 3, None]
        assert await subject.store.activation(1, 1) is None


Step = tuple[str, int, int, int, bool]

STEPS = st.lists(
    st.tuples(
        st.sampled_from(["claim", "finish"]), st.integers(0, 4), st.integers(0, 3), st.integers(1, 3), st.booleans()
    ),
    max_size=15,
)


async def first_claims_stand(subject: Subject, steps: list[Step]) -> None:
    """The claims that are stored: those without an earlier claim of the same number or a higher one."""
    expected: dict[int, Claim] = {}
    for step, number, last, version, is_rival in steps:
        store = subject.rival if is_rival else subject.store
        if step == "finish":
            await store.finish(0, number, UNCOUNTED)
            continue
        await store.claim(claim_of(number=number, last=last, version=version))
        if number > max(expected, default=-1):
            expected[number] = claim_of(number=number, last=last, version=version)
    # As a boot: directly after a claim, the answer is what was read with it.
    await subject.store.progress(0)
    read = await subject.store.read_back(0, 0)
    assert [progress.claim for progress in read] == list(expected.values())
