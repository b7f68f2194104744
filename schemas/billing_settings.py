"""What an account decides for all of its billing, and what holds where it has not decided."""

from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from schemas.field_types import END, Currency, NetTerms, ZoneName


class LateUsage(StrEnum):
    """What becomes of usage that is counted after its period was billed."""

    BILL_NEXT = "bill_next"
    """Lines of its own on the next invoice."""
    HOLD = "hold"
    """A draft of its own, until somebody decides."""
    DROP = "drop"
    """Not billed, but told by the run and in the audit log."""


InvoicePrefix = Annotated[
    str,
    Meta(
        max_length=16,
        pattern=r"^(?:[A-Za-z0-9 ._/\-]*[A-Za-z ._/\-])?" + END,
        description="What every invoice number begins with; it must not end in a digit.",
    ),
]


class BillingSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings as they hold."""

    currency: str = "USD"
    timezone: str = "UTC"
    net_terms: int = 30
    """Days until an invoice is due, where neither it nor its customer says."""
    invoice_prefix: str = "INV-"
    auto_finalize: bool = False
    """Whether a rating run finalizes its drafts."""
    late_usage: LateUsage = LateUsage.BILL_NEXT


class SettingsChanges(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is given is changed; the rest stays."""

    currency: Currency | UnsetType = UNSET
    timezone: ZoneName | UnsetType = UNSET
    net_terms: NetTerms | UnsetType = UNSET
    invoice_prefix: InvoicePrefix | UnsetType = UNSET
    auto_finalize: bool | UnsetType = UNSET
    late_usage: (
        Annotated[
            LateUsage,
            Meta(
                description="What becomes of usage that is counted after its period was billed. bill_next: lines of "
                "its own on the next invoice. hold: an invoice of its own that stays a draft; finalize it to bill it, "
                "void it to let it go. drop: not billed, and told by the run and in the audit log."
            ),
        ]
        | UnsetType
    ) = UNSET
