"""The description of a route: its summary, its body, query and response types, its errors."""

from collections.abc import Mapping
from typing import Any, NamedTuple


class Description(NamedTuple):
    """What the OpenAPI document states of a route; the records also read the request."""

    summary: str = ""
    body_type: Any = None
    """The record of the body; None without a body, a tuple of alternatives."""
    query_type: Any = None
    """The record of the query parameters."""
    response_type: Any = None
    """The record of the whole response; a tuple where the record depends on the request."""
    status: int = 200
    details: str = ""
    """Sentences that follow the summary."""
    operation_id: str = ""
    """The operation's name in generated clients; empty derives it from method and path."""
    body_optional: bool = False
    """The request may omit the body."""
    other_bodies: Mapping[str, Any] = {}
    """Other media types of the body, and their types."""
    other_responses: Mapping[str, Any] = {}
    """Other media types of the response, and their types."""
    may_redirect: bool = False
    """The response may also be 303 with a `Location`."""
    error_statuses: tuple[int, ...] = ()
    """Error statuses besides those that follow from the method, the path and the records."""
