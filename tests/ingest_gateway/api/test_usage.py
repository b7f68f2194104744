"""Usage over HTTP: the query reaches the reader exactly, and the response keeps every digit."""

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


async def query_of(in_memory_app: InMemoryApp, auth: dict[str, str], query_string: str) -> UsageQuery:
    reply = await in_memory_app.client.get(f"/v1/usage?{query_string}", headers=auth)
    assert reply.status_code == 200, reply.text
    query = in_memory_app.reader.queries[-1]
    assert isinstance(query, UsageQuery)
    return query


async def test_the_smallest_query_has_a_meter_and_a_range(metered: InMemoryApp, auth: dict[str, str]) -> None:
    """Its result has one row for each customer, without groups."""
    query = await query_of(metered, auth, RANGE)
    assert (query.account, query.meter.code) == (metered.ours[Mode.LIVE], "tokens")
    assert (query.start, query.end) == (START, END)
    assert (query.customers, query.window, query.timezone) == ((), Window.NONE, "UTC")
    assert (query.group_by, query.groups, query.top, query.after) == ((), {}, None, None)


async def test_every_parameter_arrives(metered: InMemoryApp, auth: dict[str, str]) -> None:
    """Lists by comma or repetition, offsets in times, several values of one group and a missing value arrive."""
    query = await query_of(
        metered,
        auth,
        "meter=tokens&from=2026-11-01T01:00%2B01:00&to=2026-12-01T00:00:00Z&customer_id=a,b&customer_id=c&window=day"
        "&timezone=Europe/Berlin&group_by=model&filter[model]=gpt-4&filter%5Bmodel%5D=&top=5&limit=10000&cursor=x",
    )
    assert (query.start, query.customers) == (START, ("a", "b", "c"))
    assert (query.window, query.timezone) == (Window.DAY, "Europe/Berlin")
    assert (query.group_by, query.groups) == (("model",), {"model": ("gpt-4", None)})
    assert (query.top, query.limit, query.after) == (5, 10_000, "x")


async def test_an_id_may_hold_a_comma(metered: InMemoryApp, auth: dict[str, str]) -> None:
    """A comma inside a customer's id is escaped."""
    query = await query_of(metered, auth, RANGE + r"&customer_id=a\,b,c")
    assert query.customers == ("a,b", "c")


async def test_an_unescaped_plus_is_understood(metered: InMemoryApp, auth: dict[str, str]) -> None:
    """An unescaped '+' of an offset arrives as a space, and means '+'."""
    query = await query_of(metered, auth, "meter=tokens&from=2026-11-01T05:30:00+05:30&to=2026-12-01T00:00:00Z")
    assert query.start == START


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
    """A mistaken query is refused and never reaches the reader."""
    reply = await metered.client.get(f"/v1/usage?{query}", headers=auth)
    assert reply.status_code == 400
    assert reply.json()["error"]["details"] == {"field": field}
    assert metered.reader.queries == []


async def test_strange_query_strings_are_refused(metered: InMemoryApp, auth: dict[str, str]) -> None:
    """Invalid UTF-8, too many parameters and NULs are the caller's mistakes, not failures of the service."""
    for query in ("meter=%ff", "meter=%00", "&".join(["a=1"] * 1001), "filter[=1", "filter]=1"):
        assert (await metered.client.get(f"/v1/usage?{query}", headers=auth)).status_code == 400


async def test_an_unknown_meter_is_404(metered: InMemoryApp, auth: dict[str, str]) -> None:
    """Usage of an unknown meter is not zero."""
    reply = await metered.client.get(f"/v1/usage?{RANGE.replace('tokens', 'nope')}", headers=auth)
    assert reply.status_code == 404


async def test_json_keeps_every_digit(metered: InMemoryApp, auth: dict[str, str]) -> None:
    """Values are decimal texts; watermark and `as_of` state what they include, and when."""
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


async def test_accept_selects_csv_or_parquet(metered: InMemoryApp, auth: dict[str, str]) -> None:
    """CSV and Parquet hold the same rows; a header has the cursor of the next page."""
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
async def test_an_unknown_format_is_406(metered: InMemoryApp, auth: dict[str, str], accept: str) -> None:
    """The refusal names the available formats."""
    reply = await metered.client.get(f"/v1/usage?{RANGE}", headers=auth | {"accept": accept})
    assert (reply.status_code, reply.json()["error"]["code"]) == (406, "NOT_ACCEPTABLE")


@pytest.mark.parametrize(
    "accept", ["*/*", "", "application/*", "text/html, */*;q=0.1", "text/csv;q=0.1, application/json"]
)
async def test_json_is_the_default_format(metered: InMemoryApp, auth: dict[str, str], accept: str) -> None:
    """A client without a preference gets JSON."""
    reply = await metered.client.get(f"/v1/usage?{RANGE}", headers=auth | {"accept": accept})
    assert reply.headers["content-type"] == "application/json"


async def test_minutes_are_the_smallest_step(metered: InMemoryApp, auth: dict[str, str]) -> None:
    """A range of one minute is possible."""
    query = await query_of(metered, auth, "meter=tokens&from=2026-11-01T00:00:00Z&to=2026-11-01T00:01:00Z")
    assert query.end - query.start == MINUTE
