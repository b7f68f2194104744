"""The ports of the billing API, one per resource.

A change takes its command and returns what was applied, or the stored answer of a repeated command. Records of other
accounts raise NotFound, like records that do not exist.
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
    """Customers of an account. Changes return the customer after them; a deletion returns the deleted one."""

    async def create(self, command: Command, new: NewCustomer) -> Applied[Customer]:
        """Raises Conflict if the external id is taken."""
        ...

    async def update(self, command: Command, customer_id: str, changes: CustomerChanges) -> Applied[Customer]:
        """Raises NotFound, or Conflict as `create` does."""
        ...

    async def delete(self, command: Command, customer_id: str) -> Applied[Customer]:
        """Raises Conflict if the customer has invoices or subscriptions."""
        ...

    async def get(self, account: AccountId, customer_id: str) -> Customer:
        """Raises NotFound."""
        ...

    async def list(self, account: AccountId, limit: int, cursor: str | None) -> Page: ...

    async def search(self, account: AccountId, search: CustomerSearch) -> Sequence[Customer]: ...


class AuditLog(Protocol):
    """The account's changes, newest first."""

    async def list(self, query: AuditQuery) -> Page: ...


class Plans(Protocol):
    """Plans and their versions. Changes raise NotFound for an unknown plan."""

    async def create(self, command: Command, new: NewPlan) -> Applied[Plan]:
        """Raises Conflict if the code is taken, Invalid if a meter does not fit."""
        ...

    async def update(self, command: Command, code: str, changes: PlanChanges) -> Applied[Plan]: ...

    async def archive(self, command: Command, code: str) -> Applied[Plan]:
        """Refuses new subscriptions from now on; existing ones continue. Idempotent."""
        ...

    async def add_version(self, command: Command, code: str, new: NewVersion) -> Applied[StoredPlanVersion]:
        """Raises Conflict if a draft exists or the plan is archived, or Invalid as `create` does."""
        ...

    async def replace(
        self, command: Command, code: str, version: int, definition: PlanDefinition
    ) -> Applied[StoredPlanVersion]:
        """Raises Conflict if the version is published, or Invalid as `create` does."""
        ...

    async def publish(self, command: Command, code: str, version: int) -> Applied[StoredPlanVersion]:
        """Raises as `replace` does."""
        ...

    async def get(self, account: AccountId, code: str) -> Plan: ...

    async def list(self, account: AccountId, limit: int, cursor: str | None) -> Page: ...

    async def version(self, account: AccountId, code: str, version: int) -> StoredPlanVersion: ...

    async def versions(self, account: AccountId, code: str, limit: int, cursor: str | None) -> Page: ...


class Subscriptions(Protocol):
    """Subscriptions of customers to plans. Changes raise NotFound for an unknown subscription."""

    async def create(self, command: Command, new: NewSubscription) -> Applied[Subscription]:
        """Raises Conflict if the plan is not available to this customer, or the customer has it already."""
        ...

    async def update(
        self, command: Command, subscription_id: str, changes: SubscriptionChanges
    ) -> Applied[Subscription]:
        """Raises Conflict if the subscription's status forbids the change."""
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
    """Credit granted to customers, and what is left of it."""

    async def grant(self, command: Command, subscription_id: str, new: NewCreditGrant) -> Applied[CreditGrant]:
        """Raises NotFound, or Invalid if the grant would have expired already."""
        ...

    async def balances(self, account: AccountId, customer_id: str) -> Sequence[Balance]:
        """Raises NotFound."""
        ...


class SignupLinks(Protocol):
    """Plans offered to customers, each under its own token."""

    async def create(self, command: Command, new: NewSignupLink) -> CreatedSignupLink:
        """Raises NotFound, or Conflict if the plan cannot be subscribed to or the command is repeated."""
        ...

    async def offer(self, token: str) -> SignupOffer:
        """Raises NotFound, or Conflict if the link is used or has expired."""
        ...

    async def accept(self, token: str, request_id: str) -> SignupLink:
        """Subscribes. Raises as `offer` does, or Conflict if the subscription is no longer possible."""
        ...


