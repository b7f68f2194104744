"""All routes of the billing API."""

from ingest_gateway.http.route import PublicRoute, Route
from rating.api.invoice_documents import InvoiceDocuments
from rating.api.invoice_page import PublicInvoicePage
from rating.api.ports import BillingPorts
from rating.api.routes_audit import audit_routes
from rating.api.routes_credit_notes import credit_note_routes
from rating.api.routes_credits import credit_routes
from rating.api.routes_customers import customer_routes
from rating.api.routes_invoice_actions import invoice_action_routes
from rating.api.routes_invoice_runs import invoice_run_routes
from rating.api.routes_invoices import invoice_routes
from rating.api.routes_plans import plan_routes
from rating.api.routes_settings import settings_routes
from rating.api.routes_signup_links import signup_link_routes
from rating.api.routes_subscriptions import subscription_routes
from rating.api.signup_page import SignupPage


def billing_pages(ports: BillingPorts) -> list[PublicRoute]:
    """The public pages, which need no API key."""
    return [*SignupPage(ports.signup_links).routes(), *PublicInvoicePage(ports.public_invoices).routes()]


def billing_endpoints(ports: BillingPorts) -> list[Route]:
    documents = InvoiceDocuments(ports.public_url)
    return [
        *customer_routes(ports.customers),
        *plan_routes(ports.plans),
        *subscription_routes(ports.subscriptions),
        *credit_routes(ports.credits),
        *signup_link_routes(ports.signup_links, ports.public_url),
        *audit_routes(ports.audit),
        *invoice_routes(ports.invoices, documents),
        *invoice_action_routes(ports.invoices, documents),
        *credit_note_routes(ports.credit_notes, documents),
        *invoice_run_routes(ports.runs, documents, ports.clock),
        *settings_routes(ports.settings),
    ]
