"""Raw events, rejects, replays and status over HTTP."""

from collections.abc import Iterator

import pytest
from msgspec.structs import replace

from schemas.account import Mode
from schemas.event import EventFlag
from schemas.frame import NewFrame, decode
from schemas.hashing import as_halves, key_hash, partition_of
from schemas.ids import AccountId
from schemas.listing import EventQuery, RejectQuery
from schemas.tables import replay_key
from schemas.timestamps import DAY
from tests.ingest_gateway.conftest import TOKENS, InMemoryApp
from tests.ingest_gateway.fakes import make_reject, stored_event

pytestmark = pytest.mark.anyio


@pytest.fixture
async def app_with_rejects(in_memory_app: InMemoryApp, auth: dict[str, str]) -> InMemoryApp:
    """A meter, and four rejects of our live account: open, replayed, a conflict, and one of an archived meter."""
    await in_memory_app.client.post("/v1/meters", headers=auth, json=TOKENS)
    await in_memory_app.client.post("/v1/meters", headers=auth, json=TOKENS | {"code": "old"})
    await in_memory_app.client.delete("/v1/meters/old", headers=auth)
    ours = in_memory_app.ours[Mode.LIVE]
    in_memory_app.reader.stored_rejects = [
        make_reject(ours, 1),
        make_reject(ours, 2, replayed=True),
        make_reject(ours, 3, meter=None),
        make_reject(ours, 4, meter="old"),
        make_reject(in_memory_app.theirs[Mode.LIVE], 5),
    ]
    return in_memory_app


async def test_events_are_shown_as_posted(in_memory_app: InMemoryApp, auth: dict[str, str]) -> None:
    """Properties are exactly the posted text; times are ISO 8601."""
    in_memory_app.reader.stored = [stored_event(in_memory_app.ours[Mode.LIVE])]
    reply = await in_memory_app.client.get("/v1/events", headers=auth)
    assert b'"properties":{"tokens": 1.50,  "b":12345678901234567890}' in reply.content
    event = reply.json()["events"][0]
    assert event["arrived_at"] == "2027-01-15T08:00:00Z"
    assert "counted" not in event


async def test_filters_reach_the_reader(in_memory_app: InMemoryApp, auth: dict[str, str]) -> None:
    """Each parameter narrows the listing."""
    query = "idempotency_key=k&event_name=e&customer_id=c&from=1970-01-01T00:00:01Z&to=1970-01-01T00:00:02.5Z"
    await in_memory_app.client.get(f"/v1/events?{query}&limit=7&cursor=x", headers=auth)
    assert in_memory_app.reader.queries == [
        EventQuery(
            account=in_memory_app.ours[Mode.LIVE],
            idempotency_key="k",
            event_name="e",
            customer_id="c",
            start=1_000_000,
            end=2_500_000,
            limit=7,
            cursor="x",
        )
    ]


async def test_one_key_shows_how_each_meter_counted_it(app_with_rejects: InMemoryApp, auth: dict[str, str]) -> None:
    """A query for one idempotency key shows the share of every meter on the event's name."""
    app_with_rejects.reader.stored = [stored_event(app_with_rejects.ours[Mode.LIVE])]
    other = TOKENS | {"code": "other", "event_name": "something.else"}
    await app_with_rejects.client.post("/v1/meters", headers=auth, json=other)
    event = (await app_with_rejects.client.get("/v1/events?idempotency_key=k1", headers=auth)).json()["events"][0]
    assert [(counted["meter"], counted["share"], counted["value"]) for counted in event["counted"]] == [
        ("tokens", "counted", "1.5"),
        ("old", "counted", "1.5"),
    ]


async def test_rejects_are_listed(app_with_rejects: InMemoryApp, auth: dict[str, str]) -> None:
    """The listing states the reason; `open` leaves out replayed rejects."""
    listed = (await app_with_rejects.client.get("/v1/rejects", headers=auth)).json()["rejects"]
    assert [reject["idempotency_key"] for reject in listed] == ["k1", "k2", "k3", "k4"]
    assert (listed[2]["meter"], listed[0]["code"]) == (None, "VALUE_MISSING")
    await app_with_rejects.client.get("/v1/rejects?open=true&code=C&meter=m&limit=3&cursor=x", headers=auth)
    query = RejectQuery(
        account=app_with_rejects.ours[Mode.LIVE], code="C", meter="m", open_only=True, limit=3, cursor="x"
    )
    assert app_with_rejects.reader.queries[-1] == query


