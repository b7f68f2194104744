"""Changes that share a commit: each is applied as a whole or not at all, independently of the others."""

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

TIMEOUT = 10.0

_metadata = sa.MetaData()
_parents = sa.Table("parents", _metadata, sa.Column("id", sa.Integer, primary_key=True))
_children = sa.Table(
    "children",
    _metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("parent", sa.ForeignKey("parents.id", deferrable=True, initially="DEFERRED"), nullable=False),
)


class Shop:
    """A database with one writer, whose commits are counted and which can be kept busy."""

    def __init__(self, path: Path) -> None:
        engine = create_engine(f"sqlite:///{path}")
        _metadata.create_all(engine)
        self.engine = engine.execution_options(**{WRITE_OPTION: True})
        self.thread = ThreadPoolExecutor(1)
        self.group_commit = GroupCommit(self.engine, self.thread)
        self.commits = 0
        event.listen(engine, "commit", self._count)

    def _count(self, _connection: object) -> None:
        self.commits += 1

    async def at_once(self, *changes: Callable[[sa.Connection], Any]) -> list[Any]:
        """The outcomes of changes that all wait before the first of them is applied."""
        gate = threading.Event()
        self.thread.submit(gate.wait, TIMEOUT)
        waiting = [asyncio.ensure_future(self.group_commit.write(change)) for change in changes]
        await asyncio.sleep(0)  # Each has started, and waits in the queue.
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
    """Violates a reference, which only the commit checks."""
    connection.execute(sa.insert(_children), {"id": 1, "parent": 999})


def test_changes_that_wait_together_share_a_commit(shop: Shop) -> None:
    """Each gets its own answer."""
    assert asyncio.run(shop.at_once(*(add(number) for number in range(50)))) == list(range(50))
    assert shop.parents() == list(range(50))
    assert shop.commits == 1


def test_a_refused_change_leaves_nothing_and_affects_no_other(shop: Shop) -> None:
    """Its own writes are undone; the changes before and after it are committed."""
    first, refused, last = asyncio.run(shop.at_once(add(1), refused_after(2), add(3)))
    assert (first, last) == (1, 3)
    assert isinstance(refused, NotFound)
    assert shop.parents() == [1, 3]


def test_a_refused_change_alone_leaves_nothing(shop: Shop) -> None:
    """As with other changes in the same commit."""
    (refused,) = asyncio.run(shop.at_once(refused_after(2)))
    assert isinstance(refused, NotFound)
    assert shop.parents() == []


def test_a_change_sees_those_before_it(shop: Shop) -> None:
    """The second that adds the same row is a conflict, and the first is committed."""
    first, second = asyncio.run(shop.at_once(add(1), add(1)))
    assert first == 1
    assert isinstance(second, Conflict)
    assert shop.parents() == [1]


def test_a_failed_commit_fails_all_its_changes(shop: Shop) -> None:
    """No change is confirmed that was not committed."""
    outcomes = asyncio.run(shop.at_once(add(1), orphan, add(2)))
    assert all(isinstance(outcome, Conflict) for outcome in outcomes)
    assert shop.parents() == []
    assert asyncio.run(shop.at_once(add(3))) == [3]


def test_a_change_canceled_while_it_waits_is_not_applied(shop: Shop) -> None:
    """The other waiting changes are committed."""

    async def story() -> int:
        gate = threading.Event()
        shop.thread.submit(gate.wait, TIMEOUT)
        gone, stays = (asyncio.ensure_future(shop.group_commit.write(add(number))) for number in (1, 2))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.wait([gone])
        gate.set()
        return await stays

    assert asyncio.run(story()) == 2
    assert shop.parents() == [2]
