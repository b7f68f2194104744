"""Replays of rejects in the ledger: each result, stored under the Idempotency-Key of its request."""

from rating.ledger.unit_of_work import Transactions, UnitOfWork
from schemas.command import Applied, Command
from schemas.listing import ReplayResult


class SqlRejectReplays:
    """The replay results of all accounts. The replay itself is in the event log; the audit log has who requested it."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    async def find(self, command: Command) -> ReplayResult | None:
        """The result of the same request, if it was made before. Raises Conflict for another request under its key."""
        return await self._transactions.stored_answer(command, ReplayResult)

    async def record(self, command: Command, result: ReplayResult) -> Applied[ReplayResult]:
        """Stores the result. Of concurrent requests under one key, the first to be recorded counts."""
        return await self._transactions.change(command, ReplayResult, lambda work: _audited(work, result))


def _audited(work: UnitOfWork, result: ReplayResult) -> ReplayResult:
    if result.replayed:
        work.audit("rejects.replay", "rejects", after={"replayed": result.replayed})
    return result
