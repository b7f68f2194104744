"""The lifecycle of an invoice: random walks over its table, and figures that always add up."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from rating.core.credit_note import credit_note_amounts
from rating.core.invoice_lifecycle import INVOICE_TRANSITIONS, InvoiceTransition, next_status
from rating.core.totals import taxable, totaled
from schemas.credit_note import CreditedLine, CreditNote, NewCreditNote
from schemas.errors import Conflict
from schemas.invoice import (
    Discount,
    FixedDiscount,
    Invoice,
    InvoiceLine,
    InvoiceStatus,
    PercentDiscount,
)
from schemas.tax import TaxRate
from tests.rating.core.records import PLAIN

PERCENTS = st.decimals("0", "100", places=2)
RATES = st.lists(st.builds(TaxRate, name=st.sampled_from(["a", "b", "c"]), percent=PERCENTS), max_size=3).map(tuple)
DISCOUNTS: st.SearchStrategy[Discount | None] = st.one_of(
    st.none(),
    st.builds(PercentDiscount, percent=PERCENTS),
    st.builds(FixedDiscount, amount_cents=st.integers(1, 10**7)),
)
AMOUNTS = st.integers(-(10**6), 10**6)


def line(number: int, quantity: int, unit_amount: int, rates: tuple[TaxRate, ...] | None) -> InvoiceLine:
    return InvoiceLine(
        id=f"line {number}",
        position=number,
        reference=None,
        description=None,
        quantity=quantity,
        unit_amount=unit_amount,
        own_tax_rates=rates,
        usage=None,
        period_start=None,
        period_end=None,
        created_at=0,
        updated_at=0,
    )


@st.composite
def drafts(draw: st.DrawFn, amounts: st.SearchStrategy[int] = AMOUNTS) -> Invoice:
    count = draw(st.integers(1, 6))
    lines = tuple(
        line(number, draw(st.integers(0, 9)), draw(amounts), draw(st.one_of(st.none(), RATES)))
        for number in range(count)
    )
    draft = replace(PLAIN, discount_asked=draw(DISCOUNTS), lines=lines)
    return totaled(draft, draw(RATES))


def test_the_table_changes_a_status_in_seven_ways() -> None:
    """No transition leads back to a draft or out of void."""
    moves = {
        (before.value, step.name, then.value)
        for (before, step), then in INVOICE_TRANSITIONS.items()
        if before is not then
    }
    assert moves == {
        ("draft", "FINALIZE", "open"),
        ("draft", "VOID_PERIOD", "void"),
        ("open", "PAY", "paid"),
        ("open", "VOID", "void"),
        ("open", "MARK_UNCOLLECTIBLE", "uncollectible"),
        ("uncollectible", "PAY", "paid"),
        ("uncollectible", "VOID", "void"),
    }


@given(st.lists(st.sampled_from(list(InvoiceTransition)), max_size=30))
def test_random_walks_stay_on_the_table(steps: list[InvoiceTransition]) -> None:
    """A refused transition names the status. A final invoice is never a draft again, a void one stays void."""
    status = InvoiceStatus.DRAFT
    seen = [status]
    for step in steps:
        if (status, step) in INVOICE_TRANSITIONS:
            status = next_status(status, step, "x")
        else:
            with pytest.raises(Conflict, match=f"is {status} and cannot be {step}") as refused:
                next_status(status, step, "x")
            assert refused.value.code == f"INVOICE_IS_{status.name}"
        seen.append(status)
    is_final = [one is not InvoiceStatus.DRAFT for one in seen]
    assert is_final == sorted(is_final)
    for end in (InvoiceStatus.VOID, InvoiceStatus.PAID):
        if end in seen:
            assert set(seen[seen.index(end) :]) == {end}


@given(drafts())
def test_figures_add_up(draft: Invoice) -> None:
    """For all lines, discounts and rates, in whole minor units."""
    assert sum(one.amount for one in draft.lines) == draft.subtotal
    assert sum(one.discount for one in draft.lines) == draft.discount
    assert sum(one.tax for one in draft.lines) == draft.tax == sum(tax.amount for tax in draft.taxes)
    assert draft.subtotal - draft.discount + draft.tax == draft.total
    assert all(one.amount == one.quantity * one.unit_amount for one in draft.lines)
    assert 0 <= draft.discount <= max(0, draft.subtotal)


@given(drafts(), RATES)
def test_totals_are_idempotent(draft: Invoice, rates: tuple[TaxRate, ...]) -> None:
    """Totals of a draft that has totals are the same."""
    once = totaled(draft, rates)
    assert totaled(once, rates) == once


def _noted(invoice: Invoice, notes: list[CreditNote], new: NewCreditNote) -> CreditNote:
    made = credit_note_amounts(replace(invoice, credited=sum(note.total for note in notes)), notes, new)
    return CreditNote(
        id=f"note {len(notes)}",
        account=invoice.account,
        invoice_id=invoice.id,
        number="CN",
        reason=None,
        amount=made.amount,
        tax=made.tax,
        total=made.total,
        lines=made.lines,
        metadata={},
        created_at=0,
    )


@given(drafts(st.integers(0, 10**6)), st.lists(st.integers(1, 10**6), max_size=5))
def test_credits_of_a_whole_invoice_come_to_its_total(draft: Invoice, amounts: list[int]) -> None:
    """However it is split: never more on the way, and to the cent with tax at the end, for every line."""
    notes: list[CreditNote] = []
    for amount in amounts:
        try:
            notes.append(_noted(draft, notes, NewCreditNote(amount=amount)))
        except Conflict:
            left = draft.subtotal - draft.discount - sum(note.amount for note in notes)
            assert amount > left
        assert sum(note.total for note in notes) <= draft.total
    if draft.subtotal - draft.discount > sum(note.amount for note in notes):
        notes.append(_noted(draft, notes, NewCreditNote()))
    assert sum(note.amount for note in notes) == draft.subtotal - draft.discount
    assert sum(note.total for note in notes) == draft.total
    for one in draft.lines:
        parts = [part for note in notes for part in note.lines if part.line_id == one.id]
        assert sum(part.amount for part in parts) == taxable(one)
        assert sum(part.tax for part in parts) == one.tax


def test_a_line_is_credited_with_its_own_tax() -> None:
    """A credit beyond what is left of the line is refused."""
    rates = (TaxRate(name="VAT", percent=Decimal(19)),)
    lines = (line(0, 1, 1000, rates), line(1, 1, 500, ()))
    invoice = totaled(replace(PLAIN, lines=lines), ())
    note = _noted(invoice, [], NewCreditNote(lines=(CreditedLine(line_id="line 0", amount=400),)))
    assert (note.amount, note.tax, note.total) == (400, 76, 476)
    with pytest.raises(Conflict, match="600 minor units before tax are left"):
        _noted(invoice, [note], NewCreditNote(lines=(CreditedLine(line_id="line 0", amount=601),)))
    rest = _noted(invoice, [note], NewCreditNote(lines=(CreditedLine(line_id="line 0"),)))
    assert (rest.amount, rest.tax) == (600, 114)
