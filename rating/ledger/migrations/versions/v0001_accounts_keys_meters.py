"""Companies, their accounts, API keys and meters."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    _create_accounts()
    _create_api_keys()
    _create_meters()


def _create_accounts() -> None:
    op.create_table(
        "companies",
        sa.Column("id", sa.String(25), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_companies"),
    )
    op.create_table(
        "accounts",
        sa.Column("id", sa.String(25), nullable=False),
        sa.Column("company_id", sa.String(25), nullable=False),
        sa.Column("mode", sa.String(4), nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_accounts"),
        sa.ForeignKeyConstraint(["company_id"], ["companies.id"], name="fk_accounts_company_id"),
        sa.UniqueConstraint("company_id", "mode", name="uq_accounts_company_id_mode"),
        sa.CheckConstraint("mode IN ('live', 'test')", name=op.f("ck_accounts_mode")),
    )


def _create_api_keys() -> None:
    op.create_table(
        "api_keys",
        sa.Column("id", sa.String(25), nullable=False),
        sa.Column("account_id", sa.String(25), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("prefix", sa.String(16), nullable=False),
        sa.Column("secret_hash", sa.String(64), nullable=False),
        sa.Column("scopes", sa.String(255), nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("revoked_at", sa.BigInteger),
        sa.Column("last_used_at", sa.BigInteger),
        sa.PrimaryKeyConstraint("id", name="pk_api_keys"),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_api_keys_account_id"),
        sa.UniqueConstraint("secret_hash", name="uq_api_keys_secret_hash"),
    )
    op.create_index("ix_api_keys_account_id", "api_keys", ["account_id"])


def _create_meters() -> None:
    op.create_table(
        "meters",
        sa.Column("account_id", sa.String(25), nullable=False),
        sa.Column("code", sa.String(64), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("unit", sa.String(64)),
        sa.Column("definition", sa.Text, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("archived_version", sa.BigInteger),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("account_id", "code", name="pk_meters"),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_meters_account_id"),
        sa.UniqueConstraint("version", name="uq_meters_version"),
        sa.UniqueConstraint("archived_version", name="uq_meters_archived_version"),
    )
    meter_sets = op.create_table(
        "meter_sets",
        sa.Column("id", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_meter_sets"),
        sa.CheckConstraint("id = 1", name=op.f("ck_meter_sets_one_row")),
    )
    op.bulk_insert(meter_sets, [{"id": 1, "version": 0}])
