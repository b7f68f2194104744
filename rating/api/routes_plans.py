"""`/v1/plans`: plans, their versions, and the documents of both."""

from decimal import Decimal
from typing import Any, TypeVar

import msgspec

from ingest_gateway.http.description import Description
from ingest_gateway.http.envelope import Listed, Response, Success, listed
from ingest_gateway.http.idempotency import applied_response, command_of
from ingest_gateway.http.paging import Paging
from ingest_gateway.http.request import Request
from ingest_gateway.http.route import Route
from ingest_gateway.http.validation import read_record
from rating.api.ports import Plans
from rating.api.validation import raise_if_any
from schemas.account import Scope
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


ALL, ONE = "/v1/plans", "/v1/plans/{code}"
VERSIONS, VERSION = f"{ONE}/versions", f"{ONE}/versions/{{version}}"

Defined = TypeVar("Defined", bound=PlanDefinition)


class PlanRoutes:
    """Administrators make plans and publish versions of them, readers see them."""

    def __init__(self, plans: Plans) -> None:
        self._plans = plans

    def routes(self) -> list[Route]:
        admin, read = Scope.ADMIN, Scope.READ
        creates = Description(
            "Create a plan with its first version", body_type=NewPlan, response_type=OnePlan, status=201
        )
        lists = Description("List plans", query_type=Paging, response_type=PlanPage)
        renames = Description("Change a plan's name or description", body_type=PlanChanges, response_type=OnePlan)
        archives = Description("Archive a plan: nobody can subscribe to it any more", response_type=OnePlan)
        adds = Description("Add a version to a plan", body_type=NewVersion, response_type=OneVersion, status=201)
        lists_versions = Description("List a plan's versions", query_type=Paging, response_type=VersionPage)
        replaces = Description("Replace a draft version", body_type=DraftVersion, response_type=OneVersion)
        publishes = Description("Publish a draft version: from then on it never changes", response_type=OneVersion)
        return [
            Route("POST", ALL, admin, self.create, creates),
            Route("GET", ALL, read, self.index, lists),
            Route("GET", ONE, read, self.get, Description("Retrieve a plan", response_type=OnePlan)),
            Route("PATCH", ONE, admin, self.update, renames),
            Route("DELETE", ONE, admin, self.archive, archives),
            Route("POST", VERSIONS, admin, self.add_version, adds),
            Route("GET", VERSIONS, read, self.versions, lists_versions),
            Route(
                "GET",
                VERSION,
                read,
                self.version,
                Description("Retrieve a version of a plan", response_type=OneVersion),
            ),
            Route("PUT", VERSION, admin, self.replace, replaces),
            Route("POST", f"{VERSION}/publish", admin, self.publish, publishes),
        ]

    async def create(self, request: Request) -> Response:
        document = await request.document()
        new = _checked(read_record(document, NewPlan))
        done = await self._plans.create(command_of(request, document), new)
        return applied_response(
            request, done, status=201, location=f"{ALL}/{new.code}", plan=plan_document(done.answer)
        )

    async def index(self, request: Request) -> Response:
        asked = request.read_query(Paging)
        shown, pagination = listed(await self._plans.list(request.account, asked.limit, asked.cursor), plan_document)
        return request.success(plans=shown, pagination=pagination)

    async def get(self, request: Request) -> Response:
        return request.success(plan=plan_document(await self._plans.get(request.account, request.path_params["code"])))

    async def update(self, request: Request) -> Response:
        document = await request.document()
        changes = read_record(document, PlanChanges)
        done = await self._plans.update(command_of(request, document), request.path_params["code"], changes)
        return applied_response(request, done, plan=plan_document(done.answer))

    async def archive(self, request: Request) -> Response:
        done = await self._plans.archive(command_of(request), request.path_params["code"])
        return applied_response(request, done, plan=plan_document(done.answer))

    async def add_version(self, request: Request) -> Response:
        document = await request.document()
        new = _checked(read_record(document, NewVersion))
        code = request.path_params["code"]
        done = await self._plans.add_version(command_of(request, document), code, new)
        location = f"{ALL}/{code}/versions/{done.answer.version}"
        return applied_response(
            request, done, status=201, location=location, plan_version=version_document(done.answer)
        )

    async def versions(self, request: Request) -> Response:
        asked = request.read_query(Paging)
        found = await self._plans.versions(request.account, request.path_params["code"], asked.limit, asked.cursor)
        shown, pagination = listed(found, version_document)
        return request.success(plan_versions=shown, pagination=pagination)

    async def version(self, request: Request) -> Response:
        found = await self._plans.version(request.account, request.path_params["code"], _version(request))
        return request.success(plan_version=version_document(found))

    async def replace(self, request: Request) -> Response:
        document = await request.document()
        definition = _checked(read_record(document, DraftVersion))
        done = await self._plans.replace(
            command_of(request, document), request.path_params["code"], _version(request), definition
        )
        return applied_response(request, done, plan_version=version_document(done.answer))

    async def publish(self, request: Request) -> Response:
        done = await self._plans.publish(command_of(request), request.path_params["code"], _version(request))
        return applied_response(request, done, plan_version=version_document(done.answer))


def _checked(plan: Defined) -> Defined:
    raise_if_any(check_plan(plan))
    return plan


def _version(request: Request) -> int:
    text = request.path_params["version"]
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise NotFound(f"version: expected a whole number such as 1; got {text[:60]!r}")
    return int(text)
