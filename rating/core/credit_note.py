"""The amounts of a credit note: by line, taxed at the invoice's own rates, never more than was billed."""

from collections.abc import Mapping, Sequence

import msgspec

from rating.core.totals import largest_remainder, tax, taxable
from schemas.credit_note import CreditedLine, CreditNote, CreditNoteLine, NewCreditNote
from schemas.errors import Conflict, Invalid, NotFound
from schemas.invoice import Invoice


class CreditNoteAmounts(msgspec.Struct, frozen=True, kw_only=True):
    """`amount + tax = total`, by line and in sum."""

    lines: tuple[CreditNoteLine, ...]

    @property
    def amount(self) -> int:
        return sum(line.amount for line in self.lines)

    @property
    def tax(self) -> int:
        return sum(line.tax for line in self.lines)

    @property
    def total(self) -> int:
        return self.amount + self.tax


def credit_note_amounts(invoice: Invoice, before: Sequence[CreditNote], new: NewCreditNote) -> CreditNoteAmounts:
    """Raises NotFound, Invalid, or Conflict if less is left than is requested.

    The tax is that of everything credited so far, less that of what was credited before: the notes of a whole invoice
    add up to its tax to the cent.
    """
    if invoice.total <= 0:
        raise Conflict(
            f"invoice {invoice.id} comes to {invoice.total} minor units, so there is nothing to credit; "
            "correct it with another invoice, whose lines may be of either sign",
            code="NOTHING_TO_CREDIT",
        )
    credited = _credited(before)
    sums = [credited.get(line.id, 0) for line in invoice.lines]
    left = [taxable(line) - gone for line, gone in zip(invoice.lines, sums, strict=True)]
    amounts = _of_lines(invoice, left, new.lines) if new.lines else _spread(invoice, left, new.amount)
    taxes = _taxes(invoice, sums, amounts)
    made = CreditNoteAmounts(
        lines=tuple(
            CreditNoteLine(line_id=line.id, amount=amount, tax=share)
            for line, amount, share in zip(invoice.lines, amounts, taxes, strict=True)
            if amount or share
        )
    )
    if made.total <= 0 or made.total > invoice.total - invoice.credited:
        raise _too_much(invoice, made.total)
    return made


def _credited(notes: Sequence[CreditNote]) -> Mapping[str, int]:
    sums: dict[str, int] = {}
    for note in notes:
        for line in note.lines:
            sums[line.line_id] = sums.get(line.line_id, 0) + line.amount
    return sums


def _of_lines(invoice: Invoice, left: Sequence[int], requested: Sequence[CreditedLine]) -> list[int]:
    places = {line.id: place for place, line in enumerate(invoice.lines)}
    amounts = [0] * len(left)
    for number, one in enumerate(requested):
        field = f"lines[{number}]"
        if one.line_id not in places:
            raise NotFound(f"{field}.line_id: invoice {invoice.id} has no line {one.line_id!r}", field=field)
        place = places[one.line_id]
        if amounts[place]:
            raise Invalid(f"{field}.line_id: line {one.line_id} is named twice; name it once", field=field)
        amounts[place] = left[place] if one.amount is None else one.amount
        if not 0 < amounts[place] <= left[place]:
            raise Conflict(
                f"{field}: of line {one.line_id}, {max(0, left[place])} minor units before tax are left to be credited",
                code="CREDIT_TOO_LARGE",
                field=field,
            )
    return amounts


def _spread(invoice: Invoice, left: Sequence[int], amount: int | None) -> Sequence[int]:
    """The amount spread over all lines by what is left of each, of either sign."""
    together = sum(left)
    whole = together if amount is None else amount
    if whole <= 0 or whole > together:
        raise _too_much(invoice, whole)
    return largest_remainder(whole, [whole * of_line for of_line in left], together)


def _taxes(invoice: Invoice, before: Sequence[int], now: Sequence[int]) -> list[int]:
    rates = [line.tax_rates for line in invoice.lines]
    older = tax(before, rates).by_line
    newer = tax([gone + amount for gone, amount in zip(before, now, strict=True)], rates).by_line
    return [after - earlier for earlier, after in zip(older, newer, strict=True)]


def _too_much(invoice: Invoice, requested: int) -> Conflict:
    left = invoice.total - invoice.credited
    return Conflict(
        f"a credit of {requested} minor units is too much: of invoice {invoice.id}, {left} with tax are left",
        code="CREDIT_TOO_LARGE",
        field="amount_cents",
    )
