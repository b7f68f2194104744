"""Changes of plans: a published version is immutable, and a change of it is another version."""

from typing import Any

import msgspec
import sqlalchemy as sa

from rating.ledger.meter_rows import find_meter
from rating.ledger.plan_rows import get_plan, get_version, version_values
from rating.ledger.rows import set_fields
from rating.ledger.tables import plan_versions, plans
from rating.ledger.unit_of_work import UnitOfWork
from schemas.errors import Conflict, Invalid
from schemas.plan import PlanDefinition
from schemas.plan_catalog import NewPlan, NewVersion, Plan, PlanChanges, StoredPlanVersion, definition_of


def create_plan(work: UnitOfWork, new: NewPlan) -> Plan:
    taken = sa.select(plans.c.id).where(plans.c.account_id == work.account, plans.c.code == new.code)
    if work.connection.scalar(taken) is not None:
        raise Conflict(
            f"code: the plan code {new.code!r} is taken (archived plans keep theirs); "
            f"choose another, or add a version with POST /v1/plans/{new.code}/versions",
            code="PLAN_CODE_TAKEN",
            field="code",
        )
    values = {"code": new.code, "name": new.name, "description": new.description, "newest_version": 0}
    plan_id = work.new_id()
    work.connection.execute(
        sa.insert(plans).values(id=plan_id, account_id=work.account, created_at=work.now, updated_at=work.now, **values)
    )
    _insert_version(work, get_plan(work.connection, work.account, new.code), 1, new, draft=new.draft)
    plan = get_plan(work.connection, work.account, new.code)
    work.audit("plan.create", plan_id, after=plan)
    return plan


def update_plan(work: UnitOfWork, code: str, changes: PlanChanges) -> Plan:
    before = get_plan(work.connection, work.account, code, lock=True)
    return _changed(work, "plan.update", before, set_fields(changes))


def archive_plan(work: UnitOfWork, code: str) -> Plan:
    before = get_plan(work.connection, work.account, code, lock=True)
    if before.archived_at is not None:
        return before
    return _changed(work, "plan.archive", before, {"archived_at": work.now})


def add_version(work: UnitOfWork, code: str, new: NewVersion) -> StoredPlanVersion:
    plan = _offered(work, code)
    if plan.draft_version is not None:
        number = plan.draft_version.version
        raise Conflict(
            f"version {number} of plan {code!r} is still a draft; replace it with "
            f"PUT /v1/plans/{code}/versions/{number}, or publish it first",
            code="DRAFT_EXISTS",
        )
    number = 1 if plan.newest_version is None else plan.newest_version.version + 1
    made = _insert_version(work, plan, number, new, draft=new.draft)
    work.audit("plan.add_version", plan.id, after=made)
    return made


def replace_draft(work: UnitOfWork, code: str, version: int, definition: PlanDefinition) -> StoredPlanVersion:
    plan = _offered(work, code)
    before = _draft(work, plan, version)
    after = msgspec.structs.replace(before, **msgspec.structs.asdict(definition_of(definition)))
    return _rewrite(work, "plan.replace_draft", plan, before, after)


def publish(work: UnitOfWork, code: str, version: int) -> StoredPlanVersion:
    plan = _offered(work, code)
    before = _draft(work, plan, version)
    return _rewrite(work, "plan.publish", plan, before, msgspec.structs.replace(before, published_at=work.now))


def _offered(work: UnitOfWork, code: str) -> Plan:
    plan = get_plan(work.connection, work.account, code, lock=True)
    if plan.archived_at is not None:
        raise Conflict(
            f"plan {code!r} is archived, so it gets no new versions; create another plan", code="PLAN_ARCHIVED"
        )
    return plan


def _draft(work: UnitOfWork, plan: Plan, version: int) -> StoredPlanVersion:
    found = get_version(work.connection, plan, version)
    if found.published_at is not None:
        raise Conflict(
            f"version {version} of plan {plan.code!r} is published, and what is published never changes; "
            f"add another with POST /v1/plans/{plan.code}/versions",
            code="VERSION_PUBLISHED",
        )
    return found


def _insert_version(
    work: UnitOfWork, plan: Plan, number: int, new: PlanDefinition, *, draft: bool
) -> StoredPlanVersion:
    made = StoredPlanVersion(
        code=plan.code,
        name=plan.name,
        version=number,
        published_at=None if draft else work.now,
        created_at=work.now,
        **msgspec.structs.asdict(definition_of(new)),
    )
    _check_meters(work, made)
    work.connection.execute(sa.insert(plan_versions).values(version_values(plan.id, made)))
    _touch(work, plan, {"newest_version": number})
    return made


def _rewrite(
    work: UnitOfWork, action: str, plan: Plan, before: StoredPlanVersion, after: StoredPlanVersion
) -> StoredPlanVersion:
    _check_meters(work, after)
    this = (plan_versions.c.plan_id == plan.id) & (plan_versions.c.version == after.version)
    work.connection.execute(sa.update(plan_versions).where(this).values(version_values(plan.id, after)))
    _touch(work, plan, {})
    work.audit(action, plan.id, before, after)
    return after


def _changed(work: UnitOfWork, action: str, before: Plan, values: dict[str, Any]) -> Plan:
    _touch(work, before, values)
    after = get_plan(work.connection, work.account, before.code)
    work.audit(action, before.id, before, after)
    return after


def _touch(work: UnitOfWork, plan: Plan, values: dict[str, Any]) -> None:
    changed = {**values, "updated_at": max(work.now, plan.updated_at)}
    work.connection.execute(sa.update(plans).where(plans.c.id == plan.id).values(changed))


def _check_meters(work: UnitOfWork, version: PlanDefinition) -> None:
    """Raises Invalid if a price needs a meter or a group key that does not exist.

    Locks keep the meters from being archived meanwhile; they are always taken in one order, so they never deadlock.
    """
    codes = sorted({usage.meter for usage in version.usage_prices})
    found = {code: find_meter(work.connection, work.account, code, lock=True) for code in codes}
    for place, usage in enumerate(version.usage_prices):
        field = f"usage_prices[{place}]"
        meter = found[usage.meter]
        if meter is None or meter.archived_version is not None:
            wrong = f"there is no meter {usage.meter!r}" if meter is None else f"the meter {usage.meter!r} is archived"
            raise Invalid(f"{field}.meter: {wrong}; create one with POST /v1/meters", field=f"{field}.meter")
        if unknown := [key for key in usage.group_by if key not in meter.group_by]:
            known = ", ".join(meter.group_by) or "none"
            raise Invalid(
                f"{field}.group_by: the meter {usage.meter!r} has no group key {unknown[0]!r}; it has {known}",
                field=f"{field}.group_by",
            )
