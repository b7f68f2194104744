"""Rated lines as lines of an invoice: the reference and the exact decimals go with them."""

from schemas.invoice import NewLine
from schemas.lines import DraftLine


def to_new_line(line: DraftLine) -> NewLine:
    return NewLine(
        reference=line.reference,
        description=line.description,
        quantity=line.quantity,
        unit_amount=line.unit_amount,
        usage=line.usage,
        period_start=line.period_start,
        period_end=line.period_end,
    )