def rows_of(frames: list[NewFrame]) -> Iterator[dict[str, object]]:
    for frame in frames:
        for row in decode(frame.payload).to_pylist():
            yield row | {"partition": frame.partition}


async def test_replay_puts_rejects_into_the_log(app_with_rejects: InMemoryApp, auth: dict[str, str]) -> None:
    """Each open value reject becomes one row for its meter, in the partition and under the key of its replay."""
    reply = await app_with_rejects.client.post("/v1/rejects/replay", headers=auth, json={"meter": "tokens"})
    reject = make_reject(app_with_rejects.ours[Mode.LIVE], 1)
    assert reply.json()["replay"] == {"replayed": [reject.id], "skipped": [], "more": False}
    (row,) = rows_of(app_with_rejects.sink.frames)
    digest = key_hash(reject.account, replay_key(reject.id))
    assert (row["key_hash"], row["partition"]) == (digest, int(partition_of(as_halves(digest), 2)[0]))
    assert (row["flags"], row["replay_of"], row["replay_meter"]) == (EventFlag.REPLAY, reject.id, "tokens")
    assert (row["account"], row["customer_id"], row["timestamp"]) == (
        reject.account,
        reject.customer_id,
        reject.timestamp,
    )


async def test_a_reject_that_cannot_be_replayed_is_skipped_with_a_reason(
    app_with_rejects: InMemoryApp, auth: dict[str, str]
) -> None:
    """Conflicts, replayed rejects, rejects of archived meters, strangers' rejects and typos are skipped."""
    ids = [reject.id for reject in app_with_rejects.reader.stored_rejects] + ["rej_nope"]
    answer = (await app_with_rejects.client.post("/v1/rejects/replay", headers=auth, json={"ids": ids})).json()[
        "replay"
    ]
    assert answer["replayed"] == [ids[0]]
    reasons = {skip["id"]: skip["reason"] for skip in answer["skipped"]}
    assert "replayed before" in reasons[ids[1]]
    assert "new key" in reasons[ids[2]]
    assert "archived" in reasons[ids[3]]
    assert reasons[ids[4]] == reasons["rej_nope"] == "there is no such reject"


async def test_a_reject_older_than_the_window_is_skipped(app_with_rejects: InMemoryApp, auth: dict[str, str]) -> None:
    """Up to 35 days after its arrival an earlier replay is certainly known; after that it may not be."""
    (young, *_) = app_with_rejects.reader.stored_rejects
    app_with_rejects.reader.stored_rejects = [
        replace(young, id="rej_young", arrival=app_with_rejects.clock() - 35 * DAY),
        replace(young, id="rej_old", arrival=app_with_rejects.clock() - 35 * DAY - 1),
    ]
    body = {"meter": "tokens"}
    answer = (await app_with_rejects.client.post("/v1/rejects/replay", headers=auth, json=body)).json()["replay"]
    assert answer["replayed"] == ["rej_young"]
    ((old, reason),) = ((skip["id"], skip["reason"]) for skip in answer["skipped"])
    assert old == "rej_old"
    assert "35 days" in reason
    assert "new key" in reason


