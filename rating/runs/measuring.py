"""Reads the usage of many periods in few questions, each answer exact at the watermark it carries."""

from collections.abc import Mapping, Sequence
from decimal import Decimal

import msgspec

from rating.core.charge import Group
from rating.core.usage_needs import Question, Wanted, questions
from rating.ports import Meters, UsageReader
from schemas.errors import Busy, Overloaded
from schemas.flush import Watermark
from schemas.ids import AccountId
from schemas.meter import Meter
from schemas.usage import UsageRow


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """What was used, and up to where that is counted."""

    quantities: dict[Group, Decimal]
    watermark: Watermark


class PastIncomplete(Busy):
    """The meter still counts events that are older than itself; what it says of a past period is too little."""


Key = tuple[str, str, int]
"""Subscription, price code, and the start of the period."""


async def measure(wanted: Sequence[Wanted], usage: UsageReader, meters: Meters) -> Mapping[Key, Measured]:
    """Everything that lasts a minute. What has no usage is measured too: as nothing. Raises PastIncomplete."""
    measured: dict[Key, Measured] = {}
    ready: dict[tuple[AccountId, str], Meter] = {}
    for question in questions(wanted):
        key = question.account, question.meter
        if key not in ready:
            ready[key] = await _ready(await meters.get(*key), usage)
        measured |= await _answered(question, ready[key], usage)
    return measured


async def _ready(meter: Meter, usage: UsageReader) -> Meter:
    backfill = await usage.backfill(meter)
    if not backfill.done:
        raise PastIncomplete(f"meter {meter.code} still counts its past; its periods are billed when that is done")
    return meter


async def _answered(question: Question, meter: Meter, usage: UsageReader) -> dict[Key, Measured]:
    """From one answer, which has one watermark; a question whose answer is too long is asked in halves."""
    answer = await usage.usage(question.query(meter))
    if answer.next_cursor is None:
        return _shares(question, answer.rows, answer.watermark)
    halves = question.halves()
    if not halves:
        raise Overloaded(
            f"meter {meter.code}: customer {question.wanted[0].customer} has more groups than can be billed"
        )
    return {key: found for half in halves for key, found in (await _answered(half, meter, usage)).items()}


def _shares(question: Question, rows: Sequence[UsageRow], watermark: Watermark) -> dict[Key, Measured]:
    by_customer: dict[str, dict[Group, Decimal]] = {}
    for row in rows:
        group = tuple(row.group.get(key) for key in question.group_by)
        by_customer.setdefault(row.customer_id, {})[group] = row.value
    return {
        (one.subscription, one.price.code, one.start): Measured(
            quantities=by_customer.get(one.customer, {}), watermark=watermark
        )
        for one in question.wanted
    }
