"""Invoices add to balances and use them in order, and never use more than there is."""

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
KEYS = st.tuples(st.sampled_from(CUSTOMERS), st.sampled_from(CURRENCIES))
AMOUNTS = st.integers(-1_000, 1_000)


def _invoice(key: BalanceKey, total: int) -> Invoice:
    customer, currency = key
    return replace(PLAIN, customer_id=customer, currency=currency, total=total)


INVOICES = st.lists(st.builds(_invoice, KEYS, AMOUNTS), max_size=30)
BALANCES = st.dictionaries(KEYS, st.integers(0, 1_500))


@given(INVOICES, BALANCES)
def test_no_balance_is_ever_below_zero(invoices: Sequence[Invoice], balances: dict[BalanceKey, int]) -> None:
    """Each invoice uses all that it can, or adds all that it leaves; no amount is lost or invented."""
    left = {key: balances.get(key, 0) for key in map(balance_key, invoices)}
    for invoice, moved in zip(invoices, movements(invoices, balances), strict=True):
        before = left[balance_key(invoice)]
        left[balance_key(invoice)] += moved
        assert left[balance_key(invoice)] >= 0
        if invoice.total <= 0:
            assert moved == -invoice.total
        else:
            assert -moved == min(before, invoice.total)


@given(INVOICES, BALANCES, KEYS)
def test_only_its_own_invoices_move_a_balance(
    invoices: Sequence[Invoice], balances: dict[BalanceKey, int], key: BalanceKey
) -> None:
    """Invoices of other customers, or in other currencies, change nothing."""
    of_all = movements(invoices, balances)
    own = [invoice for invoice in invoices if balance_key(invoice) == key]
    alone = movements(own, {key: balances.get(key, 0)})
    assert alone == [moved for invoice, moved in zip(invoices, of_all, strict=True) if balance_key(invoice) == key]


def test_a_balance_never_exceeds_what_the_ledger_holds() -> None:
    """The largest amount is accepted, and one cent more is refused."""
    key = "ann", "USD"
    full = {key: MAX_MINOR - 1}
    assert movements([_invoice(key, -1)], full) == [1]
    with pytest.raises(Invalid, match="more than a ledger holds"):
        movements([_invoice(key, -1), _invoice(key, -1)], full)
