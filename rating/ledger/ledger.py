"""Opens a ledger, with its engine, its threads and the ports on top, and closes it."""

import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import NamedTuple

from rating.ledger.accounts import SqlAccounts
from rating.ledger.api_keys import NewSecret, SqlApiKeys
from rating.ledger.audit_log import SqlAuditLog
from rating.ledger.billing import SqlBillingLedger
from rating.ledger.billing_settings import SqlBillingSettings
from rating.ledger.credit_notes import SqlCreditNotes
from rating.ledger.credits import SqlCredits
from rating.ledger.customers import SqlCustomers
from rating.ledger.database import THREADS, Database, writer_count
from rating.ledger.engine import create_engine
from rating.ledger.invoice_runs import SqlInvoiceRuns
from rating.ledger.invoices import SqlInvoices
from rating.ledger.meters import SqlMeters
from rating.ledger.plans import SqlPlans
from rating.ledger.reject_replays import SqlRejectReplays
from rating.ledger.signup_links import SqlSignupLinks
from rating.ledger.subscriptions import SqlSubscriptions
from rating.ledger.unit_of_work import Transactions
from schemas.ids import new_cuid
from schemas.timestamps import SECOND


class Ledger(NamedTuple):
    """The adapters of one open ledger, one for each port."""

    accounts: SqlAccounts
    api_keys: SqlApiKeys
    meters: SqlMeters
    reject_replays: SqlRejectReplays
    customers: SqlCustomers
    invoices: SqlInvoices
    credit_notes: SqlCreditNotes
    billing_settings: SqlBillingSettings
    plans: SqlPlans
    subscriptions: SqlSubscriptions
    credits: SqlCredits
    signup_links: SqlSignupLinks
    billing: SqlBillingLedger
    invoice_runs: SqlInvoiceRuns
    audit: SqlAuditLog


def skip_migration(url: str) -> None:
    """A `prepare` for a ledger that is known to be at the newest version."""


@contextmanager
def open_ledger(
    url: str,
    clock: Callable[[], int],
    new_secret: NewSecret = lambda: secrets.token_urlsafe(32),
    *,
    prepare: Callable[[str], None],
) -> Iterator[Ledger]:
    """The ledger at `url` (`sqlite:///path` or `postgresql://…`). `clock` gives microseconds.

    `prepare` migrates the ledger to the newest version (`migrate`), or only checks it if another process does that
    (`require_newest`).
    """

    def new_id() -> str:
        return new_cuid(clock() * 1000 // SECOND)

    prepare(url)
    engine = create_engine(url)
    try:
        with (
            ThreadPoolExecutor(THREADS, thread_name_prefix="ledger") as readers,
            ThreadPoolExecutor(writer_count(engine), thread_name_prefix="ledger-writer") as writers,
        ):
            database = Database(engine, readers, writers)
            transactions = Transactions(database, clock, new_id)
            yield Ledger(
                accounts=SqlAccounts(database, clock, new_id, new_secret),
                api_keys=SqlApiKeys(database, transactions, clock, new_secret),
                meters=SqlMeters(database, transactions),
                reject_replays=SqlRejectReplays(transactions),
                customers=SqlCustomers(database, transactions),
                invoices=SqlInvoices(database, transactions),
                credit_notes=SqlCreditNotes(database, transactions),
                billing_settings=SqlBillingSettings(database, transactions),
                plans=SqlPlans(database, transactions),
                subscriptions=SqlSubscriptions(database, transactions),
                credits=SqlCredits(database, transactions, clock),
                signup_links=SqlSignupLinks(database, transactions, clock, new_secret),
                billing=SqlBillingLedger(database, transactions, clock),
                invoice_runs=SqlInvoiceRuns(database, transactions, clock),
                audit=SqlAuditLog(database),
            )
    finally:
        engine.dispose()
