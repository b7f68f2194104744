"""Every moment that a request may hold, given extremes: refused with its field named, or stored and listed."""

import json
import random
from collections.abc import AsyncIterator, Iterator, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from rating.ledger.migrate import migrate
from tests.ingest_gateway.openapi.account_resources import (
    BEFORE,
    AccountResources,
    create_resources,
    prepare,
)
from tests.rating.api.billing_api import BillingApi, open_billing_api

Document = dict[str, Any]

HUGE_FRACTION = "2026-11-21T10:30:00." + "9" * 400 + "Z"

OUTSIDE = [
    "0001-01-01T00:00:00Z",
    "0001-01-01T00:00:00+23:59",
    "0000-01-01T00:00:00Z",
    "1969-12-31T23:59:59.999999Z",
    "2200-01-01T00:00:00Z",
    "2199-12-31T23:59:59-23:59",
    "9999-12-31T23:59:59.999999Z",
    "9999-12-31T23:59:59-23:59",
    "10000-01-01T00:00:00Z",
    "-0001-01-01T00:00:00Z",
    "2026-12-31T23:59:60Z",
    "2026-11-21T24:00:00Z",
    "2026-11-21T10:30:00+24:00",
    "2026-11-21T10:30:00",
    "2026-11-21",
    "２０２６-11-21T10:30:00Z",
    "٢٠٢٦-11-21T10:30:00Z",
    HUGE_FRACTION,
    "1e400",
    "\u0000",
]
"""Refused wherever a moment is read."""

OUTSIDE_BILLING = ["1999-12-31T23:59:59.999999Z", "2000-01-01T00:00:00+23:59", "1970-01-01T00:00:00Z"]
"""Events are as old as 1970; every other moment is of 2000 or later."""

INSIDE = [
    "2000-01-01T00:00:00Z",
    "1999-12-31T23:59:59.999999-23:59",
    "2199-12-31T23:59:59.999999Z",
    "2026-11-21T10:30:00.123456789123Z",
    "2027-01-16T00:00:00+14:00",
]
"""Whether these are accepted depends on the operation; none may break anything."""

PARTNERS = {"from": "to", "period_start": "period_end"}
"""The end of a range that begins too late is named instead of its start."""

EVENTS = ("/v1/events/ingest", "/api/v1/events")
QUERIES_OF_EVENTS = ("/v1/usage", "/v1/usage/verification", "/v1/usage/verification/days", "/v1/events")


class Place(NamedTuple):
    """One moment of one operation: a query parameter, or a field of an example of its body."""

    method: str
    path: str
    name: str
    example: str
    steps: tuple[str | int, ...]


@pytest.fixture
async def billing_api(tmp_path: Path, anyio_backend: str) -> AsyncIterator[BillingApi]:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    migrate(url)
    async with open_billing_api(url) as api:
        yield api


def places_of(document: Document) -> list[Place]:
    """Every moment of every operation."""
    found = []
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            for each in operation.get("parameters", []):
                is_moment = any(_is_moment(schema) for schema in _alternatives(document, each["schema"]))
                found += [Place(method, path, each["name"], "", ())] * is_moment
            media = operation.get("requestBody", {}).get("content", {}).get("application/json")
            for name, example in (media or {}).get("examples", {}).items():
                inside = dict.fromkeys(_moments_in(document, media["schema"], example["value"]))
                found += [Place(method, path, str(steps[-1]), name, steps) for steps in inside]
    return found


def _alternatives(document: Document, schema: Document) -> Iterator[Document]:
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    if "anyOf" in schema:
        for each in schema["anyOf"]:
            yield from _alternatives(document, each)
    else:
        yield schema


def _is_moment(schema: Document) -> bool:
    return schema.get("format") == "date-time"


def _moments_in(document: Document, schema: Document, value: Any) -> Iterator[tuple[str | int, ...]]:
    for each in _alternatives(document, schema):
        if _is_moment(each):
            yield ()
        elif each.get("type") == "array" and isinstance(value, list):
            for inner in _moments_in(document, each["items"], value[0]) if value else ():
                yield (0, *inner)
        elif each.get("type") == "object" and isinstance(value, dict) and set(value) <= set(each.get("properties", {})):
            for name, field in each.get("properties", {}).items():
                for inner in _moments_in(document, field, value.get(name)):
                    yield (name, *inner)


