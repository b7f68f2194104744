"""All tables together: importing this is what makes `metadata` whole."""

from rating.ledger import customer_tables, invoice_tables, subscription_tables
from rating.ledger.tables import metadata

__all__ = ["customer_tables", "invoice_tables", "metadata", "subscription_tables"]
