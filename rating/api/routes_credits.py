"""`/v1/subscriptions/{id}/credit-grants`, and the balances of a customer."""

from decimal import Decimal
from typing import Any

import msgspec

from ingest_gateway.http.envelope import Success
from ingest_gateway.http.resource import RequestBody, Resource, list_of
from ingest_gateway.http.route import Route
from rating.api.ports import Credits
from rating.api.validation import raise_if_any
from schemas.credit import CreditGrant, NewCreditGrant, check_credit
from schemas.customer import Balance
from schemas.timestamps import iso_or_none, to_iso


class BalanceDocument(msgspec.Struct, kw_only=True):
    """What is left of a customer's credit in one denomination."""

    currency_code: str | None
    pricing_unit_code: str | None
    balance: Decimal


class Balances(Success, kw_only=True):
    """A customer's credit."""

    balances: list[BalanceDocument]


class CreditGrantDocument(msgspec.Struct, kw_only=True):
    """Credit that was granted, in a currency or in a pricing unit."""

    id: str
    customer_id: str
    subscription_id: str
    name: str
    amount: Decimal
    currency_code: str | None
    pricing_unit_code: str | None
    expires_at: str | None
    created_at: str


class OneCreditGrant(Success, kw_only=True):
    """One credit grant."""

    credit_grant: CreditGrantDocument


def credit_routes(credits_port: Credits) -> list[Route]:
    """Administrators grant credit, readers see the balances."""
    return [
        Resource.named("credit_grant", OneCreditGrant, _grant_document).create(
            "/v1/subscriptions/{id}/credit-grants",
            "Grant a customer credit",
            RequestBody(NewCreditGrant, _checked),
            lambda command, path, new: credits_port.grant(command, path["id"], new),
        ),
        list_of("balances", Balances, _balance_document).get(
            "/v1/customers/{id}/balances",
            "List a customer's balances: credit left, and money owed to the customer",
            lambda account, path: credits_port.balances(account, path["id"]),
        ),
    ]


def _checked(new: NewCreditGrant) -> NewCreditGrant:
    raise_if_any(check_credit(new))
    return new


def _grant_document(grant: CreditGrant) -> dict[str, Any]:
    return {
        "id": grant.id,
        "customer_id": grant.customer_id,
        "subscription_id": grant.subscription_id,
        "name": grant.name,
        "amount": grant.amount,
        **_denomination(grant),
        "expires_at": iso_or_none(grant.expires_at),
        "created_at": to_iso(grant.created_at),
    }


def _balance_document(balance: Balance) -> dict[str, Any]:
    return {**_denomination(balance), "balance": balance.amount}


def _denomination(credit: CreditGrant | Balance) -> dict[str, str | None]:
    return {
        "currency_code": credit.denomination if credit.is_currency else None,
        "pricing_unit_code": None if credit.is_currency else credit.denomination,
    }
