"""Signup links in the ledger: found by the hash of their token, used once."""

from collections.abc import Callable
from typing import Any

import msgspec
import sqlalchemy as sa

from rating.ledger.api_keys import NewSecret, hash_of
from rating.ledger.customers import get_customer
from rating.ledger.database import Database
from rating.ledger.plan_rows import get_plan, get_versions
from rating.ledger.subscription_creation import check_currency, create_subscription, offered_version, start_pending
from rating.ledger.subscription_plan_change import change_plan
from rating.ledger.subscription_rows import get_subscription, list_live_subscriptions, save_subscription
from rating.ledger.tables import signup_links
from rating.ledger.unit_of_work import Transactions, UnitOfWork
from schemas.command import Command
from schemas.errors import Conflict, Invalid, NotFound
from schemas.ids import AccountId
from schemas.plan import PlanVersion, overridden
from schemas.signup import LINK_LIFETIME, CreatedSignupLink, NewSignupLink, SignupLink, SignupOffer, SignupTerms
from schemas.subscription import NewSubscription, PlanChange, Status, Subscription

_details = msgspec.json.Decoder(SignupTerms)


class SqlSignupLinks:
    """The signup links of all accounts; knowing a token is the permission to use its link."""

    def __init__(
        self, database: Database, transactions: Transactions, clock: Callable[[], int], new_secret: NewSecret
    ) -> None:
        self._database = database
        self._transactions = transactions
        self._clock = clock
        self._new_secret = new_secret

    async def create(self, command: Command, new: NewSignupLink) -> CreatedSignupLink:
        """Raises NotFound, or Conflict if the plan cannot be subscribed to.

        Only the hash of the token is stored, so a repeated request is a Conflict that names the link.
        """
        token = self._new_secret()
        done = await self._transactions.change(command, SignupLink, lambda work: create_link(work, new, token))
        if done.is_replay:
            raise link_shown_before(done.answer)
        return CreatedSignupLink(link=done.answer, token=token)

    async def offer(self, token: str) -> SignupOffer:
        """Raises NotFound, or Conflict if the link is used or has expired."""
        now = self._clock()

        def select(connection: sa.Connection) -> SignupOffer:
            link = check_usable(_get_link(connection, token), now)
            customer = get_customer(connection, link.account, link.customer_id)
            return SignupOffer(link=link, customer=customer, plan=_plan_of(connection, link))

        return await self._database.read(select)

    async def accept(self, token: str, request_id: str) -> SignupLink:
        """Raises as `offer` does, or Conflict if the subscription is no longer possible."""
        link = await self._database.read(lambda connection: _get_link(connection, token))
        command = Command(account=link.account, actor=f"signup_link:{link.id}", request_id=request_id)
        return (await self._transactions.change(command, SignupLink, lambda work: accept_link(work, token))).answer


def create_link(work: UnitOfWork, new: NewSignupLink, token: str) -> SignupLink:
    customer = get_customer(work.connection, work.account, new.customer_id)
    plan = get_plan(work.connection, work.account, new.plan_code)
    version = offered_version(work, plan)
    check_currency(customer, version)
    if new.previous_subscription_id is not None:
        _check_same_customer(work, new.previous_subscription_id, customer.id)
    terms = msgspec.structs.asdict(new)
    link = SignupLink(
        id=work.new_id(),
        account=work.account,
        plan_id=plan.id,
        plan_version=version.version,
        expires_at=work.now + LINK_LIFETIME,
        used_at=None,
        subscription_id=None,
        created_at=work.now,
        **terms,
    )
    work.connection.execute(sa.insert(signup_links).values({**_values(link), "token_hash": hash_of(token)}))
    work.audit("signup_link.create", link.id, after=link)
    return link


def accept_link(work: UnitOfWork, token: str) -> SignupLink:
    # The customer first, as in every transaction that locks more than one row.
    get_customer(work.connection, work.account, _get_link(work.connection, token).customer_id, lock=True)
    link = check_usable(_get_link(work.connection, token, lock=True), work.now)
    subscribed = _subscribe(work, link) if link.previous_subscription_id is None else _change_plan(work, link)
    used = msgspec.structs.replace(link, used_at=work.now, subscription_id=subscribed.id)
    this = signup_links.c.id == link.id
    work.connection.execute(sa.update(signup_links).where(this).values(used_at=work.now, subscription_id=subscribed.id))
    work.audit("signup_link.use", link.id, link, used)
    return used


