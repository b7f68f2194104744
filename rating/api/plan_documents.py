"""Plans as the API shows them."""

from decimal import Decimal
from typing import Any

import msgspec

from ingest_gateway.http.answers import Listed, Success
from schemas.plan import FixedFee, Interval, UsagePrice
from schemas.plan_catalog import Plan, StoredPlanVersion
from schemas.timestamps import iso_or_none, to_iso


class VersionDocument(msgspec.Struct, kw_only=True):
    """A version of a plan; `published_at` is null while it is a draft."""

    plan_code: str
    version: int
    currency: str
    interval: Interval
    interval_count: int
    trial_days: int
    fixed_fees: tuple[FixedFee, ...]
    usage_prices: tuple[UsagePrice, ...]
    published_at: str | None
    created_at: str


class PlanDocument(msgspec.Struct, kw_only=True):
    """A plan. `newest_version` is what is subscribed to now, `draft_version` what may follow it."""

    id: str
    code: str
    name: str
    description: str | None
    newest_version: VersionDocument | None
    draft_version: VersionDocument | None
    archived_at: str | None
    created_at: str
    updated_at: str


class OnePlan(Success, kw_only=True):
    """One plan."""

    plan: PlanDocument


class PlanPage(Listed, kw_only=True):
    """One page of plans."""

    plans: list[PlanDocument]


class OneVersion(Success, kw_only=True):
    """One version of a plan."""

    plan_version: VersionDocument


class VersionPage(Listed, kw_only=True):
    """One page of a plan's versions."""

    plan_versions: list[VersionDocument]


def plan_document(plan: Plan) -> dict[str, Any]:
    return {
        "id": plan.id,
        "code": plan.code,
        "name": plan.name,
        "description": plan.description,
        "newest_version": None if plan.newest_version is None else version_document(plan.newest_version),
        "draft_version": None if plan.draft_version is None else version_document(plan.draft_version),
        "archived_at": iso_or_none(plan.archived_at),
        "created_at": to_iso(plan.created_at),
        "updated_at": to_iso(plan.updated_at),
    }


def version_document(version: StoredPlanVersion) -> dict[str, Any]:
    # Decimals stay what they are: the envelope writes them plainly, never as 1E-7.
    fields: dict[str, Any] = msgspec.to_builtins(version, builtin_types=(Decimal,))
    del fields["name"]
    code = fields.pop("code")
    times = {"published_at": iso_or_none(version.published_at), "created_at": to_iso(version.created_at)}
    return {"plan_code": code, **fields, **times}
