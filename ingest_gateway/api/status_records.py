"""How the service is, and what a refusal looks like, as answers tell it."""

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta

from ingest_gateway.http.answers import Success


class PartitionDocument(msgspec.Struct, kw_only=True):
    """How far one partition is counted."""

    partition: int
    state: str
    flush: Annotated[int | None, Meta(description="The last flush done; null before the first.")]
    next_offset: int
    end_offset: int
    lag_frames: int
    lag_seconds: float


class RatesDocument(msgspec.Struct, kw_only=True):
    """Events per second of the asking account, lately."""

    accepted: float
    duplicates: float
    rejected: float


class OpenRejects(msgspec.Struct, kw_only=True):
    """What waits for a person."""

    count: int
    more: bool


class StatusDocument(msgspec.Struct, kw_only=True):
    """Lag and watermark are the service's; rates and rejects the asking account's."""

    partitions: list[PartitionDocument]
    lag_frames: int
    lag_seconds: float
    backfills: str
    rates: RatesDocument
    open_rejects: OpenRejects
    watermark: Annotated[dict[str, int], Meta(description="Partition to its last flush.")]


class StatusReply(Success, kw_only=True):
    """How far counting is."""

    status: StatusDocument


class Alive(Success, kw_only=True):
    """The process answers."""

    status: str


class Ready(Success, kw_only=True):
    """All parts work."""

    status: str
    checks: dict[str, str]


class ErrorResponseError(msgspec.Struct, kw_only=True):
    """What is wrong, where, and how to mend it."""

    code: Annotated[str, Meta(description="For machines.")]
    message: Annotated[str, Meta(description="For people.")]
    details: Annotated[Any, Meta(description="More about it, such as `{field}`, or a list of all mistakes.")] = UNSET


class ErrorResponse(msgspec.Struct, kw_only=True):
    """A request that was not carried out."""

    success: bool
    error: ErrorResponseError
    request_id: Annotated[str, Meta(description="Request ID for tracing")]
