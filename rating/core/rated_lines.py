"""Rated lines as lines of an invoice: the reference goes with them, and what a recount needs."""

from typing import Any

from schemas.draft_lines import DraftLine
from schemas.invoice import NewLine


def to_new_line(line: DraftLine, usage: Any) -> NewLine:
    """`usage` is what the invoice keeps of the decimals behind the line."""
    return NewLine(
        reference=line.reference,
        description=line.description,
        quantity=line.quantity,
        unit_amount=line.unit_amount,
        usage=usage,
        period_start=line.period_start,
        period_end=line.period_end,
    )
