"""What invoices put on balances and use of them: in order, and never more than there is."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from rating.core.balance import BalanceKey, balance_key, movements
from schemas.errors import Invalid
from schemas.invoice import Invoice
from schemas.money import MAX_MINOR
from tests.rating.core.records import PLAIN

CUSTOMERS, CURRENCIES = ("ann", "bob"), ("EUR", "USD")
PURSES = st.tuples(st.sampled_from(CUSTOMERS), st.sampled_from(CURRENCIES))
AMOUNTS = st.integers(-1_000, 1_000)


def _invoice(purse: BalanceKey, total: int) -> Invoice:
    customer, currency = purse
    return replace(PLAIN, customer_id=customer, currency=currency, total=total)


INVOICES = st.lists(st.builds(_invoice, PURSES, AMOUNTS), max_size=30)
BALANCES = st.dictionaries(PURSES, st.integers(0, 1_500))


@given(INVOICES, BALANCES)
def test_no_balance_is_ever_below_zero(invoices: Sequence[Invoice], balances: dict[BalanceKey, int]) -> None:
    """After each invoice: it uses all that it can, and adds all that it leaves; nothing is lost, nothing made."""
    left = {purse: balances.get(purse, 0) for purse in map(balance_key, invoices)}
    for invoice, moved in zip(invoices, movements(invoices, balances), strict=True):
        before = left[balance_key(invoice)]
        left[balance_key(invoice)] += moved
        assert left[balance_key(invoice)] >= 0
        if invoice.total <= 0:
            assert moved == -invoice.total
        else:
            assert -moved == min(before, invoice.total)


@given(INVOICES, BALANCES, PURSES)
def test_each_balance_is_moved_by_its_own_invoices(
    invoices: Sequence[Invoice], balances: dict[BalanceKey, int], purse: BalanceKey
) -> None:
    """Other customers, and other currencies of the same one, change nothing."""
    of_all = movements(invoices, balances)
    own = [invoice for invoice in invoices if balance_key(invoice) == purse]
    alone = movements(own, {purse: balances.get(purse, 0)})
    assert alone == [moved for invoice, moved in zip(invoices, of_all, strict=True) if balance_key(invoice) == purse]


def test_a_balance_is_no_more_than_a_ledger_holds() -> None:
    """To the last cent, and not beyond."""
    purse = "ann", "USD"
    full = {purse: MAX_MINOR - 1}
    assert movements([_invoice(purse, -1)], full) == [1]
    with pytest.raises(Invalid, match="more than a ledger holds"):
        movements([_invoice(purse, -1), _invoice(purse, -1)], full)
