"""Triggers that make finalized invoices, published plans, payments and the audit log immutable."""

from alembic import op

revision = "0003"
down_revision = "0002"

# All columns of an invoice except its status, its paid and credited amounts, and their times.
_INVOICE = (
    "account_id",
    "customer_id",
    "subscription_id",
    "number",
    "currency",
    "collection_method",
    "days_until_due",
    "due_at",
    "public_token",
    "subtotal",
    "discount",
    "tax",
    "total",
    "period_start",
    "period_end",
    "details",
    "finalized_at",
    "created_at",
)


def upgrade() -> None:
    differs = "IS NOT" if op.get_bind().dialect.name == "sqlite" else "IS DISTINCT FROM"
    changed = " OR ".join(f"NEW.{column} {differs} OLD.{column}" for column in _INVOICE)
    back = "NEW.status = 'draft'"
    _forbid("invoices", "UPDATE", f"OLD.status <> 'draft' AND ({changed} OR {back})", "a finalized invoice")
    _forbid("invoices", "DELETE", "OLD.status <> 'draft'", "a finalized invoice")
    for verb, row in (("INSERT", "NEW"), ("UPDATE", "OLD"), ("DELETE", "OLD")):
        of_final = f"(SELECT status FROM invoices WHERE id = {row}.invoice_id) <> 'draft'"
        _forbid("invoice_lines", verb, of_final, "a line of a finalized invoice")
    for verb in ("UPDATE", "DELETE"):
        _forbid("plan_versions", verb, "OLD.published_at IS NOT NULL", "a published version of a plan")
        _forbid("payments", verb, "1 = 1", "a payment")
        _forbid("credit_notes", verb, "1 = 1", "a credit note")
        _forbid("audit_log", verb, "1 = 1", "an entry of the audit log")


def _forbid(table: str, verb: str, condition: str, what: str) -> None:
    name = f"{table}_no_{verb.lower()}"
    message = f"{what} cannot be changed or removed"
    if op.get_bind().dialect.name == "sqlite":
        op.execute(
            f"CREATE TRIGGER {name} BEFORE {verb} ON {table} WHEN {condition} "
            f"BEGIN SELECT RAISE(ABORT, '{message}'); END"
        )
        return
    # Conditions may read another table, which PostgreSQL's WHEN cannot: the function checks them.
    result = "OLD" if verb == "DELETE" else "NEW"
    op.execute(
        f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        f"IF {condition} THEN RAISE EXCEPTION '{message}'; END IF; RETURN {result}; END $$"
    )
    op.execute(f"CREATE TRIGGER {name} BEFORE {verb} ON {table} FOR EACH ROW EXECUTE FUNCTION {name}()")