class Attack:
    """Sends requests with one changed moment, and reads everything that the account has."""

    def __init__(self, api: BillingApi, document: Document, resources: AccountResources) -> None:
        self.api = api
        self.document = document
        self.resources = resources
        self.refused = 0
        self.stored = 0
        self.read = 0

    async def send(self, place: Place, text: str) -> None:
        """Fails unless the request is refused with the field named, or answered without a fault of ours."""
        self.api.clock.now += 1_000
        if place.path in BEFORE:
            await prepare(self.api, self.resources, self.document, place.path)
        reply = await self._request(place, text)
        shown = f"{place} {text[:40]!r}: {reply.status_code} {reply.text[:400]}"
        assert reply.status_code < 500, shown
        refused = reply.status_code in (400, 422)
        if self._must_refuse(place, text):
            assert refused or _rejected(reply.json()), shown
        if refused:
            named = json.dumps(reply.json()["error"])
            assert place.name in named or PARTNERS.get(place.name, place.name) in named, shown
            self.refused += 1
        elif reply.status_code < 300:
            self.stored += 1

    def _must_refuse(self, place: Place, text: str) -> bool:
        of_events = place.path in (*EVENTS, *QUERIES_OF_EVENTS)
        if place.path in EVENTS and text == HUGE_FRACTION:
            return False  # cut to microseconds, like nine digits
        return text in OUTSIDE or (text in OUTSIDE_BILLING and not of_events)

    async def _request(self, place: Place, text: str) -> Any:
        path = self.resources.filled(place.path) or ""
        operation = self.document["paths"][place.path][place.method]
        if not place.steps:
            params = {each["name"]: each["example"] for each in operation["parameters"] if each.get("example")}
            return await self.api.client.get(path, params=self.resources.body(params) | {place.name: text})
        example = operation["requestBody"]["content"]["application/json"]["examples"][place.example]["value"]
        body = self.resources.body(deepcopy(example))
        inner = body
        for step in place.steps[:-1]:
            inner = inner[step]
        inner[place.steps[-1]] = text
        body = _without_rivals(place, body)
        return await self.api.client.request(place.method.upper(), path, content=json.dumps(body))

    async def read_everything(self, why: str) -> None:
        """Every read of the document, of every resource there is."""
        for path, methods in self.document["paths"].items():
            if "get" not in methods or not methods["get"]["security"]:
                continue
            filled = self.resources.filled(path)
            if filled is None:
                continue
            needed = [each for each in methods["get"].get("parameters", []) if each["in"] == "query"]
            params = {each["name"]: each["example"] for each in needed if each.get("example") and each["required"]}
            if path.endswith("/search"):
                params = {"name": "hush"}
            reply = await self.api.client.get(filled, params=self.resources.body(params))
            conflict = reply.status_code == 409 and path.endswith("upcoming-invoice")
            assert reply.status_code == 200 or conflict, f"{path}: {reply.status_code} {reply.text[:400]} after {why}"
            self.read += 1


def _without_rivals(place: Place, body: Any) -> Any:
    """A due date excludes the days until due."""
    if place.name == "due_date" and isinstance(body, dict):
        return {name: value for name, value in body.items() if name != "days_until_due"}
    return body


def _rejected(reply: Mapping[str, Any]) -> bool:
    return bool(reply.get("rejected"))


async def attack_on(api: BillingApi) -> Attack:
    document = (await api.client.get("/openapi.json")).json()
    return Attack(api, document, await create_resources(api, document))


async def test_every_moment_is_refused_by_name_or_stored_and_listed(billing_api: BillingApi) -> None:
    attack = await attack_on(billing_api)
    places = places_of(attack.document)
    names = {place.name for place in places}
    assert names >= {"from", "to", "expires_at", "due_date", "period_start", "period_end", "paid_at", "as_of"}
    assert names >= {"start_date", "next_renewal_date", "timestamp", "time"}
    for place in places:
        for text in (*OUTSIDE, *OUTSIDE_BILLING, *INSIDE):
            await attack.send(place, text)
        await attack.read_everything(f"{place}")
    print(f"{len(places)} moments: {attack.refused} refused, {attack.stored} stored, {attack.read} reads")
    assert attack.refused > len(places) * 15
    assert attack.stored > 10


@pytest.mark.long
async def test_random_moments_break_nothing(billing_api: BillingApi) -> None:
    attack = await attack_on(billing_api)
    places = places_of(attack.document)
    pieces = [
        "-",
        ":",
        "T",
        " ",
        "Z",
        "+",
        ".",
        "00",
        "59",
        "60",
        "0001",
        "1970",
        "2000",
        "2199",
        "9999",
        "+23:59",
        "９",
    ]
    for seed in range(2_000):
        random_source = random.Random(seed)
        year = random_source.choice(["0001", "1969", "1970", "1999", "2000", "2026", "2199", "2200", "9999"])
        text = (
            f"{year}-{random_source.randint(1, 12):02}-{random_source.randint(1, 31):02}"
            f"T{random_source.randint(0, 24):02}:{random_source.choice(['00', '59', '60'])}:00"
            f"{random_source.choice(['', '.5', '.' + '1' * 30])}{random_source.choice(['Z', '+23:59', '-23:59', ''])}"
        )
        if seed % 4 == 0:
            text = "".join(random_source.choices(pieces, k=random_source.randint(0, 14)))
        place = random_source.choice(places)
        await attack.send(place, text)
        if seed % 20 == 0:
            await attack.read_everything(f"{place} {text!r}")
    print(f"2000 moments: {attack.refused} refused, {attack.stored} stored, {attack.read} reads")
