"""What the billing API needs from inside: one port per resource. Changes carry their command and may be replays.

A change of another account's record raises NotFound, as for one that does not exist.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from schemas.audit import AuditQuery
from schemas.billing_settings import BillingSettings, SettingsChanges
from schemas.command import Applied, Command
from schemas.credit import CreditGrant, NewCreditGrant
from schemas.credit_note import CreditNote, CreditNoteResult, NewCreditNote
from schemas.customer import Balance, Customer, CustomerChanges, CustomerSearch, NewCustomer
from schemas.ids import AccountId
from schemas.invoice import (
    Invoice,
    InvoiceChanges,
    InvoiceQuery,
    LineChanges,
    NewInvoice,
    NewLine,
    PublicInvoice,
)
from schemas.invoice_audit import InvoiceAudit
from schemas.invoice_run import InvoiceRunRecord, RunRequest, UpcomingInvoice
from schemas.listing import Page
from schemas.payment import NewPayment, Payment, PaymentResult
from schemas.plan import PlanDefinition
from schemas.plan_catalog import NewPlan, NewVersion, Plan, PlanChanges, StoredPlanVersion
from schemas.signup import CreatedSignupLink, NewSignupLink, SignupLink, SignupOffer
from schemas.subscription import (
    Cancellation,
    NewSubscription,
    PlanChange,
    PlanChangeResult,
    Subscription,
    SubscriptionChanges,
    SubscriptionQuery,
)


class Customers(Protocol):
    """Who is billed. Changes answer with a Customer."""

    async def create(self, command: Command, new: NewCustomer) -> Applied[Customer]:
        """Raises Conflict where the external id is taken."""
        ...

    async def update(self, command: Command, customer_id: str, changes: CustomerChanges) -> Applied[Customer]:
        """Raises NotFound, or Conflict as `create` does."""
        ...

    async def delete(self, command: Command, customer_id: str) -> Applied[Customer]:
        """For good. Raises Conflict where anything was billed or subscribed to."""
        ...

    async def get(self, account: AccountId, customer_id: str) -> Customer:
        """Raises NotFound."""
        ...

    async def list(self, account: AccountId, limit: int, cursor: str | None) -> Page: ...

    async def search(self, account: AccountId, wanted: CustomerSearch) -> Sequence[Customer]: ...


class AuditLog(Protocol):
    """Who changed what."""

    async def list(self, query: AuditQuery) -> Page: ...


class Plans(Protocol):
    """What is sold, version by version. Changes raise NotFound where there is no such plan."""

    async def create(self, command: Command, new: NewPlan) -> Applied[Plan]:
        """Raises Conflict where the code is taken, Invalid where a meter does not fit."""
        ...

    async def update(self, command: Command, code: str, changes: PlanChanges) -> Applied[Plan]: ...

    async def archive(self, command: Command, code: str) -> Applied[Plan]:
        """No new subscriptions; those there are go on. Twice changes nothing."""
        ...

    async def add_version(self, command: Command, code: str, new: NewVersion) -> Applied[StoredPlanVersion]:
        """Raises Conflict where there is a draft or the plan is archived, or Invalid as `create` does."""
        ...

    async def replace(
        self, command: Command, code: str, version: int, definition: PlanDefinition
    ) -> Applied[StoredPlanVersion]:
        """Raises Conflict where the version is published, or Invalid as `create` does."""
        ...

    async def publish(self, command: Command, code: str, version: int) -> Applied[StoredPlanVersion]:
        """Raises as `replace` does."""
        ...

    async def get(self, account: AccountId, code: str) -> Plan: ...

    async def list(self, account: AccountId, limit: int, cursor: str | None) -> Page: ...

    async def version(self, account: AccountId, code: str, version: int) -> StoredPlanVersion: ...

    async def versions(self, account: AccountId, code: str, limit: int, cursor: str | None) -> Page: ...


class Subscriptions(Protocol):
    """Who pays which plan. Changes raise NotFound where there is no such subscription."""

    async def create(self, command: Command, new: NewSubscription) -> Applied[Subscription]:
        """Raises Conflict where the plan is not for this customer, or is subscribed to already."""
        ...

    async def update(
        self, command: Command, subscription_id: str, changes: SubscriptionChanges
    ) -> Applied[Subscription]:
        """Raises Conflict where its state forbids it."""
        ...

    async def cancel(self, command: Command, subscription_id: str, request: Cancellation) -> Applied[Subscription]:
        """Raises as `update` does."""
        ...

    async def change_plan(
        self, command: Command, subscription_id: str, request: PlanChange
    ) -> Applied[PlanChangeResult]:
        """Raises as `create` and `update` do."""
        ...

    async def get(self, account: AccountId, subscription_id: str) -> Subscription: ...

    async def list(self, account: AccountId, query: SubscriptionQuery) -> Page: ...


class Credits(Protocol):
    """What customers may use up before they pay."""

    async def grant(self, command: Command, subscription_id: str, new: NewCreditGrant) -> Applied[CreditGrant]:
        """Raises NotFound, or Invalid where it would have expired."""
        ...

    async def balances(self, account: AccountId, customer_id: str) -> Sequence[Balance]:
        """Raises NotFound."""
        ...


class SignupLinks(Protocol):
    """Plans offered to customers, each under a token of its own."""

    async def create(self, command: Command, new: NewSignupLink) -> CreatedSignupLink:
        """Raises NotFound, or Conflict where the plan cannot be subscribed to, or where it is repeated."""
        ...

    async def offer(self, token: str) -> SignupOffer:
        """Raises NotFound, or Conflict where it is used or has expired."""
        ...

    async def accept(self, token: str, request_id: str) -> SignupLink:
        """Raises as `offer` does, or Conflict where the state of things forbids it by now."""
        ...


class Invoices(Protocol):
    """What customers owe. Changes answer with the invoice after them; Conflict tells that its status forbids it."""

    async def create(self, command: Command, new: NewInvoice) -> Applied[Invoice]:
        """Raises NotFound for the customer, Invalid for what is given."""
        ...

    async def update(self, command: Command, invoice_id: str, changes: InvoiceChanges) -> Applied[Invoice]: ...

    async def delete(self, command: Command, invoice_id: str) -> Applied[Invoice]:
        """A draft, for good."""
        ...

    async def add_line(self, command: Command, invoice_id: str, new: NewLine) -> Applied[Invoice]: ...

    async def update_line(
        self, command: Command, invoice_id: str, line_id: str, changes: LineChanges
    ) -> Applied[Invoice]: ...

    async def delete_line(self, command: Command, invoice_id: str, line_id: str) -> Applied[Invoice]: ...

    async def finalize(self, command: Command, invoice_id: str) -> Applied[Invoice]:
        """The draft gets its number and is final."""
        ...

    async def void(self, command: Command, invoice_id: str) -> Applied[Invoice]: ...

    async def mark_uncollectible(self, command: Command, invoice_id: str) -> Applied[Invoice]:
        """It is uncollectible."""
        ...

    async def pay(self, command: Command, invoice_id: str, new: NewPayment) -> Applied[PaymentResult]:
        """Raises Conflict for more than is due, too."""
        ...

    async def payments(self, account: AccountId, invoice_id: str) -> Sequence[Payment]:
        """In their order. Raises NotFound for the invoice."""
        ...

    async def get(self, account: AccountId, invoice_id: str) -> Invoice:
        """Raises NotFound."""
        ...

    async def list(self, query: InvoiceQuery) -> Page: ...


class CreditNotes(Protocol):
    """What is taken back of final invoices."""

    async def create(self, command: Command, invoice_id: str, new: NewCreditNote) -> Applied[CreditNoteResult]:
        """Raises NotFound, Invalid, or Conflict where less is left than is asked for, or the status forbids it."""
        ...

    async def of_invoice(self, account: AccountId, invoice_id: str) -> Sequence[CreditNote]:
        """In their order. Raises NotFound for the invoice."""
        ...


class InvoiceRuns(Protocol):
    """Runs are begun here and go on by themselves."""

    async def begin(self, command: Command, order: RunRequest) -> Applied[InvoiceRunRecord]:
        """Raises Conflict where one of the account's is going on."""
        ...

    async def get(self, account: AccountId, run_id: str) -> InvoiceRunRecord:
        """Raises NotFound."""
        ...

    async def list(self, account: AccountId, limit: int, cursor: str | None) -> Page: ...

    async def upcoming(self, account: AccountId, subscription_id: str) -> UpcomingInvoice:
        """Raises NotFound, or Conflict where nothing more will be billed."""
        ...

    async def audit(self, account: AccountId, invoice_id: str) -> InvoiceAudit:
        """Raises NotFound."""
        ...


class AccountBillingSettings(Protocol):
    """What the account has decided, and defaults where it has not."""

    async def get(self, account: AccountId) -> BillingSettings: ...

    async def update(self, command: Command, changes: SettingsChanges) -> Applied[BillingSettings]:
        """Raises Invalid where there is no such currency or time zone."""
        ...


class PublicInvoices(Protocol):
    """Final invoices, for whoever knows their token."""

    async def by_token(self, token: str) -> PublicInvoice:
        """Raises NotFound."""
        ...


class BillingPorts(msgspec.Struct, frozen=True, kw_only=True):
    """What the billing API asks."""

    customers: Customers
    plans: Plans
    subscriptions: Subscriptions
    credits: Credits
    signup_links: SignupLinks
    audit: AuditLog
    invoices: Invoices
    public_invoices: PublicInvoices
    credit_notes: CreditNotes
    settings: AccountBillingSettings
    runs: InvoiceRuns
    clock: Callable[[], int]
    public_url: str
    """Where customers reach the pages that are meant for them."""
