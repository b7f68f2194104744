"""Planned bills: the invoices of one cycle step of a subscription, and what the ledger recorded of them."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, assert_never

import msgspec

from rating.core.billed_usage import to_document
from rating.core.cycle_step import CycleStep
from rating.core.late_usage import LateBill, LateUsageWindow, RatedPeriod, billed_late
from rating.core.lines import bill_lines, refund_lines, to_new_line
from rating.core.proration import WHOLE, ServicePeriod
from rating.core.usage_needs import MeasuredUsage, UsageKey, UsageNeed
from schemas.billing_settings import LateUsage
from schemas.draft_lines import DraftLine
from schemas.errors import Conflict
from schemas.invoice import Invoice, NewInvoice, NewLine
from schemas.plan import UsagePrice
from schemas.watermark import Watermark


class PlannedBill(msgspec.Struct, frozen=True, kw_only=True):
    """A cycle step, and what it bills."""

    step: CycleStep
    invoice: NewInvoice | None
    """None if there is nothing to bill."""
    held: NewInvoice | None = None
    """Late usage on its own, for the account to decide on."""
    dropped: NewInvoice | None = None
    """Late usage on its own, which is reported and not billed."""
    rated: tuple[RatedPeriod, ...] = ()
    """The usage of the period that ended."""
    rerated: tuple[RatedPeriod, ...] = ()
    """Earlier periods whose usage has changed since it was last rated, with their usage now."""
    watermark: Watermark | None = None
    """The lowest watermark of the bill: all its usage includes the flushes up to here."""

    def step_to_apply(self, late_usage_window: LateUsageWindow) -> CycleStep:
        """The bill's step; after an end, due once more when the last of its periods closes for late usage."""
        after = self.step.after
        if after.due_at is not None:
            return self.step
        ends = (period.service.end for period in (*self.step.open_periods, *self.rated))
        until = max(map(late_usage_window.open_until, ends), default=0)
        due_at = until if until > late_usage_window.as_of else None
        return msgspec.structs.replace(self.step, after=msgspec.structs.replace(after, due_at=due_at))


class RecordedBills(msgspec.Struct, frozen=True, kw_only=True):
    """Which of some bills the ledger recorded, and their invoices."""

    applied: tuple[PlannedBill, ...]
    """The bills whose step was applied. The others' subscription has changed, or another run was faster."""
    invoices: tuple[Invoice, ...]


HELD = {"late_usage": "hold"}
"""The metadata of invoices that wait for a decision of the account."""

_LATE_USAGE = "Usage that was counted after its period had been billed."


def usage_needs(step: CycleStep) -> Iterator[UsageNeed]:
    """The usage that the step bills: of the period that ended, and of earlier periods that are open.

    Raises Conflict for a step that cannot be calculated.
    """
    if step.fault is not None:
        raise Conflict(step.fault, code="NO_CALENDAR")
    if step.ended is not None:
        for price in step.plan.usage_prices:
            yield _usage_need(step, price, step.ended)
    for period in step.open_periods:
        yield _usage_need(step, period.price, period.service)


def billed(step: CycleStep, measured: Mapping[UsageKey, MeasuredUsage]) -> PlannedBill:
    """`measured` holds the usage of all needs; a period shorter than a minute has none. Raises UsageBehind."""
    rated = {one.price.code: one for one in _rated(step, measured)}
    usage = {code: one.quantities for code, one in rated.items()}
    lines = bill_lines(step.plan, ended=step.ended, begins=step.begins, usage=usage)
    if step.unused is not None:
        lines += refund_lines(step.prepaid_plan, step.unused)
    own = tuple(to_new_line(line, _usage(step, line, rated)) for line in lines)
    late_bill = billed_late(step.before.id, step.open_periods, measured, step.plan.currency)
    watermarks = [one.watermark for one in (*rated.values(), *late_bill.rerated)]
    return msgspec.structs.replace(
        _planned(step, own, late_bill),
        rated=tuple(rated.values()),
        rerated=late_bill.rerated,
        watermark=_lowest_watermark(watermarks) if watermarks else None,
    )


def _usage_need(step: CycleStep, price: UsagePrice, service: ServicePeriod) -> UsageNeed:
    return UsageNeed(
        subscription=step.before.id,
        account=step.before.account,
        customer=step.before.customer_id,
        price=price,
        start=service.start,
        end=service.end,
    )


def _rated(step: CycleStep, measured: Mapping[UsageKey, MeasuredUsage]) -> Iterator[RatedPeriod]:
    if step.ended is None:
        return
    for price in step.plan.usage_prices:
        found = measured.get((step.before.id, price.code, step.ended.start))
        if found is not None:
            yield RatedPeriod(
                price=price,
                service=step.ended,
                timezone=step.before.timezone,
                quantities=found.quantities,
                watermark=found.watermark,
            )


def _planned(step: CycleStep, own: tuple[NewLine, ...], late_bill: LateBill) -> PlannedBill:
    """Late usage goes on this invoice, on one of its own, or on none, as the account has chosen."""
    service = step.ended or step.begins or step.unused
    match step.late_usage:
        case LateUsage.BILL_NEXT:
            return PlannedBill(step=step, invoice=_invoice(step, own + late_bill.lines, service))
        case LateUsage.HOLD:
            held = _invoice(step, late_bill.lines, description=_LATE_USAGE, metadata=HELD)
            return PlannedBill(step=step, invoice=_invoice(step, own, service), held=held)
        case LateUsage.DROP:
            return PlannedBill(step=step, invoice=_invoice(step, own, service), dropped=_invoice(step, late_bill.lines))
        case _:
            assert_never(step.late_usage)


def _invoice(
    step: CycleStep, lines: tuple[NewLine, ...], service: ServicePeriod | None = None, **about: Any
) -> NewInvoice | None:
    """The invoice of the service's period; without a service, of the span of all lines."""
    if not lines:
        return None
    starts = [line.period_start for line in lines if line.period_start is not None]
    ends = [line.period_end for line in lines if line.period_end is not None]
    return NewInvoice(
        customer_id=step.before.customer_id,
        subscription_id=step.before.id,
        currency=step.plan.currency,
        period_start=min(starts) if service is None else service.start,
        period_end=max(ends) if service is None else service.end,
        lines=lines,
        **about,
    )


def _usage(step: CycleStep, line: DraftLine, rated: Mapping[str, RatedPeriod]) -> dict[str, Any] | None:
    if line.usage is None:
        return None
    one = rated.get(line.usage.price)
    portion = WHOLE if step.ended is None else step.ended.portion
    return to_document(line.usage, portion, Watermark(flushes={}) if one is None else one.watermark)


def _lowest_watermark(watermarks: Sequence[Watermark]) -> Watermark:
    partitions = set.intersection(*(set(watermark.flushes) for watermark in watermarks))
    lowest = {number: min(watermark.flushes[number] for watermark in watermarks) for number in partitions}
    return Watermark(flushes=dict(sorted(lowest.items())))