class Invoices(Protocol):
    """Invoices of an account. Changes return the invoice after them; Conflict means that its status forbids them."""

    async def create(self, command: Command, new: NewInvoice) -> Applied[Invoice]:
        """Raises NotFound for the customer, Invalid for the request."""
        ...

    async def update(self, command: Command, invoice_id: str, changes: InvoiceChanges) -> Applied[Invoice]: ...

    async def delete(self, command: Command, invoice_id: str) -> Applied[Invoice]:
        """Deletes a draft and returns it."""
        ...

    async def add_line(self, command: Command, invoice_id: str, new: NewLine) -> Applied[Invoice]: ...

    async def update_line(
        self, command: Command, invoice_id: str, line_id: str, changes: LineChanges
    ) -> Applied[Invoice]: ...

    async def delete_line(self, command: Command, invoice_id: str, line_id: str) -> Applied[Invoice]: ...

    async def finalize(self, command: Command, invoice_id: str) -> Applied[Invoice]:
        """Numbers the draft; from then on the invoice never changes."""
        ...

    async def void(self, command: Command, invoice_id: str) -> Applied[Invoice]: ...

    async def mark_uncollectible(self, command: Command, invoice_id: str) -> Applied[Invoice]: ...

    async def pay(self, command: Command, invoice_id: str, new: NewPayment) -> Applied[PaymentResult]:
        """Raises Conflict also for more than is due."""
        ...

    async def payments(self, account: AccountId, invoice_id: str) -> Sequence[Payment]:
        """Oldest first. Raises NotFound for the invoice."""
        ...

    async def get(self, account: AccountId, invoice_id: str) -> Invoice:
        """Raises NotFound."""
        ...

    async def list(self, query: InvoiceQuery) -> Page: ...


class CreditNotes(Protocol):
    """Credit notes of final invoices."""

    async def create(self, command: Command, invoice_id: str, new: NewCreditNote) -> Applied[CreditNoteResult]:
        """Raises NotFound, Invalid, or Conflict if the invoice's status or the amount left forbids it."""
        ...

    async def of_invoice(self, account: AccountId, invoice_id: str) -> Sequence[CreditNote]:
        """Oldest first. Raises NotFound for the invoice."""
        ...


class InvoiceRuns(Protocol):
    """Invoice runs in the background, upcoming invoices and invoice audits."""

    async def begin(self, command: Command, order: RunRequest) -> Applied[InvoiceRunRecord]:
        """Starts a run. Raises Conflict while another run of the account is in progress."""
        ...

    async def get(self, account: AccountId, run_id: str) -> InvoiceRunRecord:
        """Raises NotFound."""
        ...

    async def list(self, account: AccountId, limit: int, cursor: str | None) -> Page: ...

    async def upcoming(self, account: AccountId, subscription_id: str) -> UpcomingInvoice:
        """Raises NotFound, or Conflict if the subscription will not be billed again."""
        ...

    async def audit(self, account: AccountId, invoice_id: str) -> InvoiceAudit:
        """Raises NotFound."""
        ...


class AccountBillingSettings(Protocol):
    """The account's billing settings, with defaults for those it never set."""

    async def get(self, account: AccountId) -> BillingSettings: ...

    async def update(self, command: Command, changes: SettingsChanges) -> Applied[BillingSettings]:
        """Raises Invalid for an unknown currency or time zone."""
        ...


class PublicInvoices(Protocol):
    """Final invoices by their public token."""

    async def by_token(self, token: str) -> PublicInvoice:
        """Raises NotFound."""
        ...


class BillingPorts(msgspec.Struct, frozen=True, kw_only=True):
    """The ports of the billing API, its clock and its public address."""

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
    """The base of the addresses of public pages: invoices and signup links."""
