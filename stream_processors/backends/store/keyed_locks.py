"""Mutual exclusion by key, for callers on any thread and in any event loop, with a memory for each key."""

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Hashable
from concurrent.futures import Future
from contextlib import asynccontextmanager
from typing import Generic, TypeVar

_Known = TypeVar("_Known")


class SectionMemory(Generic[_Known]):
    """What the holders of one section know of it. It is lost when one of them leaves with an error."""

    def __init__(self) -> None:
        self.known: _Known | None = None


class KeyedLocks(Generic[_Known]):
    """One lock per section, granted in the order of the requests.

    An asyncio lock belongs to one loop, and a waiter for a thread's lock cannot be cancelled; these locks have neither
    limit.
    """

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._waiting: dict[Hashable, deque[Future[None]]] = {}
        """The waiters of every section that is held."""
        self._memories: dict[Hashable, SectionMemory[_Known]] = {}
        """The memories of the sections about which something is known."""

    @asynccontextmanager
    async def hold(self, section: Hashable) -> AsyncIterator[SectionMemory[_Known]]:
        turn = self._queue_up(section)
        if turn is not None:
            await self._wait(section, turn)
        memory = self._memories.setdefault(section, SectionMemory())
        try:
            yield memory
        except BaseException:
            memory.known = None
            raise
        finally:
            if memory.known is None:
                del self._memories[section]
            self._leave(section)

    def _queue_up(self, section: Hashable) -> Future[None] | None:
        """None if the section was free, and is now held."""
        with self._guard:
            if section not in self._waiting:
                self._waiting[section] = deque()
                return None
            turn: Future[None] = Future()
            self._waiting[section].append(turn)
            return turn

    async def _wait(self, section: Hashable, turn: Future[None]) -> None:
        try:
            await asyncio.shield(asyncio.wrap_future(turn))
        except BaseException:
            if not self._cancel_turn(section, turn):
                self._leave(section)
            raise

    def _cancel_turn(self, section: Hashable, turn: Future[None]) -> bool:
        """Leaves the queue; False if the section was granted in the meantime."""
        with self._guard:
            waiting = self._waiting[section]
            if turn not in waiting:
                return False
            waiting.remove(turn)
            return True

    def _leave(self, section: Hashable) -> None:
        with self._guard:
            waiting = self._waiting[section]
            if not waiting:
                del self._waiting[section]
                return
            turn = waiting.popleft()
        turn.set_result(None)
