"""The rate limit, and its headers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest_gateway.api.app_ports import AppPolicy
from ingest_gateway.http.errors import Headers
from ingest_gateway.http.rate_limit import NO_LIMIT, RateLimit
from schemas.account import Mode
from schemas.errors import RateLimited
from schemas.ids import AccountId
from schemas.timestamps import MINUTE, SECOND
from tests.ingest_gateway.conftest import InMemoryApp

pytestmark = pytest.mark.anyio


async def test_every_response_states_the_limit(in_memory_app: InMemoryApp, auth: dict[str, str]) -> None:
    """The headers have the limit, the remainder, and the second of the reset, on refusals too."""
    first = await in_memory_app.client.get("/v1/meters", headers=auth)
    second = await in_memory_app.client.get("/v1/meters?wrong=1", headers=auth)
    third = await in_memory_app.client.get("/v1/meters/none", headers=auth)
    assert [reply.headers["x-ratelimit-limit"] for reply in (first, second, third)] == ["1000"] * 3
    assert [reply.headers["x-ratelimit-remaining"] for reply in (first, second, third)] == ["999", "998", "997"]
    assert int(first.headers["x-ratelimit-reset"]) == (in_memory_app.clock.now // MINUTE + 1) * 60


@pytest.mark.parametrize("path", ["/v1/meters", "/nope", "/healthz", "/readyz", "/metrics"])
async def test_a_response_without_a_key_states_the_untouched_limit(in_memory_app: InMemoryApp, path: str) -> None:
    """Without a key there is no account to count for."""
    headers = (await in_memory_app.client.get(path)).headers
    assert (headers["x-ratelimit-limit"], headers["x-ratelimit-remaining"]) == ("1000", "1000")
    assert int(headers["x-ratelimit-reset"]) == (in_memory_app.clock.now // MINUTE + 1) * 60


async def test_a_request_beyond_the_limit_is_429(in_memory_app: InMemoryApp, auth: dict[str, str]) -> None:
    """The response has `Retry-After`; the next minute and other accounts are not affected."""
    test_key = await in_memory_app.key(in_memory_app.ours[Mode.TEST])
    in_memory_app.clock.now = 100 * MINUTE + 15 * SECOND
    async with in_memory_app.serve(policy=AppPolicy(partitions=2, api_per_minute=2)) as client:
        replies = [await client.get("/v1/meters", headers=auth) for _ in range(4)]
        assert [reply.status_code for reply in replies] == [200, 200, 429, 429]
        assert [reply.headers["x-ratelimit-remaining"] for reply in replies] == ["1", "0", "0", "0"]
        assert replies[2].json()["error"]["code"] == "RATE_LIMIT_EXCEEDED"
        assert replies[2].headers["retry-after"] == "45"
        assert (await client.get("/v1/meters", headers=test_key)).status_code == 200
        in_memory_app.clock.now += 45 * SECOND
        assert (await client.get("/v1/meters", headers=auth)).status_code == 200


async def test_posting_events_has_a_limit_of_its_own(in_memory_app: InMemoryApp, auth: dict[str, str]) -> None:
    """Off by default, as the headers state; API calls and event posts have separate counts."""
    async with in_memory_app.serve(policy=AppPolicy(partitions=2, api_per_minute=1)) as client:
        for _ in range(3):
            reply = await client.post("/v1/events/ingest", headers=auth, content=b"{")
            assert reply.status_code == 400
            assert reply.headers["x-ratelimit-remaining"] == reply.headers["x-ratelimit-limit"] == str(NO_LIMIT)
            assert int(reply.headers["x-ratelimit-reset"]) > in_memory_app.clock.now // SECOND
        assert (await client.get("/v1/meters", headers=auth)).status_code == 200
    async with in_memory_app.serve(policy=AppPolicy(partitions=2, ingest_per_minute=1)) as client:
        statuses = [(await client.post(path, headers=auth)).status_code for path in ("/v1/events/ingest",) * 2]
        assert statuses == [400, 429]
        assert (await client.post("/api/v1/events", headers=auth)).status_code == 429


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 40)), max_size=60))
def test_never_more_than_the_limit_in_one_minute(requests: list[tuple[str, int]]) -> None:
    """However requests are spread, each account gets exactly its limit in each minute."""
    now = 0
    limit = RateLimit(3, lambda: now)
    taken: dict[tuple[str, int], int] = {}
    for account, seconds in requests:
        now += seconds * SECOND
        headers: Headers = []
        window = (account, now // MINUTE)
        taken[window] = taken.get(window, 0) + 1
        if taken[window] <= 3:
            limit.take(AccountId(account), headers)
        else:
            with pytest.raises(RateLimited) as refusal:
                limit.take(AccountId(account), headers)
            assert 1 <= refusal.value.retry_after <= 60
        assert dict(headers)[b"x-ratelimit-remaining"] == b"%d" % max(0, 3 - taken[window])
