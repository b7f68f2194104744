"""Customers, plans, subscriptions, invoices, and the audit log of their changes."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("api_keys", sa.Column("expires_at", sa.BigInteger))
    _create_billing_settings()
    _create_customers()
    _create_idempotency_keys()
    _create_audit_log()
    _create_plans()
    _create_plan_versions()
    _create_subscriptions()
    _create_credit_grants()
    _create_signup_links()
    _create_invoices()
    _create_invoice_lines()
    _create_invoice_sequences()
    _create_billed_periods()
    _create_invoice_runs()
    _create_payments()
    _create_credit_notes()


def _create_billing_settings() -> None:
    op.create_table(
        "billing_settings",
        sa.Column("account_id", sa.String(25), nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("timezone", sa.String(64), nullable=False),
        sa.Column("net_terms", sa.Integer, nullable=False),
        sa.Column("invoice_prefix", sa.String(16), nullable=False),
        sa.Column("auto_finalize", sa.Boolean, nullable=False),
        sa.Column("late_usage", sa.String(16), nullable=False),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_billing_settings_account_id"),
        sa.PrimaryKeyConstraint("account_id", name="pk_billing_settings"),
    )


def _create_customers() -> None:
    op.create_table(
        "customers",
        sa.Column("id", sa.String(25), nullable=False),
        sa.Column("account_id", sa.String(25), nullable=False),
        sa.Column("external_id", sa.String(255)),
        sa.Column("name", sa.String(255)),
        sa.Column("first_name", sa.String(255)),
        sa.Column("last_name", sa.String(255)),
        sa.Column("email", sa.String(255)),
        sa.Column("details", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_customers_account_id"),
        sa.PrimaryKeyConstraint("id", name="pk_customers"),
        sa.UniqueConstraint("account_id", "external_id", name="uq_customers_account_id_external_id"),
    )
    op.create_index("ix_customers_account_id_email", "customers", ["account_id", "email"])
    op.create_index("ix_customers_account_id_id", "customers", ["account_id", "id"])
    op.create_index("ix_customers_account_id_name", "customers", ["account_id", "name"])


def _create_idempotency_keys() -> None:
    op.create_table(
        "idempotency_keys",
        sa.Column("account_id", sa.String(25), nullable=False),
        sa.Column("key", sa.String(255), nullable=False),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("answer", sa.Text),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_idempotency_keys_account_id"),
        sa.PrimaryKeyConstraint("account_id", "key", name="pk_idempotency_keys"),
    )
    op.create_index("ix_idempotency_keys_created_at", "idempotency_keys", ["created_at"])


def _create_audit_log() -> None:
    op.create_table(
        "audit_log",
        sa.Column("id", sa.String(25), nullable=False),
        sa.Column("account_id", sa.String(25), nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("actor", sa.String(64), nullable=False),
        sa.Column("request_id", sa.String(128), nullable=False),
        sa.Column("action", sa.String(64), nullable=False),
        sa.Column("subject", sa.String(64), nullable=False),
        sa.Column("before", sa.Text),
        sa.Column("after", sa.Text),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_audit_log_account_id"),
        sa.PrimaryKeyConstraint("id", name="pk_audit_log"),
    )
    op.create_index("ix_audit_log_account_id_id", "audit_log", ["account_id", "id"])
    op.create_index("ix_audit_log_account_id_subject", "audit_log", ["account_id", "subject"])


def _create_plans() -> None:
    op.create_table(
        "plans",
        sa.Column("id", sa.String(25), nullable=False),
        sa.Column("account_id", sa.String(25), nullable=False),
        sa.Column("code", sa.String(64), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("description", sa.Text),
        sa.Column("newest_version", sa.Integer, nullable=False),
        sa.Column("archived_at", sa.BigInteger),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_plans_account_id"),
        sa.PrimaryKeyConstraint("id", name="pk_plans"),
        sa.UniqueConstraint("account_id", "code", name="uq_plans_account_id_code"),
    )
    op.create_index("ix_plans_account_id_id", "plans", ["account_id", "id"])


def _create_plan_versions() -> None:
    op.create_table(
        "plan_versions",
        sa.Column("plan_id", sa.String(25), nullable=False),
        sa.Column("version", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("definition", sa.Text, nullable=False),
        sa.Column("published_at", sa.BigInteger),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.ForeignKeyConstraint(["plan_id"], ["plans.id"], name="fk_plan_versions_plan_id"),
        sa.PrimaryKeyConstraint("plan_id", "version", name="pk_plan_versions"),
    )


def _create_subscriptions() -> None:
    op.create_table(
        "subscriptions",
        sa.Column("id", sa.String(25), nullable=False),
        sa.Column("account_id", sa.String(25), nullable=False),
        sa.Column("customer_id", sa.String(25), nullable=False),
        sa.Column("plan_id", sa.String(25), nullable=False),
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
        sa.Column("due_at", sa.BigInteger),
        sa.Column("details", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_subscriptions_account_id"),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.id"], name="fk_subscriptions_customer_id"),
        sa.ForeignKeyConstraint(["plan_id"], ["plans.id"], name="fk_subscriptions_plan_id"),
        sa.PrimaryKeyConstraint("id", name="pk_subscriptions"),
    )
    op.create_index("ix_subscriptions_account_id_id", "subscriptions", ["account_id", "id"])
    op.create_index("ix_subscriptions_customer_id", "subscriptions", ["customer_id"])
    op.create_index("ix_subscriptions_due_at", "subscriptions", ["due_at"])


def _create_credit_grants() -> None:
    op.create_table(
        "credit_grants",
        sa.Column("id", sa.String(25), nullable=False),
        sa.Column("account_id", sa.String(25), nullable=False),
        sa.Column("customer_id", sa.String(25), nullable=False),
        sa.Column("subscription_id", sa.String(25), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("denomination", sa.String(64), nullable=False),
        sa.Column("is_currency", sa.Boolean, nullable=False),
        sa.Column("amount", sa.String(64), nullable=False),
        sa.Column("expires_at", sa.BigInteger),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_credit_grants_account_id"),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.id"], name="fk_credit_grants_customer_id"),
        sa.ForeignKeyConstraint(["subscription_id"], ["subscriptions.id"], name="fk_credit_grants_subscription_id"),
        sa.PrimaryKeyConstraint("id", name="pk_credit_grants"),
    )
    op.create_index("ix_credit_grants_customer_id", "credit_grants", ["customer_id"])


def _create_signup_links() -> None:
    op.create_table(
        "signup_links",
        sa.Column("id", sa.String(25), nullable=False),
        sa.Column("account_id", sa.String(25), nullable=False),
        sa.Column("token_hash", sa.String(64), nullable=False),
        sa.Column("customer_id", sa.String(25), nullable=False),
        sa.Column("plan_id", sa.String(25), nullable=False),
        sa.Column("details", sa.Text, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.Column("used_at", sa.BigInteger),
        sa.Column("subscription_id", sa.String(25)),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_signup_links_account_id"),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.id"], name="fk_signup_links_customer_id"),
        sa.ForeignKeyConstraint(["plan_id"], ["plans.id"], name="fk_signup_links_plan_id"),
        sa.PrimaryKeyConstraint("id", name="pk_signup_links"),
        sa.UniqueConstraint("token_hash", name="uq_signup_links_token_hash"),
    )


def _create_invoices() -> None:
    op.create_table(
        "invoices",
        sa.Column("id", sa.String(25), nullable=False),
        sa.Column("account_id", sa.String(25), nullable=False),
        sa.Column("customer_id", sa.String(25), nullable=False),
        sa.Column("subscription_id", sa.String(25)),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("number", sa.String(64)),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("collection_method", sa.String(32), nullable=False),
        sa.Column("days_until_due", sa.Integer),
        sa.Column("due_at", sa.BigInteger),
        sa.Column("public_token", sa.String(64)),
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
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_invoices_account_id"),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.id"], name="fk_invoices_customer_id"),
        sa.ForeignKeyConstraint(["subscription_id"], ["subscriptions.id"], name="fk_invoices_subscription_id"),
        sa.PrimaryKeyConstraint("id", name="pk_invoices"),
        sa.UniqueConstraint("account_id", "number", name="uq_invoices_account_id_number"),
        sa.UniqueConstraint("public_token", name="uq_invoices_public_token"),
    )
    op.create_index("ix_invoices_account_id_id", "invoices", ["account_id", "id"])
    op.create_index("ix_invoices_customer_id", "invoices", ["customer_id"])
    op.create_index("ix_invoices_subscription_id", "invoices", ["subscription_id"])


def _create_invoice_lines() -> None:
    op.create_table(
        "invoice_lines",
        sa.Column("id", sa.String(25), nullable=False),
        sa.Column("invoice_id", sa.String(25), nullable=False),
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
        sa.ForeignKeyConstraint(["invoice_id"], ["invoices.id"], name="fk_invoice_lines_invoice_id"),
        sa.PrimaryKeyConstraint("id", name="pk_invoice_lines"),
        sa.UniqueConstraint("invoice_id", "position", name="uq_invoice_lines_invoice_id_position"),
        sa.UniqueConstraint("invoice_id", "reference", name="uq_invoice_lines_invoice_id_reference"),
    )


def _create_invoice_sequences() -> None:
    op.create_table(
        "invoice_sequences",
        sa.Column("account_id", sa.String(25), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("last", sa.BigInteger, nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_invoice_sequences_account_id"),
        sa.PrimaryKeyConstraint("account_id", "kind", name="pk_invoice_sequences"),
    )


def _create_billed_periods() -> None:
    op.create_table(
        "billed_periods",
        sa.Column("subscription_id", sa.String(25), nullable=False),
        sa.Column("kind", sa.String(8), nullable=False),
        sa.Column("boundary", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("invoice_id", sa.String(25)),
        sa.Column("watermark", sa.Text),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.ForeignKeyConstraint(["invoice_id"], ["invoices.id"], name="fk_billed_periods_invoice_id"),
        sa.ForeignKeyConstraint(["subscription_id"], ["subscriptions.id"], name="fk_billed_periods_subscription_id"),
        sa.PrimaryKeyConstraint("subscription_id", "kind", "boundary", name="pk_billed_periods"),
    )


def _create_invoice_runs() -> None:
    op.create_table(
        "invoice_runs",
        sa.Column("id", sa.String(25), nullable=False),
        sa.Column("account_id", sa.String(25), nullable=False),
        sa.Column("state", sa.String(8), nullable=False),
        sa.Column("due", sa.Integer, nullable=False),
        sa.Column("summary", sa.Text, nullable=False),
        sa.Column("error", sa.Text),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_invoice_runs_account_id"),
        sa.PrimaryKeyConstraint("id", name="pk_invoice_runs"),
    )
    op.create_index("ix_invoice_runs_account_id_id", "invoice_runs", ["account_id", "id"])


def _create_payments() -> None:
    op.create_table(
        "payments",
        sa.Column("id", sa.String(25), nullable=False),
        sa.Column("account_id", sa.String(25), nullable=False),
        sa.Column("invoice_id", sa.String(25), nullable=False),
        sa.Column("amount", sa.BigInteger, nullable=False),
        sa.Column("method", sa.String(32), nullable=False),
        sa.Column("reference", sa.String(255)),
        sa.Column("paid_at", sa.BigInteger, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_payments_account_id"),
        sa.ForeignKeyConstraint(["invoice_id"], ["invoices.id"], name="fk_payments_invoice_id"),
        sa.PrimaryKeyConstraint("id", name="pk_payments"),
    )
    op.create_index("ix_payments_invoice_id", "payments", ["invoice_id"])


def _create_credit_notes() -> None:
    op.create_table(
        "credit_notes",
        sa.Column("id", sa.String(25), nullable=False),
        sa.Column("account_id", sa.String(25), nullable=False),
        sa.Column("invoice_id", sa.String(25), nullable=False),
        sa.Column("number", sa.String(64), nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("amount", sa.BigInteger, nullable=False),
        sa.Column("tax", sa.BigInteger, nullable=False),
        sa.Column("total", sa.BigInteger, nullable=False),
        sa.Column("details", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_credit_notes_account_id"),
        sa.ForeignKeyConstraint(["invoice_id"], ["invoices.id"], name="fk_credit_notes_invoice_id"),
        sa.PrimaryKeyConstraint("id", name="pk_credit_notes"),
        sa.UniqueConstraint("account_id", "number", name="uq_credit_notes_account_id_number"),
    )
    op.create_index("ix_credit_notes_invoice_id", "credit_notes", ["invoice_id"])
