"""Usage over HTTP: what is asked reaches the reader exactly, what is answered keeps every digit."""

import io
from decimal import Decimal

import pyarrow.parquet as pq
import pytest

from schemas.account import Mode
from schemas.timestamps import MINUTE
from schemas.usage import UsageQuery, Window
from tests.ingest_gateway.conftest import TOKENS, InMemoryApp

pytestmark = pytest.mark.anyio

RANGE = "meter=tokens&from=2026-11-01T00:00:00Z&to=2026-12-01T00:00:00Z"
START, END = 1_793_491_200_000_000, 1_796_083_200_000_000


@pytest.fixture
async def metered(in_memory_app: InMemoryApp, auth: dict[str, str]) -> InMemoryApp:
    await in_memory_app.client.post("/v1/meters", headers=auth, json=TOKENS)
    return in_memory_app


async def queries(in_memory_app: InMemoryApp, auth: dict[str, str], query: str) -> UsageQuery:
    reply = await in_memory_app.client.get(f"/v1/usage?{query}", headers=auth)
    assert reply.status_code == 200, reply.text
    question = in_memory_app.reader.queries[-1]
    assert isinstance(question, UsageQuery)
    return question


async def test_the_smallest_question(metered: InMemoryApp, auth: dict[str, str]) -> None:
    """A meter and a range: all customers, one row each, no groups."""
    question = await queries(metered, auth, RANGE)
    assert (question.account, question.meter.code) == (metered.ours[Mode.LIVE], "tokens")
    assert (question.start, question.end) == (START, END)
    assert (question.customers, question.window, question.timezone) == ((), Window.NONE, "UTC")
    assert (question.group_by, question.groups, question.top, question.after) == ((), {}, None, None)


async def test_every_parameter_arrives(metered: InMemoryApp, auth: dict[str, str]) -> None:
    """Lists by comma or by repetition, offsets in times, several values of one group, a missing one too."""
    question = await queries(
        metered,
        auth,
        "meter=tokens&from=2026-11-01T01:00%2B01:00&to=2026-12-01T00:00:00Z&customer_id=a,b&customer_id=c&window=day"
        "&timezone=Europe/Berlin&group_by=model&filter[model]=gpt-4&filter%5Bmodel%5D=&top=5&limit=10000&cursor=x",
    )
    assert (question.start, question.customers) == (START, ("a", "b", "c"))
    assert (question.window, question.timezone) == (Window.DAY, "Europe/Berlin")
    assert (question.group_by, question.groups) == (("model",), {"model": ("gpt-4", None)})
    assert (question.top, question.limit, question.after) == (5, 10_000, "x")


async def test_commas_inside_an_id(metered: InMemoryApp, auth: dict[str, str]) -> None:
    """A customer whose id holds a comma can be asked for, too."""
    question = await queries(metered, auth, RANGE + r"&customer_id=a\,b,c")
    assert question.customers == ("a,b", "c")


async def test_an_unescaped_plus_is_understood(metered: InMemoryApp, auth: dict[str, str]) -> None:
    """A '+' of an offset that a careless client did not escape arrives as a space, and means '+'."""
    question = await queries(metered, auth, "meter=tokens&from=2026-11-01T05:30:00+05:30&to=2026-12-01T00:00:00Z")
    assert question.start == START


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("from=2026-11-01T00:00:00Z&to=2026-12-01T00:00:00Z", "meter"),
        ("meter=tokens&to=2026-12-01T00:00:00Z", "from"),
        ("meter=tokens&from=2026-11-01T00:00:00Z", "to"),
        ("meter=tokens&from=yesterday&to=2026-12-01T00:00:00Z", "from"),
        ("meter=tokens&from=2026-11-01T00:00:00&to=2026-12-01T00:00:00Z", "from"),
        ("meter=tokens&from=2026-11-01T00:00:30Z&to=2026-12-01T00:00:00Z", "from"),
        ("meter=tokens&from=2026-12-01T00:00:00Z&to=2026-12-01T00:00:00Z", "to"),
        (RANGE + "&meter=other", "meter"),
        (RANGE + "&window=week", "window"),
        (RANGE + "&timezone=Mars/Olympus", "timezone"),
        (RANGE + "&timezone=../../etc/passwd", "timezone"),
        (RANGE + "&timezone=Europe", "timezone"),
        (RANGE + "&group_by=modle", "group_by"),
        (RANGE + "&filter[region]=eu", "filter[region]"),
        (RANGE + "&top=0", "top"),
        (RANGE + "&top=1.5", "top"),
        (RANGE + "&limit=10001", "limit"),
        (RANGE + "&limit=²", "limit"),
        (RANGE + "&custmer_id=a", "custmer_id"),
        (RANGE + "&customer_id=" + ",".join(f"c{number}" for number in range(1001)), "customer_id"),
    ],
)
async def test_mistakes_name_their_parameter(
    metered: InMemoryApp, auth: dict[str, str], query: str, field: str
) -> None:
    """A wrong question is never answered with something else."""
    reply = await metered.client.get(f"/v1/usage?{query}", headers=auth)
    assert reply.status_code == 400
    assert reply.json()["error"]["details"] == {"field": field}
    assert metered.reader.queries == []