def link_shown_before(link: SignupLink) -> Conflict:
    return Conflict(
        f"Idempotency-Key: it made the link {link.id} before, whose address was shown in that answer and is kept "
        "nowhere; if it was lost, make another under a new Idempotency-Key",
        code="SECRET_SHOWN_ONCE",
        field="Idempotency-Key",
    )


def check_usable(link: SignupLink, now: int) -> SignupLink:
    """Raises Conflict if the link is used or has expired."""
    if link.used_at is not None:
        raise Conflict("this link was used already", code="LINK_USED")
    if link.expires_at <= now:
        raise Conflict("this link has expired; it was good for 24 hours", code="LINK_EXPIRED")
    return link


def _subscribe(work: UnitOfWork, link: SignupLink) -> Subscription:
    """Starts the pending subscription to the link's plan, or creates one."""
    pending = _pending_for(work.connection, link)
    if pending is not None:
        pending = get_subscription(work.connection, work.account, pending.id, lock=True)
        return save_subscription(work, "subscription.begin", pending, start_pending(work, pending))
    new = NewSubscription(
        customer_id=link.customer_id, plan_code=link.plan_code, plan_version=link.plan_version, initial_status="active"
    )
    return create_subscription(work, new)


def _pending_for(connection: sa.Connection, link: SignupLink) -> Subscription | None:
    for one in list_live_subscriptions(connection, link.customer_id, link.plan_id):
        if one.status is Status.PENDING and one.plan_version == link.plan_version:
            return one
    return None


def _plan_of(connection: sa.Connection, link: SignupLink) -> PlanVersion:
    """The plan with the pending subscription's overrides and trial."""
    key = link.plan_id, link.plan_version
    version = get_versions(connection, [key])[key]
    pending = None if link.previous_subscription_id is not None else _pending_for(connection, link)
    if pending is None:
        return version
    return msgspec.structs.replace(overridden(version, pending.overrides), trial_days=pending.trial_days)


def _change_plan(work: UnitOfWork, link: SignupLink) -> Subscription:
    if link.previous_subscription_id is None or link.change_timing_mode is None:
        raise ValueError("a link to change a plan says which subscription, and when")
    request = PlanChange(
        target_plan_code=link.plan_code,
        target_plan_version=link.plan_version,
        change_mode=link.change_timing_mode,
        cancel_now_prepaid_refund_policy=link.cancel_now_prepaid_refund_policy,
    )
    return change_plan(work, link.previous_subscription_id, request).new


def _check_same_customer(work: UnitOfWork, subscription_id: str, customer_id: str) -> None:
    if get_subscription(work.connection, work.account, subscription_id).customer_id != customer_id:
        raise Invalid(
            f"previous_subscription_id: subscription {subscription_id} is another customer's",
            field="previous_subscription_id",
        )


def _get_link(connection: sa.Connection, token: str, *, lock: bool = False) -> SignupLink:
    this = sa.select(signup_links).where(signup_links.c.token_hash == hash_of(token))
    row = connection.execute(this.with_for_update() if lock else this).one_or_none()
    if row is None:
        raise NotFound("there is no such link")
    return SignupLink(
        id=row.id,
        account=AccountId(row.account_id),
        customer_id=row.customer_id,
        plan_id=row.plan_id,
        expires_at=row.expires_at,
        used_at=row.used_at,
        subscription_id=row.subscription_id,
        created_at=row.created_at,
        **msgspec.structs.asdict(_details.decode(row.details)),
    )


def _values(link: SignupLink) -> dict[str, Any]:
    details = SignupTerms(**{name: getattr(link, name) for name in SignupTerms.__struct_fields__})
    columns = ("id", "customer_id", "plan_id", "expires_at", "used_at", "subscription_id", "created_at")
    return {
        "account_id": link.account,
        "details": msgspec.json.encode(details).decode(),
        **{name: getattr(link, name) for name in columns},
    }
