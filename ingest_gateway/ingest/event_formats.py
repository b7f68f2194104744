"""Typed decoders of an event's JSON, in the native form and as a CloudEvent."""

from collections.abc import Callable
from typing import Annotated, Literal

import msgspec

from schemas.event import MAX_NAME_LENGTH

Text = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_NAME_LENGTH)]


class NativeEvent(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """The five fields of the contract. `properties` is the posted text, empty if there was none."""

    event_name: Text
    idempotency_key: Text
    customer_id: Text
    timestamp: str
    properties: msgspec.Raw = msgspec.Raw()


class DecodedCloudEvent(
    msgspec.Struct,
    frozen=True,
    gc=False,
    rename={
        "event_name": "type",
        "idempotency_key": "id",
        "customer_id": "subject",
        "timestamp": "time",
        "properties": "data",
    },
):
    """CloudEvents 1.0, JSON format. Extension attributes are allowed and not stored.

    The `id` alone is the idempotency key: a producer that uses the same id under two sources must put the source into
    the id.
    """

    specversion: Literal["1.0"]
    source: Annotated[str, msgspec.Meta(min_length=1)]
    event_name: Text
    idempotency_key: Text
    customer_id: Text
    timestamp: str | None = None
    properties: msgspec.Raw = msgspec.Raw()
    data_base64: None = None


Events = list[NativeEvent] | list[DecodedCloudEvent]


class NativeBatch(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    events: list[NativeEvent]


decode_batch = msgspec.json.Decoder(NativeBatch).decode


class EventFormat(msgspec.Struct, frozen=True):
    """The names of the fields, and the decoder of lines of such events."""

    decode_lines: Callable[[bytes], Events]
    event_name: str
    idempotency_key: str
    customer_id: str
    timestamp: str
    properties: str
    is_cloudevent: bool

    @property
    def texts(self) -> tuple[str, str, str]:
        """The required fields that are short texts."""
        return self.event_name, self.idempotency_key, self.customer_id

    @property
    def fields(self) -> tuple[str, ...]:
        return *self.texts, self.timestamp, self.properties


NATIVE = EventFormat(
    decode_lines=msgspec.json.Decoder(NativeEvent).decode_lines,
    event_name="event_name",
    idempotency_key="idempotency_key",
    customer_id="customer_id",
    timestamp="timestamp",
    properties="properties",
    is_cloudevent=False,
)

CLOUDEVENTS_FORMAT = EventFormat(
    decode_lines=msgspec.json.Decoder(DecodedCloudEvent).decode_lines,
    event_name="type",
    idempotency_key="id",
    customer_id="subject",
    timestamp="time",
    properties="data",
    is_cloudevent=True,
)
