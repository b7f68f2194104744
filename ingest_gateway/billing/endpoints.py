"""The table of the billing API."""

import msgspec

from ingest_gateway.api.endpoint import Endpoint
from ingest_gateway.billing.ports import Audit, Customers
from ingest_gateway.billing.routes_audit import AuditRoutes
from ingest_gateway.billing.routes_customers import CustomerRoutes


class BillingPorts(msgspec.Struct, frozen=True, kw_only=True):
    """What the billing API asks."""

    customers: Customers
    audit: Audit


def billing_endpoints(ports: BillingPorts) -> list[Endpoint]:
    """One line an area."""
    return [
        *CustomerRoutes(ports.customers).endpoints(),
        *AuditRoutes(ports.audit).endpoints(),
    ]
