"""What one turn of a subscription comes to: the lines of its invoice, from what was measured."""

from collections.abc import Iterator, Mapping
from typing import Any

from rating.core.bill import bill, refund
from rating.core.charge import Quantities
from rating.core.keeping import Bill
from rating.core.prorate import WHOLE
from rating.core.rated_lines import to_new_line
from rating.core.turn import Turn
from rating.runs.billed_usage import to_document
from rating.runs.measuring import Key, Measured
from rating.runs.questions import Wanted
from schemas.flush import Watermark
from schemas.invoice import NewInvoice
from schemas.lines import DraftLine


def wanted(turn: Turn) -> Iterator[Wanted]:
    """The usage that the turn asks for."""
    if turn.ended is not None:
        for price in turn.plan.usage_prices:
            yield Wanted(
                subscription=turn.before.id,
                account=turn.before.account,
                customer=turn.before.customer_id,
                price=price,
                start=turn.ended.start,
                end=turn.ended.end,
            )


def billed(turn: Turn, measured: Mapping[Key, Measured]) -> Bill:
    """`measured` holds what was wanted; a period too short to be measured has no usage."""
    own = {price.code: measured.get((turn.before.id, price.code)) for price in turn.plan.usage_prices}
    usage: dict[str, Quantities] = {code: found.quantities for code, found in own.items() if found is not None}
    lines = bill(turn.plan, ended=turn.ended, begins=turn.begins, usage=usage)
    if turn.unused is not None:
        lines += refund(turn.plan, turn.unused)
    watermarks = [found.watermark for found in own.values() if found is not None]
    return Bill(
        turn=turn,
        invoice=_invoice(turn, lines, own) if lines else None,
        watermark=_lowest(watermarks) if watermarks else None,
    )


def _invoice(turn: Turn, lines: list[DraftLine], measured: Mapping[str, Measured | None]) -> NewInvoice:
    service = turn.ended or turn.begins or turn.unused
    return NewInvoice(
        customer_id=turn.before.customer_id,
        subscription_id=turn.before.id,
        currency=turn.plan.currency,
        period_start=None if service is None else service.start,
        period_end=None if service is None else service.end,
        lines=tuple(to_new_line(line, _usage(turn, line, measured)) for line in lines),
    )


def _usage(turn: Turn, line: DraftLine, measured: Mapping[str, Measured | None]) -> dict[str, Any] | None:
    if line.usage is None:
        return None
    found = measured[line.usage.price]
    portion = WHOLE if turn.ended is None else turn.ended.portion
    return to_document(line.usage, portion, Watermark(flushes={}) if found is None else found.watermark)


def _lowest(watermarks: list[Watermark]) -> Watermark:
    partitions = set.intersection(*(set(watermark.flushes) for watermark in watermarks))
    lowest = {number: min(watermark.flushes[number] for watermark in watermarks) for number in partitions}
    return Watermark(flushes=dict(sorted(lowest.items())))
