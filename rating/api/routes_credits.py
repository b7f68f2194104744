"""Credit: `/v1/subscriptions/{id}/credit-grants`, and the balances of a customer."""

from decimal import Decimal
from typing import Any

import msgspec

from ingest_gateway.http.description import Description
from ingest_gateway.http.envelope import Response, Success
from ingest_gateway.http.idempotency import applied_response, command_of
from ingest_gateway.http.request import Request
from ingest_gateway.http.route import Route
from ingest_gateway.http.validation import read_record
from rating.api.ports import Credits
from rating.api.validation import check_instant, raise_if_any
from schemas.account import Scope
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


class CreditRoutes:
    """Administrators grant credit, readers see what there is."""

    def __init__(self, credit: Credits) -> None:
        self._credits = credit

    def routes(self) -> list[Route]:
        grants = Description(
            "Grant a customer credit", body_type=NewCreditGrant, response_type=OneCreditGrant, status=201
        )
        balances = Description(
            "List what is left of a customer's credit, with what is owed to the customer", response_type=Balances
        )
        return [
            Route("POST", "/v1/subscriptions/{id}/credit-grants", Scope.ADMIN, self.grant, grants),
            Route("GET", "/v1/customers/{id}/balances", Scope.READ, self.balances, balances),
        ]

    async def grant(self, request: Request) -> Response:
        document = await request.document()
        new = read_record(document, NewCreditGrant)
        check_instant(new.expires_at, "expires_at")
        raise_if_any(check_credit(new))
        done = await self._credits.grant(command_of(request, document), request.path_params["id"], new)
        return applied_response(request, done, status=201, credit_grant=_grant_document(done.answer))

    async def balances(self, request: Request) -> Response:
        found = await self._credits.balances(request.account, request.path_params["id"])
        return request.success(balances=[_balance_document(balance) for balance in found])


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


def _denomination(one: CreditGrant | Balance) -> dict[str, str | None]:
    return {
        "currency_code": one.denomination if one.is_currency else None,
        "pricing_unit_code": None if one.is_currency else one.denomination,
    }
