"""Balance entries: what invoices below zero add for their customers, and what later invoices use; immutable."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.create_table(
        "balance_entries",
        sa.Column("id", sa.String(25), nullable=False),
        sa.Column("account_id", sa.String(25), nullable=False),
        sa.Column("customer_id", sa.String(25), nullable=False),
        sa.Column("invoice_id", sa.String(25), nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("amount", sa.BigInteger, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_balance_entries_account_id"),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.id"], name="fk_balance_entries_customer_id"),
        sa.ForeignKeyConstraint(["invoice_id"], ["invoices.id"], name="fk_balance_entries_invoice_id"),
        sa.PrimaryKeyConstraint("id", name="pk_balance_entries"),
        sa.UniqueConstraint("invoice_id", name="uq_balance_entries_invoice_id"),
    )
    op.create_index("ix_balance_entries_customer_id_currency", "balance_entries", ["customer_id", "currency"])
    for verb in ("UPDATE", "DELETE"):
        _forbid("balance_entries", verb, "an entry of a balance")


def _forbid(table: str, verb: str, what: str) -> None:
    name = f"{table}_no_{verb.lower()}"
    message = f"{what} cannot be changed or removed"
    if op.get_bind().dialect.name == "sqlite":
        op.execute(f"CREATE TRIGGER {name} BEFORE {verb} ON {table} BEGIN SELECT RAISE(ABORT, '{message}'); END")
        return
    op.execute(
        f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION '{message}'; END $$"
    )
    op.execute(f"CREATE TRIGGER {name} BEFORE {verb} ON {table} FOR EACH ROW EXECUTE FUNCTION {name}()")
