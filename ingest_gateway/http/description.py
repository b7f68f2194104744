"""The description of a route: its summary, its body, query and response types, its errors."""

from collections.abc import Mapping
from typing import Any, NamedTuple


class Description(NamedTuple):
    """What the description of the API says of an endpoint, and what its request is read with."""

    summary: str = ""
    body_type: Any = None
    """The record that the body must be; None where there is none, a tuple where there are several to choose from."""
    query_type: Any = None
    """The record that the query parameters must be."""
    response_type: Any = None
    """The record of the whole answer; a tuple where it depends on the request."""
    status: int = 200
    details: str = ""
    """What the summary has no room for."""
    operation_id: str = ""
    """Its name in clients; else made from method and path."""
    body_optional: bool = False
    """The body may be left out."""
    other_bodies: Mapping[str, Any] = {}
    """Other media types of the body, and what they hold."""
    other_responses: Mapping[str, Any] = {}
    """Other media types of the answer, and what they hold."""
    may_redirect: bool = False
    """The answer may also be 303 and an address."""
    error_statuses: tuple[int, ...] = ()
    """Statuses of refusals besides those that follow from the method, the path and the records."""
