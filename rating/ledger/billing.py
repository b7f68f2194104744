"""Billing in the ledger: which turns are due, and keeping what they ask for, each once."""

from collections.abc import Callable, Sequence

import msgspec
import sqlalchemy as sa

from rating.core.cycle_step import Turn
from rating.core.keeping import Bill, Kept
from rating.core.rated_period import Acceptance
from rating.ledger.billing_settings import settings_of
from rating.ledger.database import Database
from rating.ledger.drafting import draft_invoices, preview_invoice
from rating.ledger.finalization import finalize_invoices
from rating.ledger.invoice_tables import billed_periods
from rating.ledger.rated_periods import remember
from rating.ledger.renewals import count_due, due_subscriptions, next_turns, roll_forward
from rating.ledger.subscription_rows import subscription_of
from rating.ledger.unit_of_work import Change, Work, Works
from schemas.command import Act
from schemas.errors import Conflict
from schemas.ids import AccountId
from schemas.invoice import Invoice, NewInvoice

ACTOR = "invoice run"


class SqlBilling:
    """The turns of all accounts."""

    def __init__(self, database: Database, works: Works, clock: Callable[[], int]) -> None:
        self._database = database
        self._works = works
        self._clock = clock

    async def count_due(self, account: AccountId | None, as_of: int) -> int:
        """How many subscriptions have something to bill."""
        return await self._database.read(lambda connection: count_due(connection, account, as_of))

    async def due(self, account: AccountId | None, as_of: int, after: str | None, limit: int) -> Sequence[Turn]:
        """Their next turns, by subscription, `after` the last one seen."""

        def ask(connection: sa.Connection) -> Sequence[Turn]:
            return next_turns(connection, due_subscriptions(connection, account, as_of, after, limit))

        return await self._database.read(ask)

    async def next_turn(self, account: AccountId, subscription_id: str) -> Turn:
        """Due or not. Raises NotFound, or Conflict where nothing more will be billed."""

        def ask(connection: sa.Connection) -> Turn:
            subscription = subscription_of(connection, account, subscription_id)
            if subscription.due_at is None:
                raise Conflict(
                    f"subscription {subscription_id} is {subscription.status.value}: nothing of it will be billed",
                    code="NOTHING_TO_BILL",
                )
            return next_turns(connection, [subscription])[0]

        return await self._database.read(ask)

    async def preview(self, account: AccountId, new: NewInvoice) -> Invoice:
        """With its figures; it is kept nowhere."""
        act = Act(account=account, actor=ACTOR, request_id="")

        def ask(connection: sa.Connection) -> Invoice:
            return preview_invoice(Work(connection, act, self._clock(), lambda: ""), new)

        return await self._database.read(ask)

    async def keep(self, run_id: str, bills: Sequence[Bill], acceptance: Acceptance) -> Kept:
        """Take these turns of one account, and keep what they are billed: all of it or nothing."""
        act = Act(account=bills[0].turn.before.account, actor=ACTOR, request_id=run_id)
        done = await self._works.change(act, Kept, lambda work: keep_bills(work, bills, acceptance))
        return done.answer


def keep_bills(work: Work, bills: Sequence[Bill], acceptance: Acceptance) -> Kept:
    """The same within a transaction."""
    rolled = {turn.before.id for turn in roll_forward(work, [bill.turn_to_take(acceptance) for bill in bills])}
    taken = tuple(bill for bill in bills if bill.turn.before.id in rolled)
    asked = [bill.invoice for bill in taken if bill.invoice is not None]
    held = [bill.held for bill in taken if bill.held is not None]
    made = draft_invoices(work, asked + held)
    drafts = iter(made)
    rows = [_row(work, bill, None if bill.invoice is None else next(drafts).id) for bill in taken]
    if rows:
        work.connection.execute(sa.insert(billed_periods), rows)
    remember(work, taken, acceptance)
    dropped = [Change(bill.turn.before.id, after=bill.dropped) for bill in taken if bill.dropped is not None]
    work.note_all("usage.drop", dropped)
    return Kept(taken=taken, invoices=(*_finished(work, made[: len(asked)]), *made[len(asked) :]))


def _finished(work: Work, drafts: Sequence[Invoice]) -> Sequence[Invoice]:
    """Final, where the account wants that."""
    if drafts and settings_of(work.connection, work.account).auto_finalize:
        return finalize_invoices(work, [draft.id for draft in drafts])
    return drafts


def _row(work: Work, bill: Bill, invoice_id: str | None) -> dict[str, object]:
    return {
        "subscription_id": bill.turn.before.id,
        "kind": bill.turn.kind.value,
        "boundary": bill.turn.boundary,
        "invoice_id": invoice_id,
        "watermark": None if bill.watermark is None else msgspec.json.encode(bill.watermark.flushes).decode(),
        "created_at": work.now,
    }
