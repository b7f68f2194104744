"""All tables together: importing this is what makes `metadata` whole."""

from rating.ledger import invoice_tables, tables
from rating.ledger.tables import metadata

__all__ = ["invoice_tables", "metadata", "tables"]
