"""An invoice compared with the raw events."""

from decimal import Decimal

import msgspec

from schemas.watermark import Watermark


class LineAudit(msgspec.Struct, frozen=True, kw_only=True):
    """One usage line, as it was billed and as it is counted now."""

    line_id: str
    reference: str | None
    description: str | None
    meter: str
    group: dict[str, str | None]
    billed_quantity: Decimal
    counted_quantity: Decimal
    billed_amount: int
    """Minor units."""
    counted_amount: int
    """What the counted quantity costs at the line's own terms."""
    watermark: Watermark

    @property
    def difference(self) -> Decimal:
        """Zero if the line is right."""
        return self.counted_quantity - self.billed_quantity

    @property
    def is_right(self) -> bool:
        return not self.difference and self.counted_amount == self.billed_amount


class InvoiceAudit(msgspec.Struct, frozen=True, kw_only=True):
    """A whole invoice. Lines without usage are added up, not counted."""

    invoice_id: str
    number: str | None
    currency: str
    lines: tuple[LineAudit, ...]
    sum_of_lines: int
    subtotal: int

    @property
    def is_right(self) -> bool:
        return self.sum_of_lines == self.subtotal and all(line.is_right for line in self.lines)
