"""Reads the usage of many periods with few queries, each answer exact at the watermark it carries."""

from collections.abc import Mapping, Sequence
from decimal import Decimal

from rating.core.pricing import Group
from rating.core.usage_needs import MeasuredUsage, UsageBatch, UsageKey, UsageNeed, usage_batches
from rating.ports import BillingUsageReader, MeterReader
from schemas.errors import Busy, Overloaded, Unanswerable
from schemas.ids import AccountId
from schemas.meter import Meter
from schemas.usage import UsageRow
from schemas.watermark import Watermark


class BackfillIncomplete(Busy):
    """The meter is still counting events from before it existed, so its usage of past periods is incomplete."""


async def measure(
    needs: Sequence[UsageNeed], usage: BillingUsageReader, meters: MeterReader
) -> Mapping[UsageKey, MeasuredUsage]:
    """The usage of each need, empty if nothing was used. Leaves out needs that begin and end within one minute.

    Raises BackfillIncomplete.
    """
    measured: dict[UsageKey, MeasuredUsage] = {}
    ready: dict[tuple[AccountId, str], Meter] = {}
    for batch in usage_batches(needs):
        key = batch.account, batch.meter
        if key not in ready:
            ready[key] = await _require_backfilled(await meters.get(*key), usage)
        measured |= await _read_usage(batch, ready[key], usage)
    return measured


async def _require_backfilled(meter: Meter, usage: BillingUsageReader) -> Meter:
    backfill = await usage.backfill(meter)
    if not backfill.done:
        raise BackfillIncomplete(f"meter {meter.code} still counts its past; its periods are billed when that is done")
    return meter


async def _read_usage(batch: UsageBatch, meter: Meter, usage: BillingUsageReader) -> dict[UsageKey, MeasuredUsage]:
    """The usage of one batch at one watermark; a batch whose answer is too long, or takes too much, is read in halves.

    Raises Unanswerable if the usage of a single customer takes too much.
    """
    halves = batch.halves()
    try:
        answer = await usage.usage(batch.query(meter))
    except Unanswerable:
        if not halves:
            raise
    else:
        if answer.next_cursor is None:
            return _usage_by_need(batch, answer.rows, answer.watermark)
    if not halves:
        raise Overloaded(f"meter {meter.code}: customer {batch.needs[0].customer} has more groups than can be billed")
    return {key: found for half in halves for key, found in (await _read_usage(half, meter, usage)).items()}


def _usage_by_need(batch: UsageBatch, rows: Sequence[UsageRow], watermark: Watermark) -> dict[UsageKey, MeasuredUsage]:
    by_customer: dict[str, dict[Group, Decimal]] = {}
    for row in rows:
        group = tuple(row.group.get(key) for key in batch.group_by)
        by_customer.setdefault(row.customer_id, {})[group] = row.value
    return {
        (one.subscription, one.price.code, one.start): MeasuredUsage(
            quantities=by_customer.get(one.customer, {}), watermark=watermark
        )
        for one in batch.needs
    }
