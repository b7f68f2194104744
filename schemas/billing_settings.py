"""The billing settings of an account, and their defaults."""

from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from schemas.field_types import END, Currency, NetTerms, ZoneName


class LateUsage(StrEnum):
    """How usage that is counted after its period was billed is billed."""

    BILL_NEXT = "bill_next"
    """On separate lines of the next invoice."""
    HOLD = "hold"
    """On a separate draft, which a person finalizes or voids."""
    DROP = "drop"
    """Not at all; the run and the audit log report the amount."""


InvoicePrefix = Annotated[
    str,
    Meta(
        max_length=16,
        pattern=r"^(?:[A-Za-z0-9 ._/\-]*[A-Za-z ._/\-])?" + END,
        description="The start of every invoice number; it must not end in a digit.",
    ),
]


class BillingSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings in effect."""

    currency: str = "USD"
    timezone: str = "UTC"
    net_terms: int = 30
    """Days until an invoice is due, if neither the invoice nor its customer has a value."""
    invoice_prefix: str = "INV-"
    auto_finalize: bool = False
    """Whether an invoice run finalizes its drafts."""
    late_usage: LateUsage = LateUsage.BILL_NEXT


class SettingsChanges(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A partial update: absent fields stay as they are."""

    currency: Currency | UnsetType = UNSET
    timezone: ZoneName | UnsetType = UNSET
    net_terms: NetTerms | UnsetType = UNSET
    invoice_prefix: InvoicePrefix | UnsetType = UNSET
    auto_finalize: bool | UnsetType = UNSET
    late_usage: (
        Annotated[
            LateUsage,
            Meta(
                description="How usage that is counted after its period was billed is billed. bill_next: on separate "
                "lines of the next invoice. hold: on a separate invoice that stays a draft; finalize it to bill it, "
                "void it to waive it. drop: not at all; the run and the audit log report the amount."
            ),
        ]
        | UnsetType
    ) = UNSET
