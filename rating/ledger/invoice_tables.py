"""The tables of invoices: lines, numbers, billed periods, runs, payments, credit notes and balances."""

import sqlalchemy as sa

from rating.ledger.tables import metadata

# Triggers allow a final invoice to change only its status, its paid and credited amounts, and their times.
invoices = sa.Table(
    "invoices",
    metadata,
    sa.Column("id", sa.String(25), primary_key=True),
    sa.Column("account_id", sa.ForeignKey("accounts.id"), nullable=False),
    sa.Column("customer_id", sa.ForeignKey("customers.id"), nullable=False, index=True),
    sa.Column("subscription_id", sa.ForeignKey("subscriptions.id"), index=True),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("number", sa.String(64)),
    sa.Column("currency", sa.String(3), nullable=False),
    sa.Column("collection_method", sa.String(32), nullable=False),
    sa.Column("days_until_due", sa.Integer),
    sa.Column("due_at", sa.BigInteger),
    sa.Column("public_token", sa.String(64), unique=True),
    sa.Column("subtotal", sa.BigInteger, nullable=False),
    sa.Column("discount", sa.BigInteger, nullable=False),
    sa.Column("tax", sa.BigInteger, nullable=False),
    sa.Column("total", sa.BigInteger, nullable=False),
    sa.Column("paid", sa.BigInteger, nullable=False),
    sa.Column("credited", sa.BigInteger, nullable=False),
    sa.Column("period_start", sa.BigInteger),
    sa.Column("period_end", sa.BigInteger),
    sa.Column("details", sa.Text, nullable=False),
    sa.Column("finalized_at", sa.BigInteger),
    sa.Column("paid_at", sa.BigInteger),
    sa.Column("closed_at", sa.BigInteger),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("updated_at", sa.BigInteger, nullable=False),
    sa.UniqueConstraint("account_id", "number"),
    sa.Index("ix_invoices_account_id_id", "account_id", "id"),
)

invoice_lines = sa.Table(
    "invoice_lines",
    metadata,
    sa.Column("id", sa.String(25), primary_key=True),
    sa.Column("invoice_id", sa.ForeignKey("invoices.id"), nullable=False),
    sa.Column("position", sa.Integer, nullable=False),
    sa.Column("reference", sa.String(512)),
    sa.Column("description", sa.Text),
    sa.Column("quantity", sa.BigInteger, nullable=False),
    sa.Column("unit_amount", sa.BigInteger, nullable=False),
    sa.Column("amount", sa.BigInteger, nullable=False),
    sa.Column("tax", sa.BigInteger, nullable=False),
    sa.Column("period_start", sa.BigInteger),
    sa.Column("period_end", sa.BigInteger),
    sa.Column("details", sa.Text, nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("updated_at", sa.BigInteger, nullable=False),
    sa.UniqueConstraint("invoice_id", "position"),
    sa.UniqueConstraint("invoice_id", "reference"),
)

# One row per sequence, locked by the transaction that takes a number: a rollback gives the number back.
invoice_sequences = sa.Table(
    "invoice_sequences",
    metadata,
    sa.Column("account_id", sa.ForeignKey("accounts.id"), primary_key=True),
    sa.Column("kind", sa.String(16), primary_key=True),
    sa.Column("last", sa.BigInteger, nullable=False),
)

# The primary key bills each boundary of a subscription at most once, whatever else fails.
billed_periods = sa.Table(
    "billed_periods",
    metadata,
    sa.Column("subscription_id", sa.ForeignKey("subscriptions.id"), primary_key=True),
    sa.Column("kind", sa.String(8), primary_key=True),
    sa.Column("boundary", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("invoice_id", sa.ForeignKey("invoices.id")),
    sa.Column("watermark", sa.Text),
    sa.Column("created_at", sa.BigInteger, nullable=False),
)

# What was billed of a period's usage, one row per price. The transaction that bills late usage moves the row forward.
# Every cycle step measures the period again, until a step at `open_until` or later.
rated_periods = sa.Table(
    "rated_periods",
    metadata,
    sa.Column("subscription_id", sa.ForeignKey("subscriptions.id"), primary_key=True),
    sa.Column("period_start", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("price_code", sa.String(64), primary_key=True),
    sa.Column("period_end", sa.BigInteger, nullable=False),
    sa.Column("open_until", sa.BigInteger, nullable=False),
    sa.Column("details", sa.Text, nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("updated_at", sa.BigInteger, nullable=False),
    sa.Index("ix_rated_periods_subscription_id_open_until", "subscription_id", "open_until"),
)

# The progress of runs, for any process that waits for one; billing itself never reads it.
invoice_runs = sa.Table(
    "invoice_runs",
    metadata,
    sa.Column("id", sa.String(25), primary_key=True),
    sa.Column("account_id", sa.ForeignKey("accounts.id"), nullable=False),
    sa.Column("state", sa.String(8), nullable=False),
    sa.Column("due", sa.Integer, nullable=False),
    sa.Column("summary", sa.Text, nullable=False),
    sa.Column("error", sa.Text),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("updated_at", sa.BigInteger, nullable=False),
    sa.Index("ix_invoice_runs_account_id_id", "account_id", "id"),
)

payments = sa.Table(
    "payments",
    metadata,
    sa.Column("id", sa.String(25), primary_key=True),
    sa.Column("account_id", sa.ForeignKey("accounts.id"), nullable=False),
    sa.Column("invoice_id", sa.ForeignKey("invoices.id"), nullable=False, index=True),
    sa.Column("amount", sa.BigInteger, nullable=False),
    sa.Column("method", sa.String(32), nullable=False),
    sa.Column("reference", sa.String(255)),
    sa.Column("paid_at", sa.BigInteger, nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
)

credit_notes = sa.Table(
    "credit_notes",
    metadata,
    sa.Column("id", sa.String(25), primary_key=True),
    sa.Column("account_id", sa.ForeignKey("accounts.id"), nullable=False),
    sa.Column("invoice_id", sa.ForeignKey("invoices.id"), nullable=False, index=True),
    sa.Column("number", sa.String(64), nullable=False),
    sa.Column("reason", sa.Text),
    sa.Column("amount", sa.BigInteger, nullable=False),
    sa.Column("tax", sa.BigInteger, nullable=False),
    sa.Column("total", sa.BigInteger, nullable=False),
    sa.Column("details", sa.Text, nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.UniqueConstraint("account_id", "number"),
)

# What invoices below zero added for their customers, and what other invoices used; the balance is the sum.
balance_entries = sa.Table(
    "balance_entries",
    metadata,
    sa.Column("id", sa.String(25), primary_key=True),
    sa.Column("account_id", sa.ForeignKey("accounts.id"), nullable=False),
    sa.Column("customer_id", sa.ForeignKey("customers.id"), nullable=False),
    sa.Column("invoice_id", sa.ForeignKey("invoices.id"), nullable=False, unique=True),
    sa.Column("currency", sa.String(3), nullable=False),
    sa.Column("amount", sa.BigInteger, nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Index("ix_balance_entries_customer_id_currency", "customer_id", "currency"),
)
