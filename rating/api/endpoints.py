"""The table of the billing API."""

from collections.abc import Callable

import msgspec

from ingest_gateway.http.request import Endpoint, OpenEndpoint
from rating.api.credit_ports import Credits
from rating.api.invoice_documents import InvoiceDocuments
from rating.api.invoice_page import InvoicePage, PublicInvoices
from rating.api.invoice_ports import CreditNotes, Invoices
from rating.api.plan_ports import Plans
from rating.api.ports import Audit, Customers
from rating.api.routes_audit import AuditRoutes
from rating.api.routes_credit_notes import CreditNoteRoutes
from rating.api.routes_credits import CreditRoutes
from rating.api.routes_customers import CustomerRoutes
from rating.api.routes_invoice_actions import InvoiceStepRoutes
from rating.api.routes_invoices import InvoiceRoutes
from rating.api.routes_plans import PlanRoutes
from rating.api.routes_runs import RunRoutes
from rating.api.routes_settings import Settings, SettingsRoutes
from rating.api.routes_signup_links import SignupLinkRoutes
from rating.api.routes_subscriptions import SubscriptionRoutes
from rating.api.run_ports import Runs
from rating.api.signup_page import SignupPage
from rating.api.signup_ports import SignupLinks
from rating.api.subscription_ports import Subscriptions


class BillingPorts(msgspec.Struct, frozen=True, kw_only=True):
    """What the billing API asks."""

    customers: Customers
    plans: Plans
    subscriptions: Subscriptions
    credits: Credits
    signup_links: SignupLinks
    audit: Audit
    invoices: Invoices
    public_invoices: PublicInvoices
    credit_notes: CreditNotes
    settings: Settings
    runs: Runs
    clock: Callable[[], int]
    public_url: str
    """Where customers reach the pages that are meant for them."""


def billing_pages(ports: BillingPorts) -> list[OpenEndpoint]:
    """What customers see without a key."""
    return [*SignupPage(ports.signup_links).endpoints(), *InvoicePage(ports.public_invoices).endpoints()]


def billing_endpoints(ports: BillingPorts) -> list[Endpoint]:
    """One line an area."""
    documents = InvoiceDocuments(ports.public_url)
    return [
        *CustomerRoutes(ports.customers).endpoints(),
        *PlanRoutes(ports.plans).endpoints(),
        *SubscriptionRoutes(ports.subscriptions).endpoints(),
        *CreditRoutes(ports.credits).endpoints(),
        *SignupLinkRoutes(ports.signup_links, ports.public_url).endpoints(),
        *AuditRoutes(ports.audit).endpoints(),
        *InvoiceRoutes(ports.invoices, documents).endpoints(),
        *InvoiceStepRoutes(ports.invoices, documents).endpoints(),
        *CreditNoteRoutes(ports.credit_notes, documents).endpoints(),
        *RunRoutes(ports.runs, documents, ports.clock).endpoints(),
        *SettingsRoutes(ports.settings).endpoints(),
    ]
