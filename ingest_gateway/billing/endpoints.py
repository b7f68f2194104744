"""The table of the billing API."""

from collections.abc import Callable

import msgspec

from ingest_gateway.api.endpoint import Endpoint, OpenEndpoint
from ingest_gateway.billing.credit_ports import Credits
from ingest_gateway.billing.invoice_documents import InvoiceDocuments
from ingest_gateway.billing.invoice_page import InvoicePage, PublicInvoices
from ingest_gateway.billing.invoice_ports import CreditNotes, Invoices
from ingest_gateway.billing.plan_ports import Plans
from ingest_gateway.billing.ports import Audit, Customers
from ingest_gateway.billing.routes_audit import AuditRoutes
from ingest_gateway.billing.routes_credit_notes import CreditNoteRoutes
from ingest_gateway.billing.routes_credits import CreditRoutes
from ingest_gateway.billing.routes_customers import CustomerRoutes
from ingest_gateway.billing.routes_invoice_steps import InvoiceStepRoutes
from ingest_gateway.billing.routes_invoices import InvoiceRoutes
from ingest_gateway.billing.routes_plans import PlanRoutes
from ingest_gateway.billing.routes_runs import RunRoutes
from ingest_gateway.billing.routes_settings import Settings, SettingsRoutes
from ingest_gateway.billing.routes_signup_links import SignupLinkRoutes
from ingest_gateway.billing.routes_subscriptions import SubscriptionRoutes
from ingest_gateway.billing.run_ports import Runs
from ingest_gateway.billing.signup_page import SignupPage
from ingest_gateway.billing.signup_ports import SignupLinks
from ingest_gateway.billing.subscription_ports import Subscriptions


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