async def test_more_is_true_only_where_a_repeat_makes_progress(
    app_with_rejects: InMemoryApp, auth: dict[str, str]
) -> None:
    """A client that repeats the request while `more` is true terminates, though some rejects stay open."""
    (young, *_) = app_with_rejects.reader.stored_rejects
    app_with_rejects.reader.stored_rejects = [replace(young, id=f"rej_{number}", arrival=0) for number in range(1001)]
    answer = (await app_with_rejects.client.post("/v1/rejects/replay", headers=auth, json={"meter": "tokens"})).json()[
        "replay"
    ]
    assert (answer["replayed"], answer["more"], len(answer["skipped"])) == ([], False, 1000)
    app_with_rejects.reader.stored_rejects.insert(0, young)
    answer = (await app_with_rejects.client.post("/v1/rejects/replay", headers=auth, json={"meter": "tokens"})).json()[
        "replay"
    ]
    assert (answer["replayed"], answer["more"]) == ([young.id], True)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "ids"),
        ({"ids": []}, "ids"),
        ({"ids": "rej_1"}, "ids"),
        ({"ids": [1]}, "ids[0]"),
        ({"ids": ["r"] * 1001}, "ids"),
        ({"ids": ["r"], "meter": "tokens"}, "ids"),
        ({"meter": 5}, "meter"),
        ({"code": ""}, "code"),
        ({"metre": "tokens"}, "metre"),
    ],
)
async def test_an_unclear_replay_is_refused(
    app_with_rejects: InMemoryApp, auth: dict[str, str], body: object, field: str
) -> None:
    """A request that does not state clearly which rejects it means replays none."""
    reply = await app_with_rejects.client.post("/v1/rejects/replay", headers=auth, json=body)
    details = reply.json()["error"]["details"]
    detail = details[0] if isinstance(details, list) else details
    assert (reply.status_code, detail["field"]) == (400, field)
    assert app_with_rejects.sink.frames == []


async def test_a_repeated_replay_is_answered_as_before(app_with_rejects: InMemoryApp, auth: dict[str, str]) -> None:
    """A repeat appends nothing to the log, even where it would find other rejects by now."""
    headers = auth | {"idempotency-key": "k1"}
    first = await app_with_rejects.client.post("/v1/rejects/replay", headers=headers, json={"meter": "tokens"})
    app_with_rejects.reader.stored_rejects.append(make_reject(app_with_rejects.ours[Mode.LIVE], 77))
    frames = len(app_with_rejects.sink.frames)
    again = await app_with_rejects.client.post("/v1/rejects/replay", headers=headers, json={"meter": "tokens"})
    assert again.json()["replay"] == first.json()["replay"]
    assert again.headers["idempotent-replayed"] == "true"
    assert len(app_with_rejects.sink.frames) == frames
    other = await app_with_rejects.client.post("/v1/rejects/replay", headers=headers, json={"code": "VALUE_MISSING"})
    assert (other.status_code, other.json()["error"]["code"]) == (409, "IDEMPOTENCY_KEY_REUSED")


async def test_status_shows_lag_and_rejects(app_with_rejects: InMemoryApp, auth: dict[str, str]) -> None:
    """The status has the lag of the partitions, the account's own open rejects, and the watermark."""
    status = (await app_with_rejects.client.get("/v1/status", headers=auth)).json()["status"]
    assert (status["lag_frames"], status["lag_seconds"], status["watermark"]) == (2, 1.5, {"0": 9})
    assert status["open_rejects"] == {"count": 3, "more": False}
    assert status["partitions"][0]["state"] == "running"
    assert status["backfills"] == "stopped: a frame cannot be read"


async def test_status_shows_the_rate(in_memory_app: InMemoryApp, auth: dict[str, str]) -> None:
    """The rate is events per second of the last ten whole seconds, of the account alone."""
    event = {
        "event_name": "e",
        "idempotency_key": "k",
        "customer_id": "c",
        "timestamp": "2026-11-20T10:30:00Z",
    }
    for _ in range(5):
        assert (await in_memory_app.client.post("/v1/events/ingest", headers=auth, json=event)).status_code == 200
    in_memory_app.clock.now += 10_000_000
    assert await _accepted_rate(in_memory_app, in_memory_app.ours[Mode.LIVE]) == 0.5
    assert await _accepted_rate(in_memory_app, in_memory_app.ours[Mode.TEST]) == 0
    in_memory_app.clock.now += 20_000_000
    assert await _accepted_rate(in_memory_app, in_memory_app.ours[Mode.LIVE]) == 0


async def _accepted_rate(in_memory_app: InMemoryApp, account: AccountId) -> float:
    status = (await in_memory_app.client.get("/v1/status", headers=await in_memory_app.key(account))).json()["status"]
    rate: float = status["rates"]["accepted"]
    return rate
