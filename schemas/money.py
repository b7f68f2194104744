"""Money: whole minor units, and the decimal places of each currency. No function takes or returns a float."""

from decimal import ROUND_HALF_UP, Context, Decimal, DivisionByZero, Inexact, InvalidOperation, Overflow

from schemas.errors import Invalid

DIGITS = 60
"""Enough for the largest quantity times the largest unit price, exactly."""

MAX_MINOR = 2**63 - 1
"""The largest integer that the ledger's columns hold."""

EXACT = Context(DIGITS, traps=[InvalidOperation, DivisionByZero, Overflow, Inexact])
"""For sums and products: losing a digit is an error."""

ROUNDING = Context(DIGITS, ROUND_HALF_UP, traps=[InvalidOperation, DivisionByZero, Overflow])
"""For the one rounding at the end: ties away from zero, also for negative amounts."""

_USUAL = 2
_OTHER = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}
_WITH_TWO = (
    "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE CHF CHW "
    "CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR "
    "ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV "
    "MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD "
    "SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XCD XCG YER ZAR ZMW ZWG"
)

EXPONENTS = dict.fromkeys(_WITH_TWO.split(), _USUAL) | {
    code: places for places, codes in _OTHER.items() for code in codes.split()
}
"""ISO 4217: every currency in use, and the decimals of its minor unit."""

CURRENCIES = frozenset(EXPONENTS)

_STEPS = {code: Decimal(1).scaleb(-places) for code, places in EXPONENTS.items()}


def exponent(currency: str) -> int:
    """2 for USD, 0 for JPY, 3 for KWD. Raises Invalid for an unknown currency."""
    try:
        return EXPONENTS[currency]
    except KeyError:
        raise Invalid(
            f"currency: {currency!r} is no ISO 4217 currency code; give three capital letters such as USD",
            field="currency",
        ) from None


def to_minor(amount: Decimal, currency: str) -> int:
    """`amount` rounded to whole minor units: 0.125 USD is 13, −0.125 is −13, 2.5 JPY is 3. Raises Invalid if it is more
    than the ledger holds."""
    places = exponent(currency)
    rounded = amount.quantize(_STEPS[currency], context=ROUNDING)
    return checked_minor(int(rounded.scaleb(places, ROUNDING)))


def to_major(minor: int, currency: str) -> Decimal:
    """1050 minor units of USD as 10.50: as many decimals as the currency has."""
    return Decimal(minor).scaleb(-exponent(currency), EXACT)


def rounded_ratio(numerator: int, denominator: int) -> int:
    """The quotient as a whole number, ties away from zero; `denominator` is above zero. Exact for any size."""
    nearest = (2 * abs(numerator) + denominator) // (2 * denominator)
    return nearest if numerator >= 0 else -nearest


def rounded_share(amount: Decimal | int, numerator: int, denominator: int) -> int:
    """`amount × numerator ÷ denominator`: multiplied first, divided once, rounded once."""
    above, below = amount.as_integer_ratio()
    return checked_minor(rounded_ratio(above * numerator, below * denominator))


def percent_of(minor: int, percent: Decimal) -> int:
    """`percent` (12.5, say) of an amount in minor units, rounded once."""
    above, below = percent.as_integer_ratio()
    return rounded_share(minor, above, below * 100)


def checked_minor(minor: int) -> int:
    """`minor`. Raises Invalid if it is more than the ledger holds."""
    if abs(minor) > MAX_MINOR:
        raise Invalid(f"an amount of {minor} minor units is more than a ledger holds; look at the price and the usage")
    return minor
