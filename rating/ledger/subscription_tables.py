"""Tables of plans, of who has subscribed to them, and of what is given and promised beside."""

import sqlalchemy as sa

from rating.ledger.tables import metadata

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

# A version that is published never changes: triggers see to that.
plan_versions = sa.Table(
    "plan_versions",
    metadata,
    sa.Column("plan_id", sa.ForeignKey("plans.id"), primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("definition", sa.Text, nullable=False),
    sa.Column("published_at", sa.BigInteger),
    sa.Column("created_at", sa.BigInteger, nullable=False),
)

# A run asks by `due_at`: whose fees, or whose period's end, are to be billed?
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
