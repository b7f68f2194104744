"""`/v1/plans`: what is sold, version by version."""

from typing import TypeVar

from ingest_gateway.http.answers import listed
from ingest_gateway.http.envelope import Response
from ingest_gateway.http.idempotency import answer, command_of
from ingest_gateway.http.paging import Paging
from ingest_gateway.http.request import Description, Request, Route
from ingest_gateway.http.validation import read_record
from rating.api.plan_documents import (
    OnePlan,
    OneVersion,
    PlanPage,
    VersionPage,
    plan_document,
    version_document,
)
from rating.api.plan_ports import Plans
from rating.api.validation import raise_if_any
from schemas.account import Scope
from schemas.errors import NotFound
from schemas.plan import PlanDefinition
from schemas.plan_catalog import DraftVersion, NewPlan, NewVersion, PlanChanges
from schemas.plan_rules import check_plan

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
        return answer(request, done, status=201, location=f"{ALL}/{new.code}", plan=plan_document(done.answer))

    async def index(self, request: Request) -> Response:
        asked = request.asked(Paging)
        shown, pagination = listed(await self._plans.list(request.account, asked.limit, asked.cursor), plan_document)
        return request.success(plans=shown, pagination=pagination)

    async def get(self, request: Request) -> Response:
        return request.success(plan=plan_document(await self._plans.get(request.account, request.path["code"])))

    async def update(self, request: Request) -> Response:
        document = await request.document()
        changes = read_record(document, PlanChanges)
        done = await self._plans.update(command_of(request, document), request.path["code"], changes)
        return answer(request, done, plan=plan_document(done.answer))

    async def archive(self, request: Request) -> Response:
        done = await self._plans.archive(command_of(request), request.path["code"])
        return answer(request, done, plan=plan_document(done.answer))

    async def add_version(self, request: Request) -> Response:
        document = await request.document()
        new = _checked(read_record(document, NewVersion))
        code = request.path["code"]
        done = await self._plans.add_version(command_of(request, document), code, new)
        location = f"{ALL}/{code}/versions/{done.answer.version}"
        return answer(request, done, status=201, location=location, plan_version=version_document(done.answer))

    async def versions(self, request: Request) -> Response:
        asked = request.asked(Paging)
        found = await self._plans.versions(request.account, request.path["code"], asked.limit, asked.cursor)
        shown, pagination = listed(found, version_document)
        return request.success(plan_versions=shown, pagination=pagination)

    async def version(self, request: Request) -> Response:
        found = await self._plans.version(request.account, request.path["code"], _version(request))
        return request.success(plan_version=version_document(found))

    async def replace(self, request: Request) -> Response:
        document = await request.document()
        definition = _checked(read_record(document, DraftVersion))
        done = await self._plans.replace(
            command_of(request, document), request.path["code"], _version(request), definition
        )
        return answer(request, done, plan_version=version_document(done.answer))

    async def publish(self, request: Request) -> Response:
        done = await self._plans.publish(command_of(request), request.path["code"], _version(request))
        return answer(request, done, plan_version=version_document(done.answer))


def _checked(plan: Defined) -> Defined:
    raise_if_any(check_plan(plan))
    return plan


def _version(request: Request) -> int:
    text = request.path["version"]
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise NotFound(f"version: expected a whole number such as 1; got {text[:60]!r}")
    return int(text)