async def test_strange_query_strings_are_refused(metered: InMemoryApp, auth: dict[str, str]) -> None:
    """Bytes that are no text, too many fields and NULs are the caller's mistake, not a failure of ours."""
    for query in ("meter=%ff", "meter=%00", "&".join(["a=1"] * 1001), "filter[=1", "filter]=1"):
        assert (await metered.client.get(f"/v1/usage?{query}", headers=auth)).status_code == 400


async def test_an_unknown_meter_is_404(metered: InMemoryApp, auth: dict[str, str]) -> None:
    """Usage of a meter that is not there is not zero."""
    reply = await metered.client.get(f"/v1/usage?{RANGE.replace('tokens', 'nope')}", headers=auth)
    assert reply.status_code == 404


async def test_json_keeps_every_digit(metered: InMemoryApp, auth: dict[str, str]) -> None:
    """Values are decimal texts; watermark and `as_of` say how far they are exact, and when."""
    metered.reader.values = {metered.ours[Mode.LIVE]: {"a": Decimal("12345678901234567890.000000000001")}}
    metered.clock.now = START
    reply = await metered.client.get(f"/v1/usage?{RANGE}&group_by=model", headers=auth)
    answer = reply.json()
    assert answer == {
        "success": True,
        "usage": [
            {
                "meter": "tokens",
                "customer_id": "a",
                "window_start": "2026-11-01T00:00:00Z",
                "window_end": "2026-12-01T00:00:00Z",
                "group": {"model": None},
                "value": "12345678901234567890.000000000001",
            }
        ],
        "watermark": {"0": 9, "1": 7},
        "as_of": "2026-11-01T00:00:00Z",
        "pagination": {"has_more": False, "next_cursor": None},
        "request_id": reply.headers["x-request-id"],
    }


async def test_files_are_made_on_request(metered: InMemoryApp, auth: dict[str, str]) -> None:
    """CSV and Parquet hold the same rows; where the next page begins is told in a header."""
    metered.reader.values = {metered.ours[Mode.LIVE]: {'a,"b"': Decimal("0.1"), "c": Decimal(2)}}
    csv = await metered.client.get(f"/v1/usage?{RANGE}&limit=1", headers=auth | {"accept": "text/csv"})
    assert csv.headers["content-type"].startswith("text/csv")
    assert csv.headers["x-next-cursor"] == "more"
    assert '"a,""b"""' in csv.text
    accept = {"accept": "application/json;q=0.5, application/vnd.apache.parquet"}
    parquet = await metered.client.get(f"/v1/usage?{RANGE}", headers=auth | accept)
    table = pq.read_table(io.BytesIO(parquet.content)).to_pydict()
    assert table["value"] == [Decimal("0.1"), Decimal(2)]
    assert "x-next-cursor" not in parquet.headers


@pytest.mark.parametrize("accept", ["image/png", "text/csv;q=0", "text/html, application/xml"])
async def test_what_cannot_be_made_is_406(metered: InMemoryApp, auth: dict[str, str], accept: str) -> None:
    """A format nobody can make is refused with those that can be."""
    reply = await metered.client.get(f"/v1/usage?{RANGE}", headers=auth | {"accept": accept})
    assert (reply.status_code, reply.json()["error"]["code"]) == (406, "NOT_ACCEPTABLE")


@pytest.mark.parametrize(
    "accept", ["*/*", "", "application/*", "text/html, */*;q=0.1", "text/csv;q=0.1, application/json"]
)
async def test_json_is_what_most_want(metered: InMemoryApp, auth: dict[str, str], accept: str) -> None:
    """Whoever has no special wish gets JSON."""
    reply = await metered.client.get(f"/v1/usage?{RANGE}", headers=auth | {"accept": accept})
    assert reply.headers["content-type"] == "application/json"


async def test_minutes_are_the_smallest_step(metered: InMemoryApp, auth: dict[str, str]) -> None:
    """A range of one minute is possible."""
    question = await queries(metered, auth, "meter=tokens&from=2026-11-01T00:00:00Z&to=2026-11-01T00:01:00Z")
    assert question.end - question.start == MINUTE
