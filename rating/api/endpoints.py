"""The table of the billing API."""

from ingest_gateway.http.route import PublicRoute, Route
from rating.api.invoice_documents import InvoiceDocuments
from rating.api.invoice_page import PublicInvoicePage
from rating.api.ports import (
    BillingPorts,
)
from rating.api.routes_audit import AuditRoutes
from rating.api.routes_credit_notes import CreditNoteRoutes
from rating.api.routes_credits import CreditRoutes
from rating.api.routes_customers import CustomerRoutes
from rating.api.routes_invoice_actions import InvoiceActionRoutes
from rating.api.routes_invoice_runs import InvoiceRunRoutes
from rating.api.routes_invoices import InvoiceRoutes
from rating.api.routes_plans import PlanRoutes
from rating.api.routes_settings import SettingsRoutes
from rating.api.routes_signup_links import SignupLinkRoutes
from rating.api.routes_subscriptions import SubscriptionRoutes
from rating.api.signup_page import SignupPage


def billing_pages(ports: BillingPorts) -> list[PublicRoute]:
    """What customers see without a key."""
    return [*SignupPage(ports.signup_links).routes(), *PublicInvoicePage(ports.public_invoices).routes()]


def billing_endpoints(ports: BillingPorts) -> list[Route]:
    """One line an area."""
    documents = InvoiceDocuments(ports.public_url)
    return [
        *CustomerRoutes(ports.customers).routes(),
        *PlanRoutes(ports.plans).routes(),
        *SubscriptionRoutes(ports.subscriptions).routes(),
        *CreditRoutes(ports.credits).routes(),
        *SignupLinkRoutes(ports.signup_links, ports.public_url).routes(),
        *AuditRoutes(ports.audit).routes(),
        *InvoiceRoutes(ports.invoices, documents).routes(),
        *InvoiceActionRoutes(ports.invoices, documents).routes(),
        *CreditNoteRoutes(ports.credit_notes, documents).routes(),
        *InvoiceRunRoutes(ports.runs, documents, ports.clock).routes(),
        *SettingsRoutes(ports.settings).routes(),
    ]
