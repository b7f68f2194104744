"""The ledger's tables at the newest migration, except those of invoices."""

import sqlalchemy as sa

metadata = sa.MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)

companies = sa.Table(
    "companies",
    metadata,
    sa.Column("id", sa.String(25), primary_key=True),
    sa.Column("name", sa.String(255), nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
)

accounts = sa.Table(
    "accounts",
    metadata,
    sa.Column("id", sa.String(25), primary_key=True),
    sa.Column("company_id", sa.ForeignKey("companies.id"), nullable=False),
    sa.Column("mode", sa.String(4), nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.UniqueConstraint("company_id", "mode"),
    sa.CheckConstraint("mode IN ('live', 'test')", name="mode"),
)

api_keys = sa.Table(
    "api_keys",
    metadata,
    sa.Column("id", sa.String(25), primary_key=True),
    sa.Column("account_id", sa.ForeignKey("accounts.id"), nullable=False, index=True),
    sa.Column("name", sa.String(255), nullable=False),
    sa.Column("prefix", sa.String(16), nullable=False),
    sa.Column("secret_hash", sa.String(64), nullable=False, unique=True),
    sa.Column("scopes", sa.String(255), nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("revoked_at", sa.BigInteger),
    sa.Column("last_used_at", sa.BigInteger),
    sa.Column("expires_at", sa.BigInteger),
)

# A meter's `definition` is immutable JSON; what may change has a column of its own.
meters = sa.Table(
    "meters",
    metadata,
    sa.Column("account_id", sa.ForeignKey("accounts.id"), primary_key=True),
    sa.Column("code", sa.String(64), primary_key=True),
    sa.Column("name", sa.String(255), nullable=False),
    sa.Column("unit", sa.String(64)),
    sa.Column("definition", sa.Text, nullable=False),
    sa.Column("version", sa.BigInteger, nullable=False, unique=True),
    sa.Column("archived_version", sa.BigInteger, unique=True),
    sa.Column("created_at", sa.BigInteger, nullable=False),
)

# One row. A transaction that makes a new meter set locks it, so that versions have no gaps and no duplicates.
meter_sets = sa.Table(
    "meter_sets",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("version", sa.BigInteger, nullable=False),
    sa.CheckConstraint("id = 1", name="one_row"),
)


# One row for an account that has set anything; otherwise defaults hold.
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

# Fields that a search filters by have a column; addresses, tax rates and the like are JSON.
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

# Triggers refuse changes: entries are only ever added.
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


plans = sa.Table(
    "plans",
    metadata,
    sa.Column("id", sa.String(25), primary_key=True),
    sa.Column("account_id", sa.ForeignKey("accounts.id"), nullable=False),
    sa.Column("code", sa.String(64), nullable=False),
    sa.Column("name", sa.String(255), nullable=False),
    sa.Column("description", sa.Text),
    sa.Column("newest_version", sa.Integer, nullable=False),
    sa.Column("archived_at", sa.BigInteger),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("updated_at", sa.BigInteger, nullable=False),
    sa.UniqueConstraint("account_id", "code"),
    sa.Index("ix_plans_account_id_id", "account_id", "id"),
)

# Triggers refuse changes of a published version.
plan_versions = sa.Table(
    "plan_versions",
    metadata,
    sa.Column("plan_id", sa.ForeignKey("plans.id"), primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("definition", sa.Text, nullable=False),
    sa.Column("published_at", sa.BigInteger),
    sa.Column("created_at", sa.BigInteger, nullable=False),
)

# A run finds due subscriptions by `due_at`, the time of their next cycle step.
subscriptions = sa.Table(
    "subscriptions",
    metadata,
    sa.Column("id", sa.String(25), primary_key=True),
    sa.Column("account_id", sa.ForeignKey("accounts.id"), nullable=False),
    sa.Column("customer_id", sa.ForeignKey("customers.id"), nullable=False, index=True),
    sa.Column("plan_id", sa.ForeignKey("plans.id"), nullable=False),
    sa.Column("plan_version", sa.Integer, nullable=False),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("billing_anchor_day", sa.Integer, nullable=False),
    sa.Column("timezone", sa.String(64), nullable=False),
    sa.Column("start_at", sa.BigInteger, nullable=False),
    sa.Column("trial_end", sa.BigInteger),
    sa.Column("period_start", sa.BigInteger, nullable=False),
    sa.Column("period_end", sa.BigInteger, nullable=False),
    sa.Column("cancel_at", sa.BigInteger),
    sa.Column("canceled_at", sa.BigInteger),
    sa.Column("ended_at", sa.BigInteger),
    sa.Column("previous_id", sa.String(25)),
    sa.Column("due_at", sa.BigInteger, index=True),
    sa.Column("details", sa.Text, nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("updated_at", sa.BigInteger, nullable=False),
    sa.Index("ix_subscriptions_account_id_id", "account_id", "id"),
)

credit_grants = sa.Table(
    "credit_grants",
    metadata,
    sa.Column("id", sa.String(25), primary_key=True),
    sa.Column("account_id", sa.ForeignKey("accounts.id"), nullable=False),
    sa.Column("customer_id", sa.ForeignKey("customers.id"), nullable=False, index=True),
    sa.Column("subscription_id", sa.ForeignKey("subscriptions.id"), nullable=False),
    sa.Column("name", sa.String(255), nullable=False),
    sa.Column("denomination", sa.String(64), nullable=False),
    sa.Column("is_currency", sa.Boolean, nullable=False),
    sa.Column("amount", sa.String(64), nullable=False),
    sa.Column("expires_at", sa.BigInteger),
    sa.Column("created_at", sa.BigInteger, nullable=False),
)

signup_links = sa.Table(
    "signup_links",
    metadata,
    sa.Column("id", sa.String(25), primary_key=True),
    sa.Column("account_id", sa.ForeignKey("accounts.id"), nullable=False),
    sa.Column("token_hash", sa.String(64), nullable=False, unique=True),
    sa.Column("customer_id", sa.ForeignKey("customers.id"), nullable=False),
    sa.Column("plan_id", sa.ForeignKey("plans.id"), nullable=False),
    sa.Column("details", sa.Text, nullable=False),
    sa.Column("expires_at", sa.BigInteger, nullable=False),
    sa.Column("used_at", sa.BigInteger),
    sa.Column("subscription_id", sa.String(25)),
    sa.Column("created_at", sa.BigInteger, nullable=False),
)
