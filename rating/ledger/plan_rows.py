"""Plans and their versions as rows of the ledger: from a row to a record, and back."""

from collections.abc import Iterable
from typing import Any

import msgspec
import sqlalchemy as sa

from rating.ledger.tables import plan_versions, plans
from schemas.errors import NotFound
from schemas.ids import AccountId
from schemas.plan import PlanDefinition
from schemas.plan_catalog import Plan, StoredPlanVersion, definition_of

_decoder = msgspec.json.Decoder(PlanDefinition)


def get_plan(connection: sa.Connection, account: AccountId, code: str, *, lock: bool = False) -> Plan:
    """Raises NotFound. With `lock`, no other transaction can change the plan or its versions until this one ends."""
    this = sa.select(plans).where(plans.c.account_id == account, plans.c.code == code)
    row = connection.execute(this.with_for_update() if lock else this).one_or_none()
    if row is None:
        raise NotFound(f"there is no plan with the code {code!r} in this account")
    return with_versions(connection, [row])[0]


def with_versions(connection: sa.Connection, rows: Iterable[Any]) -> list[Plan]:
    """The plans with their newest published version and their draft, which are always among the newest two versions."""
    found = {row.id: row for row in rows}
    newest = sa.select(plan_versions).join(plans, plans.c.id == plan_versions.c.plan_id)
    newest = newest.where(plans.c.id.in_(found), plan_versions.c.version >= plans.c.newest_version - 1)
    published, drafts = dict[str, StoredPlanVersion](), dict[str, StoredPlanVersion]()
    for version in connection.execute(newest.order_by(plan_versions.c.version)):
        of_kind = drafts if version.published_at is None else published
        of_kind[version.plan_id] = to_version(found[version.plan_id], version)
    return [_to_plan(row, published.get(row.id), drafts.get(row.id)) for row in found.values()]


def get_version(connection: sa.Connection, plan: Plan, version: int) -> StoredPlanVersion:
    """Raises NotFound."""
    this = sa.select(plan_versions).where(plan_versions.c.plan_id == plan.id, plan_versions.c.version == version)
    row = connection.execute(this).one_or_none()
    if row is None:
        raise NotFound(f"plan {plan.code!r} has no version {version}")
    return to_version(plan, row)


def get_versions(
    connection: sa.Connection, keys: Iterable[tuple[str, int]]
) -> dict[tuple[str, int], StoredPlanVersion]:
    """Versions by the id of their plan and their number."""
    rows = sa.select(plan_versions, plans.c.code, plans.c.name).join(plans, plans.c.id == plan_versions.c.plan_id)
    these = sa.tuple_(plan_versions.c.plan_id, plan_versions.c.version).in_(set(keys))
    found = connection.execute(rows.where(these))
    return {(row.plan_id, row.version): to_version(row, row) for row in found}


def to_version(plan: Any, row: Any) -> StoredPlanVersion:
    """The version, with the present code and name of its `plan`."""
    definition = msgspec.structs.asdict(_decoder.decode(row.definition))
    return StoredPlanVersion(
        code=plan.code,
        name=plan.name,
        version=row.version,
        published_at=row.published_at,
        created_at=row.created_at,
        **definition,
    )


def version_values(plan_id: str, version: StoredPlanVersion) -> dict[str, Any]:
    return {
        "plan_id": plan_id,
        "version": version.version,
        "definition": msgspec.json.encode(definition_of(version)).decode(),
        "published_at": version.published_at,
        "created_at": version.created_at,
    }


def _to_plan(row: Any, published: StoredPlanVersion | None, draft: StoredPlanVersion | None) -> Plan:
    return Plan(
        id=row.id,
        account=AccountId(row.account_id),
        code=row.code,
        name=row.name,
        description=row.description,
        newest_version=published,
        draft_version=draft,
        archived_at=row.archived_at,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
