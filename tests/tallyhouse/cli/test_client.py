"""The commands' HTTP client: requests, refusals and retries."""

from collections.abc import Callable

import httpx
import pytest

from schemas.errors import Conflict, NotFound, Overloaded, RateLimited, Refused, TallyhouseError, Unauthenticated
from tallyhouse.cli.client import ApiClient


def api(answer: Callable[[httpx.Request], httpx.Response], pauses: list[float] | None = None) -> ApiClient:
    recorded = pauses if pauses is not None else []
    return ApiClient("http://there", "ak_test_key", transport=httpx.MockTransport(answer), pause=recorded.append)


def failure(status: int, code: str) -> httpx.Response:
    body = {"success": False, "error": {"code": code, "message": "said so"}, "request_id": "req_7"}
    return httpx.Response(status, json=body, headers={"Retry-After": "3"})


def test_the_key_and_the_parameters_are_sent() -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json={"success": True})

    assert api(answer).get("/v1/usage", meter="tokens", customer_id=["a", "b"]) == {"success": True}
    assert str(seen[0].url) == "http://there/v1/usage?meter=tokens&customer_id=a&customer_id=b"
    assert seen[0].headers["authorization"] == "Bearer ak_test_key"


@pytest.mark.parametrize(
    ("status", "kind", "words"),
    [
        (401, Unauthenticated, "TALLYHOUSE_API_KEY"),
        (404, NotFound, "said so"),
        (409, Conflict, "said so"),
        (418, Refused, "said so"),
        (503, Overloaded, "said so"),
    ],
)
def test_a_refusal_is_raised_with_its_code_message_and_request_id(
    status: int, kind: type[TallyhouseError], words: str
) -> None:
    """The message also says what to do, where that is clear."""
    with pytest.raises(kind, match=words) as caught:
        api(lambda _request: failure(status, "SOME_CODE")).get("/v1/x")
    assert "SOME_CODE" in str(caught.value)
    assert "[req_7]" in str(caught.value)


def test_a_rate_limit_is_waited_out() -> None:
    """The client waits as long as the server requests, and raises after the third refusal."""
    pauses: list[float] = []
    answers = iter([failure(429, "RATE_LIMIT_EXCEEDED"), httpx.Response(200, json={"success": True})])
    assert api(lambda _request: next(answers), pauses).get("/v1/x") == {"success": True}
    assert pauses == [3.0]
    with pytest.raises(RateLimited):
        api(lambda _request: failure(429, "RATE_LIMIT_EXCEEDED")).get("/v1/x")


def test_a_server_that_is_not_running_is_explained() -> None:
    """The commonest mistake."""

    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    with pytest.raises(Overloaded, match=r"nothing answers at http://there.*tallyhouse serve"):
        api(refuse).get("/v1/status")


def test_an_answer_of_another_server_is_refused() -> None:
    """For example the page of a proxy."""
    with pytest.raises(Refused, match="something else than Tallyhouse"):
        api(lambda _request: httpx.Response(200, text="<html>")).get("/v1/status")
