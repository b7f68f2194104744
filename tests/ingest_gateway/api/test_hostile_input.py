"""Any URL and any header is accepted or refused, and never causes a 500."""

from contextlib import suppress

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from ingest_gateway.api.routes_usage import UsageParameters, usage_query
from ingest_gateway.api.usage_formats import negotiate
from ingest_gateway.http.errors import NotAcceptable
from ingest_gateway.http.query import read_parameters
from schemas.errors import Invalid
from schemas.ids import AccountId
from schemas.meter import Aggregation, Meter
from schemas.timestamps import MINUTE

METER = Meter(
    account=AccountId("a"),
    code="tokens",
    name="Tokens",
    event_name="e",
    aggregation=Aggregation.COUNT,
    group_by={"model": "$.model"},
    version=1,
    created_at=0,
)
VALUES = st.sampled_from(
    ["2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z", "day", "Europe/Berlin", "model", "5", "", "%2B", "%00", "%ff"]
) | st.text(max_size=20)
NAMES = [field.encode_name for field in msgspec.structs.fields(UsageParameters)]
FIELDS = st.tuples(st.sampled_from([*NAMES, "filter[model]", "filter[x]", "other"]), VALUES)
URLS = st.lists(FIELDS, max_size=8).map(lambda fields: "&".join(f"{name}={value}" for name, value in fields))


@given(URLS.map(lambda text: text.encode("utf-8", "replace")) | st.binary(max_size=60))
def test_any_query_string_is_a_query_or_refused(text: bytes) -> None:
    """An accepted query has whole minutes and limits within bounds; every other text is Invalid."""
    with suppress(Invalid):
        question = usage_query(read_parameters(text, UsageParameters), AccountId("a"), METER)
        assert question.start < question.end
        assert question.start % MINUTE == question.end % MINUTE == 0
        assert 1 <= question.limit <= 10_000
        assert set(question.groups) | set(question.group_by) <= {"model"}


@given(st.binary(max_size=60) | st.sampled_from([b"text/csv;q=nan", b"*/*;q=inf", b";;,,;q=", b"text/csv;q=1;q=0"]))
def test_any_accept_header_chooses_or_is_refused(accept: bytes) -> None:
    """The chosen media type is always one of the offers."""
    with suppress(NotAcceptable):
        assert negotiate(accept, (b"application/json", b"text/csv")) in (b"application/json", b"text/csv")
