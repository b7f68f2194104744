"""`/v1/plans`: plans, their versions, and the documents of both."""

from decimal import Decimal
from typing import Any, TypeVar

import msgspec

from ingest_gateway.http.envelope import Listed, Success
from ingest_gateway.http.paging import Paging
from ingest_gateway.http.resource import PathParams, RequestBody, Resource, page_of
from ingest_gateway.http.route import Route
from rating.api.ports import Plans
from rating.api.validation import raise_if_any
from schemas.errors import NotFound
from schemas.plan import FixedFee, Interval, PlanDefinition, UsagePrice
from schemas.plan_catalog import DraftVersion, NewPlan, NewVersion, Plan, PlanChanges, StoredPlanVersion
from schemas.plan_rules import check_plan
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
    """A plan. New subscriptions take `newest_version`; `draft_version` may follow it."""

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


ALL, ONE = "/v1/plans", "/v1/plans/{code}"
VERSIONS, VERSION = f"{ONE}/versions", f"{ONE}/versions/{{version}}"

Defined = TypeVar("Defined", bound=PlanDefinition)


def plan_routes(plans: Plans) -> list[Route]:
    """Administrators create plans and publish versions of them, readers see them."""
    plan = Resource.named("plan", OnePlan, plan_document)
    return [
        plan.create(
            ALL,
            "Create a plan with its first version",
            RequestBody(NewPlan, _checked),
            lambda command, _, new: plans.create(command, new),
            location=lambda created: f"{ALL}/{created.code}",
        ),
        page_of("plans", PlanPage, plan_document).query(
            ALL, "List plans", Paging, lambda account, _, paging: plans.list(account, paging.limit, paging.cursor)
        ),
        plan.get(ONE, "Retrieve a plan", lambda account, path: plans.get(account, path["code"])),
        plan.change(
            "PATCH",
            ONE,
            "Change a plan's name or description",
            RequestBody(PlanChanges),
            lambda command, path, changes: plans.update(command, path["code"], changes),
        ),
        plan.act(
            "DELETE",
            ONE,
            "Archive a plan: it takes no new subscriptions",
            lambda command, path: plans.archive(command, path["code"]),
        ),
        *_version_routes(plans),
    ]


def _version_routes(plans: Plans) -> list[Route]:
    version = Resource.named("plan_version", OneVersion, version_document)
    return [
        version.create(
            VERSIONS,
            "Add a version to a plan",
            RequestBody(NewVersion, _checked),
            lambda command, path, new: plans.add_version(command, path["code"], new),
            location=lambda added: f"{ALL}/{added.code}/versions/{added.version}",
        ),
        page_of("plan_versions", VersionPage, version_document).query(
            VERSIONS,
            "List a plan's versions",
            Paging,
            lambda account, path, paging: plans.versions(account, path["code"], paging.limit, paging.cursor),
        ),
        version.get(
            VERSION,
            "Retrieve a version of a plan",
            lambda account, path: plans.version(account, path["code"], _number(path)),
        ),
        version.change(
            "PUT",
            VERSION,
            "Replace a draft version",
            RequestBody(DraftVersion, _checked),
            lambda command, path, definition: plans.replace(command, path["code"], _number(path), definition),
        ),
        version.act(
            "POST",
            f"{VERSION}/publish",
            "Publish a draft version: from then on it never changes",
            lambda command, path: plans.publish(command, path["code"], _number(path)),
        ),
    ]


def _checked(plan: Defined) -> Defined:
    raise_if_any(check_plan(plan))
    return plan


def _number(path: PathParams) -> int:
    text = path["version"]
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise NotFound(f"version: expected a whole number such as 1; got {text[:60]!r}")
    return int(text)
