"""Every start on a damaged log delivers exactly what was acknowledged, or alarms: never anything else."""

import asyncio
import random
from collections import Counter
from pathlib import Path

import pytest

from tests.attack.damaged_log import (
    ACKED,
    ALARM,
    DAMAGES,
    EXACT,
    FILES,
    LOG,
    WAL,
    append_garbage,
    fill,
    outcome_of_start,
    overwrite_the_tail,
)

STARTS = [40, pytest.param(600, marks=pytest.mark.long)]


async def attack(folder: Path, seed: int) -> tuple[str, str, str]:
    """Damages one file of a log once, and starts on it; returns the file, the damage and the outcome."""
    chance = random.Random(seed)
    (folder / "before").mkdir(parents=True)
    acked = await fill(folder / "before", chance, copy_to=folder / "after", checkpoint=chance.random() < 0.5)
    file, damage = folder / "after" / chance.choice(FILES), chance.choice(DAMAGES)
    damage(file, chance)
    first = await outcome_of_start(folder / "after", acked)
    # A second start must not look well after the first one alarmed.
    assert await outcome_of_start(folder / "after", acked) == first
    return file.name, damage.__name__, first


@pytest.mark.parametrize("starts", STARTS)
def test_a_damaged_file_is_exact_or_an_alarm(tmp_path: Path, starts: int) -> None:
    """Bits, cuts, garbage and deletions at random, in each file of the log."""
    found: Counter[tuple[str, str, str]] = Counter()
    for seed in range(starts):
        found[asyncio.run(attack(tmp_path / str(seed), seed))] += 1
    for (file, damage, outcome), times in sorted(found.items()):
        print(f"{file:18} {damage:20} {outcome:6} {times}")
    outcomes = {outcome for _, _, outcome in found}
    assert outcomes == {EXACT, ALARM}
    assert sum(found.values()) == starts


@pytest.mark.parametrize("seed", range(5))
def test_garbage_over_the_tail_of_the_write_ahead_file_is_an_alarm(tmp_path: Path, seed: int) -> None:
    """SQLite drops the last commit without a word: it was acknowledged."""

    async def run() -> str:
        chance = random.Random(seed)
        (tmp_path / "before").mkdir()
        acked = await fill(tmp_path / "before", chance, copy_to=tmp_path / "after", checkpoint=False)
        overwrite_the_tail(tmp_path / "after" / WAL, chance)
        return await outcome_of_start(tmp_path / "after", acked)

    assert asyncio.run(run()) == ALARM


def test_garbage_after_the_tail_harms_nothing(tmp_path: Path) -> None:
    """A commit that was cut off before its ack."""

    async def run() -> str:
        chance = random.Random(0)
        (tmp_path / "before").mkdir()
        acked = await fill(tmp_path / "before", chance, copy_to=tmp_path / "after", checkpoint=False)
        append_garbage(tmp_path / "after" / WAL, chance)
        return await outcome_of_start(tmp_path / "after", acked)

    assert asyncio.run(run()) == EXACT


@pytest.mark.parametrize("lost", [LOG, ACKED])
def test_a_lost_file_is_an_alarm(tmp_path: Path, lost: str) -> None:
    """Also at the second start."""

    async def run() -> list[str]:
        chance = random.Random(0)
        (tmp_path / "before").mkdir()
        acked = await fill(tmp_path / "before", chance, copy_to=tmp_path / "after", checkpoint=True)
        (tmp_path / "after" / lost).unlink()
        return [await outcome_of_start(tmp_path / "after", acked) for _ in range(2)]

    assert asyncio.run(run()) == [ALARM, ALARM]
