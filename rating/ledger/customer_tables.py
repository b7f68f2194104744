"""Tables of customers, of what the account decides for all of them, and of how changes are kept track of."""

import sqlalchemy as sa

from rating.ledger.tables import metadata

# One row where the account has decided anything; defaults hold where it has not.
billing_settings = sa.Table(
    "billing_settings",
    metadata,
    sa.Column("account_id", sa.ForeignKey("accounts.id"), primary_key=True),
    sa.Column("currency", sa.String(3), nullable=False),
    sa.Column("timezone", sa.String(64), nullable=False),
    sa.Column("net_terms", sa.Integer, nullable=False),
    sa.Column("invoice_prefix", sa.String(16), nullable=False),
    sa.Column("auto_finalize", sa.Boolean, nullable=False),
    sa.Column("late_usage", sa.String(16), nullable=False),
    sa.Column("updated_at", sa.BigInteger, nullable=False),
)

# What is asked for by value has a column; addresses, rates and the like are JSON text.
customers = sa.Table(
    "customers",
    metadata,
    sa.Column("id", sa.String(25), primary_key=True),
    sa.Column("account_id", sa.ForeignKey("accounts.id"), nullable=False),
    sa.Column("external_id", sa.String(255)),
    sa.Column("name", sa.String(255)),
    sa.Column("first_name", sa.String(255)),
    sa.Column("last_name", sa.String(255)),
    sa.Column("email", sa.String(255)),
    sa.Column("details", sa.Text, nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("updated_at", sa.BigInteger, nullable=False),
    sa.UniqueConstraint("account_id", "external_id"),
    sa.Index("ix_customers_account_id_id", "account_id", "id"),
    sa.Index("ix_customers_account_id_name", "account_id", "name"),
    sa.Index("ix_customers_account_id_email", "account_id", "email"),
)

idempotency_keys = sa.Table(
    "idempotency_keys",
    metadata,
    sa.Column("account_id", sa.ForeignKey("accounts.id"), primary_key=True),
    sa.Column("key", sa.String(255), primary_key=True),
    sa.Column("fingerprint", sa.String(64), nullable=False),
    sa.Column("answer", sa.Text),
    sa.Column("created_at", sa.BigInteger, nullable=False, index=True),
)

# Written, never changed: triggers see to that.
audit_log = sa.Table(
    "audit_log",
    metadata,
    sa.Column("id", sa.String(25), primary_key=True),
    sa.Column("account_id", sa.ForeignKey("accounts.id"), nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("actor", sa.String(64), nullable=False),
    sa.Column("request_id", sa.String(128), nullable=False),
    sa.Column("action", sa.String(64), nullable=False),
    sa.Column("subject", sa.String(64), nullable=False),
    sa.Column("before", sa.Text),
    sa.Column("after", sa.Text),
    sa.Index("ix_audit_log_account_id_id", "account_id", "id"),
    sa.Index("ix_audit_log_account_id_subject", "account_id", "subject"),
)
