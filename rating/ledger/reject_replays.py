"""Rejects tried again, kept with the request that asked for it. The trying itself is the log's."""

from rating.ledger.unit_of_work import Work, Works
from schemas.command import Act, Done
from schemas.listing import Retried


class SqlRetries:
    """What was answered; and the audit log tells who tried again what."""

    def __init__(self, works: Works) -> None:
        self._works = works

    async def before(self, act: Act) -> Retried | None:
        """What the same request was answered before; None if it is the first one. Raises Conflict for another one."""
        return await self._works.answered(act, Retried)

    async def keep(self, act: Act, retried: Retried) -> Done[Retried]:
        """Of requests that were at work at once under one key, the first to come here is the one that counts."""
        return await self._works.change(act, Retried, lambda work: _noted(work, retried))


def _noted(work: Work, retried: Retried) -> Retried:
    if retried.replayed:
        work.note("rejects.replay", "rejects", after={"replayed": retried.replayed})
    return retried
