"""`/v1/plans`: what is sold, version by version."""

from typing import TypeVar

from ingest_gateway.http.answers import listed
from ingest_gateway.http.envelope import Reply
from ingest_gateway.http.idempotency import act_of, answer
from ingest_gateway.http.paging import Paging
from ingest_gateway.http.request import About, Call, Endpoint
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
from rating.api.validation import refuse
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

    def endpoints(self) -> list[Endpoint]:
        admin, read = Scope.ADMIN, Scope.READ
        creates = About("Create a plan with its first version", takes=NewPlan, gives=OnePlan, status=201)
        lists = About("List plans", asks=Paging, gives=PlanPage)
        renames = About("Change a plan's name or description", takes=PlanChanges, gives=OnePlan)
        archives = About("Archive a plan: nobody can subscribe to it any more", gives=OnePlan)
        adds = About("Add a version to a plan", takes=NewVersion, gives=OneVersion, status=201)
        lists_versions = About("List a plan's versions", asks=Paging, gives=VersionPage)
        replaces = About("Replace a draft version", takes=DraftVersion, gives=OneVersion)
        publishes = About("Publish a draft version: from then on it never changes", gives=OneVersion)
        return [
            Endpoint("POST", ALL, admin, self.create, creates),
            Endpoint("GET", ALL, read, self.index, lists),
            Endpoint("GET", ONE, read, self.get, About("Retrieve a plan", gives=OnePlan)),
            Endpoint("PATCH", ONE, admin, self.update, renames),
            Endpoint("DELETE", ONE, admin, self.archive, archives),
            Endpoint("POST", VERSIONS, admin, self.add_version, adds),
            Endpoint("GET", VERSIONS, read, self.versions, lists_versions),
            Endpoint("GET", VERSION, read, self.version, About("Retrieve a version of a plan", gives=OneVersion)),
            Endpoint("PUT", VERSION, admin, self.replace, replaces),
            Endpoint("POST", f"{VERSION}/publish", admin, self.publish, publishes),
        ]

    async def create(self, call: Call) -> Reply:
        document = await call.document()
        new = _checked(read_record(document, NewPlan))
        done = await self._plans.create(act_of(call, document), new)
        return answer(call, done, status=201, location=f"{ALL}/{new.code}", plan=plan_document(done.answer))

    async def index(self, call: Call) -> Reply:
        asked = call.asked(Paging)
        shown, pagination = listed(await self._plans.list(call.account, asked.limit, asked.cursor), plan_document)
        return call.success(plans=shown, pagination=pagination)

    async def get(self, call: Call) -> Reply:
        return call.success(plan=plan_document(await self._plans.get(call.account, call.path["code"])))

    async def update(self, call: Call) -> Reply:
        document = await call.document()
        changes = read_record(document, PlanChanges)
        done = await self._plans.update(act_of(call, document), call.path["code"], changes)
        return answer(call, done, plan=plan_document(done.answer))

    async def archive(self, call: Call) -> Reply:
        done = await self._plans.archive(act_of(call), call.path["code"])
        return answer(call, done, plan=plan_document(done.answer))

    async def add_version(self, call: Call) -> Reply:
        document = await call.document()
        new = _checked(read_record(document, NewVersion))
        code = call.path["code"]
        done = await self._plans.add_version(act_of(call, document), code, new)
        location = f"{ALL}/{code}/versions/{done.answer.version}"
        return answer(call, done, status=201, location=location, plan_version=version_document(done.answer))

    async def versions(self, call: Call) -> Reply:
        asked = call.asked(Paging)
        found = await self._plans.versions(call.account, call.path["code"], asked.limit, asked.cursor)
        shown, pagination = listed(found, version_document)
        return call.success(plan_versions=shown, pagination=pagination)

    async def version(self, call: Call) -> Reply:
        found = await self._plans.version(call.account, call.path["code"], _version(call))
        return call.success(plan_version=version_document(found))

    async def replace(self, call: Call) -> Reply:
        document = await call.document()
        definition = _checked(read_record(document, DraftVersion))
        done = await self._plans.replace(act_of(call, document), call.path["code"], _version(call), definition)
        return answer(call, done, plan_version=version_document(done.answer))

    async def publish(self, call: Call) -> Reply:
        done = await self._plans.publish(act_of(call), call.path["code"], _version(call))
        return answer(call, done, plan_version=version_document(done.answer))


def _checked(plan: Defined) -> Defined:
    refuse(check_plan(plan))
    return plan


def _version(call: Call) -> int:
    text = call.path["version"]
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise NotFound(f"version: expected a whole number such as 1; got {text[:60]!r}")
    return int(text)
