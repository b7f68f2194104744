"""All tables: importing this module completes `metadata`."""

from rating.ledger import invoice_tables, tables
from rating.ledger.tables import metadata

__all__ = ["invoice_tables", "metadata", "tables"]
