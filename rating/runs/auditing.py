"""Audits an invoice against the raw events: each usage line is recounted up to the watermark it was billed at."""

from decimal import Decimal

from rating.core.billed_usage import BilledUsage, from_document
from rating.core.pricing import rate
from rating.core.usage_needs import whole_minute
from rating.ports import MeterReader, Recount
from schemas.errors import StoreFailed
from schemas.invoice import Invoice, InvoiceLine
from schemas.invoice_audit import InvoiceAudit, LineAudit
from schemas.usage import UsageQuery

_ZERO = Decimal(0)


async def audit(invoice: Invoice, recount: Recount, meters: MeterReader) -> InvoiceAudit:
    """Recounts every usage line, relying only on the line's terms, period and watermark. Raises NotFound."""
    lines = [await _line(invoice, line, recount, meters) for line in invoice.lines if line.usage is not None]
    return InvoiceAudit(
        invoice_id=invoice.id,
        number=invoice.number,
        currency=invoice.currency,
        lines=tuple(lines),
        sum_of_lines=sum(line.amount for line in invoice.lines),
        subtotal=invoice.subtotal,
    )


async def _line(invoice: Invoice, line: InvoiceLine, recount: Recount, meters: MeterReader) -> LineAudit:
    billed = from_document(line.usage)
    counted = await _count(invoice, line, billed, recount, meters)
    owed = _amount(billed, counted, invoice.currency) - billed.cut
    earlier = _amount(billed, billed.rated_before, invoice.currency) - billed.cut_before
    return LineAudit(
        line_id=line.id,
        reference=line.reference,
        description=line.description,
        meter=billed.meter,
        group=billed.group,
        billed_quantity=billed.quantity,
        counted_quantity=_ZERO if counted is None else counted,
        billed_amount=line.amount,
        counted_amount=owed - earlier,
        watermark=billed.counted_to,
    )


def _amount(billed: BilledUsage, quantity: Decimal | None, currency: str) -> int:
    """A group without any event owes nothing, not even what is owed without usage."""
    return 0 if quantity is None else rate(billed.terms, quantity, currency, billed.portion).amount


async def _count(
    invoice: Invoice, line: InvoiceLine, billed: BilledUsage, recount: Recount, meters: MeterReader
) -> Decimal | None:
    if line.period_start is None or line.period_end is None:
        raise StoreFailed(f"line {line.id} has usage and no period: the ledger was changed from outside")
    start, end = whole_minute(line.period_start), whole_minute(line.period_end)
    if start >= end:
        return _ZERO
    query = UsageQuery(
        account=invoice.account,
        meter=await meters.get(invoice.account, billed.meter),
        start=start,
        end=end,
        customers=(invoice.customer_id,),
        group_by=tuple(billed.group),
        groups={key: (value,) for key, value in billed.group.items()},
    )
    answer = await recount.usage_at(query, billed.counted_to)
    return None if billed.group and not answer.rows else sum((row.value for row in answer.rows), _ZERO)
