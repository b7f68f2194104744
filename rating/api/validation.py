"""Checks of request fields that a type cannot express."""

from collections.abc import Iterable
from decimal import Decimal

from ingest_gateway.http.validation import ValidationErrors
from schemas.customer import is_percent
from schemas.errors import Invalid
from schemas.price_rules import FieldError
from schemas.tax import TaxRate


def raise_if_any(found: Iterable[FieldError]) -> None:
    """Raises Invalid with all errors, unless there are none."""
    errors = ValidationErrors()
    for field, wrong in found:
        errors.add(field, wrong)
    errors.raise_if_any()


def check_percent(percent: Decimal, field: str) -> None:
    if not is_percent(percent):
        raise Invalid(f"{field}: expected 0 to 100 with up to 6 decimal places; got {percent}", field=field)


def check_tax_rates(rates: Iterable[TaxRate], at: str = "") -> None:
    """Raises Invalid; `at` is the prefix of the field in the request."""
    for place, rate in enumerate(rates):
        check_percent(rate.percent, f"{at}tax_rates[{place}].percent")
