"""The HTTP client of the commands: finds address and key, raises refusals as our errors, reads all pages of a list."""

from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Annotated, Any, Self

import httpx
import typer

from schemas.errors import Busy, Conflict, Forbidden, NotFound, Overloaded, RateLimited, Refused, Unauthenticated
from tallyhouse.runtime.clock import sleep
from tallyhouse.runtime.environment import process_environment, read_client_settings, read_settings

_TIMEOUT_SECONDS = 30.0
_REFUSALS: dict[int, type[Refused]] = {401: Unauthenticated, 403: Forbidden, 404: NotFound, 409: Conflict}
_HINTS = {
    401: "give a valid key with --key or TALLYHOUSE_API_KEY",
    403: "`tallyhouse keys list` shows what each key may do",
}
_MAX_ATTEMPTS = 3


class ApiClient:
    """A client of one address with one key. Waits out a rate limit, at most twice for one request.

    Every request raises Refused or Busy as the server answers, and Overloaded if no server answers.
    """

    def __init__(
        self,
        url: str,
        key: str,
        *,
        transport: httpx.BaseTransport | None = None,
        pause: Callable[[float], object] = sleep,
    ) -> None:
        self._url = url
        self._pause = pause
        self._client = httpx.Client(
            base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=_TIMEOUT_SECONDS, transport=transport
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._client.close()

    def get(self, path: str, **params: str | int | list[str]) -> dict[str, Any]:
        return self._request("GET", path, params=params)

    def post(self, path: str, body: Any) -> dict[str, Any]:
        return self._request("POST", path, json=body)

    def delete(self, path: str) -> dict[str, Any]:
        return self._request("DELETE", path)

    def _request(self, method: str, path: str, **request: Any) -> dict[str, Any]:
        for _ in range(_MAX_ATTEMPTS):
            answer = self._send(method, path, **request)
            if answer.status_code != 429:
                break
            self._pause(float(answer.headers.get("Retry-After", 1)))
        envelope = _envelope(answer)
        if not answer.is_success:
            raise _refusal(answer, envelope)
        return envelope

    def _send(self, method: str, path: str, **request: Any) -> httpx.Response:
        try:
            return self._client.request(method, path, **request)
        except httpx.TransportError as error:
            raise Overloaded(
                f"nothing answers at {self._url} ({error}): start it with `tallyhouse serve`, "
                "or name the right address with --url or TALLYHOUSE_URL"
            ) from error


def _envelope(answer: httpx.Response) -> dict[str, Any]:
    try:
        envelope = answer.json()
    except ValueError:
        envelope = None
    if not isinstance(envelope, dict) or "success" not in envelope:
        raise Refused(f"{answer.url} answered {answer.status_code} with something else than Tallyhouse would")
    return envelope


def _refusal(answer: httpx.Response, envelope: dict[str, Any]) -> Refused | Busy:
    error = envelope.get("error", {})
    message = f"{error.get('code', answer.status_code)}: {error.get('message', 'no message')}"
    if hint := _HINTS.get(answer.status_code):
        message += f" ({hint})"
    if request_id := envelope.get("request_id"):
        message += f" [{request_id}]"
    if answer.status_code == 429:
        return RateLimited(message)
    if answer.status_code == 503:
        return Overloaded(message)
    return _REFUSALS.get(answer.status_code, Refused)(message, code=error.get("code"))


def every_row(api: ApiClient, path: str, resource: str, **params: str | int | list[str]) -> Iterator[dict[str, Any]]:
    """Yields all rows of a list, page by page."""
    cursor: str | None = ""
    while cursor is not None:
        page = api.get(path, **params, **({"cursor": cursor} if cursor else {}))
        yield from page[resource]
        cursor = page["pagination"]["next_cursor"]


Url = Annotated[
    str | None,
    typer.Option("--url", help="Address of the running process. Default: TALLYHOUSE_URL, else host and port."),
]
Key = Annotated[
    str | None,
    typer.Option("--key", help="API key. Default: TALLYHOUSE_API_KEY, or the key file in the data directory."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def find_url(url: str | None) -> str:
    """Returns the address of the option, the variable or the settings, in this order."""
    return url or read_client_settings(process_environment()).url or read_settings(process_environment()).url


def find_key(key: str | None) -> str:
    """Returns the key of the option, the variable, the settings or the key file, in this order.

    Raises Unauthenticated if there is none.
    """
    if given := key or read_client_settings(process_environment()).api_key:
        return given
    settings = read_settings(process_environment())
    if settings.bootstrap_api_key:
        return settings.bootstrap_api_key
    try:
        return settings.key_file.read_text().strip()
    except OSError:
        raise Unauthenticated(
            "no API key: give one with --key or TALLYHOUSE_API_KEY "
            f"({settings.key_file} does not exist or is not readable)"
        ) from None


def open_api(url: str | None, key: str | None) -> ApiClient:
    """Returns a client to use as a context manager, by the options `--url` and `--key`."""
    return ApiClient(find_url(url), find_key(key))
