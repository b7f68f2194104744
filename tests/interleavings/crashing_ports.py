"""Ports whose caller crashes at one of their calls, before it takes effect or after it without the reply."""

from collections.abc import Callable
from typing import Any


class Crashed(Exception):
    """The simulated end of the process."""


class CrashPoint:
    """The call, counted over all ports of one process, at which the process crashes."""

    def __init__(self, calls: int, *, after: bool) -> None:
        self._calls = calls
        self._after = after

    async def pass_on(self, call: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        self._calls -= 1
        if self._calls >= 0:
            return await call(*arguments, **named)
        if self._after:
            await call(*arguments, **named)
        raise Crashed


class CrashingPort:
    """A port whose calls pass through a crash point. Streams, which only read, are passed on unchanged."""

    def __init__(self, port: Any, crash_point: CrashPoint) -> None:
        self._port = port
        self._fate = crash_point

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._port, name)
        if name in ("all_hashes", "read_events"):
            return call

        async def crashing(*arguments: Any, **named: Any) -> Any:
            return await self._fate.pass_on(call, *arguments, **named)

        return crashing
