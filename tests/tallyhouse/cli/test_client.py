"""What a command hears from the running process, and says to its user."""

from collections.abc import Callable

import httpx
import pytest

from schemas.errors import Conflict, NotFound, Overloaded, RateLimited, Refused, TallyhouseError, Unauthenticated
from tallyhouse.cli.client import ApiClient


def api(answer: Callable[[httpx.Request], httpx.Response], pauses: list[float] | None = None) -> ApiClient:
    heard = pauses if pauses is not None else []
    return ApiClient("http://there", "ak_test_key", transport=httpx.MockTransport(answer), pause=heard.append)


def failure(status: int, code: str) -> httpx.Response:
    body = {"success": False, "error": {"code": code, "message": "said so"}, "request_id": "req_7"}
    return httpx.Response(status, json=body, headers={"Retry-After": "3"})


def test_the_key_and_the_parameters_are_sent() -> None:
    """As the contract wants them."""
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
def test_a_refusal_is_told_with_its_words(status: int, kind: type[TallyhouseError], words: str) -> None:
    """Code, message, request id, and what to do where that is clear."""
    with pytest.raises(kind, match=words) as caught:
        api(lambda _request: failure(status, "SOME_CODE")).get("/v1/x")
    assert "SOME_CODE" in str(caught.value)
    assert "[req_7]" in str(caught.value)


def test_a_rate_limit_is_waited_out() -> None:
    """As long as the server asks for, and not for ever."""
    pauses: list[float] = []
    answers = iter([failure(429, "RATE_LIMIT_EXCEEDED"), httpx.Response(200, json={"success": True})])
    assert api(lambda _request: next(answers), pauses).get("/v1/x") == {"success": True}
    assert pauses == [3.0]
    with pytest.raises(RateLimited):
        api(lambda _request: failure(429, "RATE_LIMIT_EXCEEDED")).get("/v1/x")


def test_nobody_there_is_explained() -> None:
    """The commonest mistake: the server is not running."""

    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    with pytest.raises(Overloaded, match=r"nothing answers at http://there.*tallyhouse serve"):
        api(refuse).get("/v1/status")


def test_another_server_is_recognised() -> None:
    """A proxy's page is not an answer."""
    with pytest.raises(Refused, match="something else than Tallyhouse"):
        api(lambda _request: httpx.Response(200, text="<html>")).get("/v1/status")
