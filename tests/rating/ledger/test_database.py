"""Changes that share a commit: each is whole or not at all, whatever becomes of the others."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event

from rating.ledger.database import GroupCommit
from rating.ledger.engine import WRITE_OPTION, create_engine
from schemas.errors import Conflict, NotFound

PATIENCE = 10.0

_metadata = sa.MetaData()
_parents = sa.Table("parents", _metadata, sa.Column("id", sa.Integer, primary_key=True))
_children = sa.Table(
    "children",
    _metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("parent", sa.ForeignKey("parents.id", deferrable=True, initially="DEFERRED"), nullable=False),
)


class Shop:
    """A database with one writer, whose commits are counted and who can be kept busy."""

    def __init__(self, path: Path) -> None:
        engine = create_engine(f"sqlite:///{path}")
        _metadata.create_all(engine)
        self.engine = engine.execution_options(**{WRITE_OPTION: True})
        self.thread = ThreadPoolExecutor(1)
        self.together = GroupCommit(self.engine, self.thread)
        self.commits = 0
        event.listen(engine, "commit", self._count)

    def _count(self, _connection: object) -> None:
        self.commits += 1

    async def at_once(self, *changes: Callable[[sa.Connection], Any]) -> list[Any]:
        """The changes all wait before the first of them is made; what each came to."""
        gate = threading.Event()
        self.thread.submit(gate.wait, PATIENCE)
        waiting = [asyncio.ensure_future(self.together.write(change)) for change in changes]
        await asyncio.sleep(0)  # Each has begun, and waits in line.
        gate.set()
        return await asyncio.gather(*waiting, return_exceptions=True)

    def parents(self) -> list[int]:
        with self.engine.connect() as connection:
            return list(connection.scalars(sa.select(_parents.c.id).order_by(_parents.c.id)))

    def close(self) -> None:
        self.thread.shutdown()
        self.engine.dispose()


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    opened = Shop(tmp_path / "shop.db")
    yield opened
    opened.close()


def add(number: int) -> Callable[[sa.Connection], int]:
    def change(connection: sa.Connection) -> int:
        connection.execute(sa.insert(_parents), {"id": number})
        return number

    return change


def refused_after(number: int) -> Callable[[sa.Connection], int]:
    def change(connection: sa.Connection) -> int:
        add(number)(connection)
        raise NotFound("there is no such thing")

    return change


def orphan(connection: sa.Connection) -> None:
    """Seen only by the commit."""
    connection.execute(sa.insert(_children), {"id": 1, "parent": 999})


def test_what_waits_at_the_same_moment_is_committed_at_once(shop: Shop) -> None:
    """One commit for all of them, and each hears its own answer."""
    assert asyncio.run(shop.at_once(*(add(number) for number in range(50)))) == list(range(50))
    assert shop.parents() == list(range(50))
    assert shop.commits == 1


def test_a_refused_change_leaves_nothing_and_takes_nobody_along(shop: Shop) -> None:
    """Neither what it wrote before it was refused, nor what others wrote before and after it."""
    first, refused, last = asyncio.run(shop.at_once(add(1), refused_after(2), add(3)))
    assert (first, last) == (1, 3)
    assert isinstance(refused, NotFound)
    assert shop.parents() == [1, 3]


def test_a_refused_change_alone_leaves_nothing(shop: Shop) -> None:
    """As where others are there."""
    (refused,) = asyncio.run(shop.at_once(refused_after(2)))
    assert isinstance(refused, NotFound)
    assert shop.parents() == []


def test_a_change_sees_those_before_it(shop: Shop) -> None:
    """So the second that adds the same thing is a conflict, and the first stays."""
    first, second = asyncio.run(shop.at_once(add(1), add(1)))
    assert first == 1
    assert isinstance(second, Conflict)
    assert shop.parents() == [1]


def test_where_the_commit_fails_everyone_hears_it(shop: Shop) -> None:
    """Nobody is told that something was kept that was not."""
    outcomes = asyncio.run(shop.at_once(add(1), orphan, add(2)))
    assert all(isinstance(outcome, Conflict) for outcome in outcomes)
    assert shop.parents() == []
    assert asyncio.run(shop.at_once(add(3))) == [3]


def test_whoever_has_gone_before_his_turn_changes_nothing(shop: Shop) -> None:
    """The rest of those who wait are not held up by it."""

    async def story() -> int:
        gate = threading.Event()
        shop.thread.submit(gate.wait, PATIENCE)
        gone, stays = (asyncio.ensure_future(shop.together.write(add(number))) for number in (1, 2))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.wait([gone])
        gate.set()
        return await stays

    assert asyncio.run(story()) == 2
    assert shop.parents() == [2]
