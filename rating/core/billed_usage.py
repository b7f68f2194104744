"""What a usage line stores: the exact decimals behind it, and the watermark up to which its events were counted."""

from decimal import Decimal
from typing import Any

import msgspec

from rating.core.proration import Portion
from schemas.draft_lines import UsageDetail
from schemas.quantity import to_text
from schemas.watermark import Watermark


class BilledUsage(UsageDetail, frozen=True, kw_only=True):
    """A line's detail, with what a recount needs besides the line's own period."""

    days: int
    period_days: int
    """With `days`, the portion of the period that the subscription was served for."""
    watermark: dict[int, int]
    """Partition → the last flush that is counted."""

    @property
    def portion(self) -> Portion:
        return Portion(days=self.days, period_days=self.period_days)

    @property
    def counted_to(self) -> Watermark:
        return Watermark(flushes=dict(self.watermark))


def to_document(detail: UsageDetail, portion: Portion, watermark: Watermark) -> dict[str, Any]:
    """The detail as JSON values; decimals are plain strings."""
    billed = BilledUsage(
        **{name: getattr(detail, name) for name in UsageDetail.__struct_fields__},
        days=portion.days,
        period_days=portion.period_days,
        watermark=dict(watermark.flushes),
    )
    document: dict[str, Any] = _plain(msgspec.to_builtins(billed, builtin_types=(Decimal,), str_keys=True))
    return document


def from_document(document: dict[str, Any]) -> BilledUsage:
    return msgspec.convert(document, BilledUsage, str_keys=True)


def _plain(value: Any) -> Any:
    match value:
        case Decimal():
            return to_text(value)
        case dict():
            return {name: _plain(inner) for name, inner in value.items()}
        case list() | tuple():
            return [_plain(inner) for inner in value]
        case _:
            return value
