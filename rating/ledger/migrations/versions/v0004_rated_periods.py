"""Rated periods: what was billed of each period's usage, from which late usage is calculated."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_table(
        "rated_periods",
        sa.Column("subscription_id", sa.String(25), nullable=False),
        sa.Column("period_start", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("price_code", sa.String(64), nullable=False),
        sa.Column("period_end", sa.BigInteger, nullable=False),
        sa.Column("open_until", sa.BigInteger, nullable=False),
        sa.Column("details", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
        sa.ForeignKeyConstraint(["subscription_id"], ["subscriptions.id"], name="fk_rated_periods_subscription_id"),
        sa.PrimaryKeyConstraint("subscription_id", "period_start", "price_code", name="pk_rated_periods"),
    )
    op.create_index("ix_rated_periods_subscription_id_open_until", "rated_periods", ["subscription_id", "open_until"])
