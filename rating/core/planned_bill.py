"""What one turn of a subscription comes to: the lines of its invoice, from what was measured."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, assert_never

import msgspec

from rating.core.bill import bill, refund
from rating.core.billed_usage import to_document
from rating.core.cycle_step import Turn
from rating.core.keeping import Bill
from rating.core.late_part import Late, late
from rating.core.proration import WHOLE
from rating.core.rated_lines import to_new_line
from rating.core.rated_period import RatedPeriod
from rating.core.service_period import Service
from rating.core.usage_needs import Wanted
from rating.runs.measuring import Key, Measured
from schemas.billing_settings import LateUsage
from schemas.draft_lines import DraftLine
from schemas.flush import Watermark
from schemas.invoice import NewInvoice, NewLine
from schemas.plan import UsagePrice

HELD = {"late_usage": "hold"}
"""The metadata of invoices that wait for somebody to decide on them."""

_CAME_LATE = "Usage that was counted after its period had been billed."


def wanted(turn: Turn) -> Iterator[Wanted]:
    """The usage that the turn asks for: of the period that ended, and of those before it that are open."""
    if turn.ended is not None:
        for price in turn.plan.usage_prices:
            yield _wanted(turn, price, turn.ended)
    for period in turn.open_periods:
        yield _wanted(turn, period.price, period.service)


def billed(turn: Turn, measured: Mapping[Key, Measured]) -> Bill:
    """`measured` holds what was wanted; a period too short to be measured has no usage. Raises UsageBehind."""
    rated = {one.price.code: one for one in _rated(turn, measured)}
    usage = {code: one.quantities for code, one in rated.items()}
    lines = bill(turn.plan, ended=turn.ended, begins=turn.begins, usage=usage)
    if turn.unused is not None:
        lines += refund(turn.prepaid, turn.unused)
    own = tuple(to_new_line(line, _usage(turn, line, rated)) for line in lines)
    came = late(turn, measured)
    watermarks = [one.watermark for one in (*rated.values(), *came.moved)]
    return msgspec.structs.replace(
        _asked(turn, own, came),
        rated=tuple(rated.values()),
        moved=came.moved,
        watermark=_lowest(watermarks) if watermarks else None,
    )


def _wanted(turn: Turn, price: UsagePrice, service: Service) -> Wanted:
    return Wanted(
        subscription=turn.before.id,
        account=turn.before.account,
        customer=turn.before.customer_id,
        price=price,
        start=service.start,
        end=service.end,
    )


def _rated(turn: Turn, measured: Mapping[Key, Measured]) -> Iterator[RatedPeriod]:
    if turn.ended is None:
        return
    for price in turn.plan.usage_prices:
        found = measured.get((turn.before.id, price.code, turn.ended.start))
        if found is not None:
            yield RatedPeriod(
                price=price,
                service=turn.ended,
                timezone=turn.before.timezone,
                quantities=found.quantities,
                watermark=found.watermark,
            )


def _asked(turn: Turn, own: tuple[NewLine, ...], came: Late) -> Bill:
    """What came late is on this invoice, on one of its own, or on none: as the account wants it."""
    service = turn.ended or turn.begins or turn.unused
    match turn.late_usage:
        case LateUsage.BILL_NEXT:
            return Bill(turn=turn, invoice=_invoice(turn, own + came.lines, service))
        case LateUsage.HOLD:
            held = _invoice(turn, came.lines, description=_CAME_LATE, metadata=HELD)
            return Bill(turn=turn, invoice=_invoice(turn, own, service), held=held)
        case LateUsage.DROP:
            return Bill(turn=turn, invoice=_invoice(turn, own, service), dropped=_invoice(turn, came.lines))
        case _:
            assert_never(turn.late_usage)


def _invoice(turn: Turn, lines: tuple[NewLine, ...], service: Service | None = None, **about: Any) -> NewInvoice | None:
    """For the service, or from the first to the last of the periods that its lines are of."""
    if not lines:
        return None
    starts = [line.period_start for line in lines if line.period_start is not None]
    ends = [line.period_end for line in lines if line.period_end is not None]
    return NewInvoice(
        customer_id=turn.before.customer_id,
        subscription_id=turn.before.id,
        currency=turn.plan.currency,
        period_start=min(starts) if service is None else service.start,
        period_end=max(ends) if service is None else service.end,
        lines=lines,
        **about,
    )


def _usage(turn: Turn, line: DraftLine, rated: Mapping[str, RatedPeriod]) -> dict[str, Any] | None:
    if line.usage is None:
        return None
    one = rated.get(line.usage.price)
    portion = WHOLE if turn.ended is None else turn.ended.portion
    return to_document(line.usage, portion, Watermark(flushes={}) if one is None else one.watermark)


def _lowest(watermarks: Sequence[Watermark]) -> Watermark:
    partitions = set.intersection(*(set(watermark.flushes) for watermark in watermarks))
    lowest = {number: min(watermark.flushes[number] for watermark in watermarks) for number in partitions}
    return Watermark(flushes=dict(sorted(lowest.items())))
