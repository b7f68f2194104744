"""Rejects tried again, kept with the request that asked for it. The trying itself is the log's."""

from rating.ledger.unit_of_work import Transactions, UnitOfWork
from schemas.command import Applied, Command
from schemas.listing import ReplayResult


class SqlRejectReplays:
    """What was answered; and the audit log tells who tried again what."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    async def before(self, command: Command) -> ReplayResult | None:
        """What the same request was answered before; None if it is the first one. Raises Conflict for another one."""
        return await self._transactions.stored_answer(command, ReplayResult)

    async def keep(self, command: Command, retried: ReplayResult) -> Applied[ReplayResult]:
        """Of requests that were at work at once under one key, the first to come here is the one that counts."""
        return await self._transactions.change(command, ReplayResult, lambda work: _audited(work, retried))


def _audited(work: UnitOfWork, retried: ReplayResult) -> ReplayResult:
    if retried.replayed:
        work.audit("rejects.replay", "rejects", after={"replayed": retried.replayed})
    return retried
