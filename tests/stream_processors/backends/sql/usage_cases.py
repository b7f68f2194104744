"""Random usage rows, and random queries of them."""

from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from schemas.ids import AccountId
from schemas.meter import Aggregation, Meter
from schemas.tables import NO_LATEST
from schemas.timestamps import SECOND
from schemas.usage import UsageQuery, Window
from tests.stream_processors.backends.sql.usage_oracle import Row, as_text

ZONES = ("UTC", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe", "America/Santiago")
KEYS = ("model", "region", "tier")
CUSTOMERS = ("c1", "c2", "c'3", "c\\4", "ć5 \t", "c10")
ACCOUNT = AccountId("acct")

# Days on which the clock of one of the zones changes (UTC noon before the change), and one plain day.
CHANGES = (1_741_435_200, 1_762_084_800, 1_743_768_000, 1_759_579_200, 1_757_160_000, 1_743_854_400, 1_750_075_200)

quantities = st.decimals(min_value=-1000, max_value=1000, places=2, allow_nan=False, allow_infinity=False)
group_values = st.lists(st.sampled_from(["a", "b", "", None]), min_size=3, max_size=3)
minutes = st.builds(lambda day, minute: day + minute * 60, st.sampled_from(CHANGES), st.integers(-600, 2400))


def latest_of(value: Decimal, order: tuple[int, int, int, int, int]) -> dict[str, Any]:
    return dict(zip(NO_LATEST, (*order, value), strict=True))


@st.composite
def usage_rows(draw: st.DrawFn) -> list[Row]:
    """Delta rows with every aggregate filled in, so that any aggregation can be queried."""
    return [
        {
            "customer_id": draw(st.sampled_from(CUSTOMERS)),
            "minute": draw(minutes),
            "grp": as_text(draw(group_values)),
            "sum": draw(quantities),
            "count": draw(st.integers(1, 7)),
            "min": draw(quantities),
            "max": draw(quantities),
            "latest": latest_of(draw(quantities), (draw(st.integers(0, 3)), draw(st.integers(0, 3)), 0, index, 0)),
            "uniques": [bytes([digest]) * 16 for digest in draw(st.sets(st.integers(0, 9), max_size=4))],
        }
        for index in range(draw(st.integers(0, 25)))
    ]


def meter_of(code: str, aggregation: Aggregation) -> Meter:
    return Meter(
        account=ACCOUNT,
        code=code,
        name=code,
        event_name="e",
        aggregation=aggregation,
        group_by={key: f"$.{key}" for key in KEYS},
        version=1,
        created_at=0,
    )


@st.composite
def usage_queries(draw: st.DrawFn, code: str) -> UsageQuery:
    """Any valid query of the rows."""
    start = draw(minutes)
    return UsageQuery(
        account=ACCOUNT,
        meter=meter_of(code, draw(st.sampled_from(Aggregation))),
        start=start * SECOND,
        end=(start + draw(st.sampled_from([1, 90, 3000, 20_000, 600_000])) * 60) * SECOND,
        customers=tuple(draw(st.sets(st.sampled_from([*CUSTOMERS, "nobody"]), max_size=3))),
        window=draw(st.sampled_from([Window.NONE, Window.MONTH, Window.DAY, Window.DAY, Window.HOUR, Window.MINUTE])),
        timezone=draw(st.sampled_from(ZONES)),
        group_by=tuple(draw(st.permutations(KEYS))[: draw(st.integers(0, 3))]),
        groups={
            key: tuple(draw(st.sets(st.sampled_from(["a", "b", "", "z", None]), min_size=1, max_size=3)))
            for key in draw(st.sets(st.sampled_from(KEYS), max_size=2))
        },
        top=draw(st.one_of(st.none(), st.integers(1, 4))),
        limit=draw(st.sampled_from([1, 3, 1000])),
    )
