"""The ledger in memory: the same answers as the database gives, gone with the process."""

import threading
from collections.abc import Callable, Mapping, Sequence
from hmac import compare_digest
from typing import Any

from msgspec.structs import replace

from rating.ledger.accounts import FIRST_KEY, FIRST_SCOPES
from rating.ledger.api_keys import LAST_USED_STEP, new_key, no_key, shown_before
from rating.ledger.idempotency_keys import KEPT, reused
from rating.ledger.key_tokens import NewSecret, hash_of, mode_of, new_token
from rating.ledger.meters import NewMeter, meter_set, missing, taken, to_meter
from schemas.account import ApiKey, Mode, NewKey
from schemas.command import Act, Answer, Done, Once
from schemas.errors import NotFound
from schemas.ids import AccountId
from schemas.listing import Retried
from schemas.meter import Meter, MeterSet


class MemoryBooks:
    """What a ledger holds, and the lock that makes each change whole."""

    def __init__(self, clock: Callable[[], int], new_id: Callable[[], str], new_secret: NewSecret) -> None:
        self.clock = clock
        self.new_id = new_id
        self.new_secret = new_secret
        self.lock = threading.Lock()
        self.accounts: dict[AccountId, tuple[str, Mode]] = {}
        self.keys: dict[str, ApiKey] = {}
        self.meters: dict[tuple[AccountId, str], Meter] = {}
        self.answers: dict[tuple[AccountId, str], tuple[Once, int, Any]] = {}
        self.version = 0

    def add_company(self) -> dict[Mode, AccountId]:
        company = self.new_id()
        siblings = {mode: AccountId(self.new_id()) for mode in Mode}
        self.accounts |= {account: (company, mode) for mode, account in siblings.items()}
        return siblings

    def add_key(self, new: NewKey, token: str) -> ApiKey:
        key = new_key(new, token, key_id=self.new_id(), now=self.clock())
        self.keys[hash_of(token)] = key
        return key

    def change(self, act: Act, change: Callable[[], Answer]) -> Done[Answer]:
        """Done whole, and once under its key."""
        with self.lock:
            before = self.answered(act)
            if before is not None:
                return Done(answer=before, is_replay=True)
            answer = change()
            if act.once is not None:
                self.answers[act.account, act.once.key] = act.once, self.clock(), answer
            return Done(answer=answer)

    def answered(self, act: Act) -> Any:
        """What was answered under the act's key; None where nothing was."""
        if act.once is None or (act.account, act.once.key) not in self.answers:
            return None
        once, at, answer = self.answers[act.account, act.once.key]
        if at <= self.clock() - KEPT:
            return None
        if once != act.once:
            raise reused(act.once)
        return answer


class MemoryAccounts:
    """Companies and their two accounts, live and test."""

    def __init__(self, books: MemoryBooks) -> None:
        self._books = books

    async def bootstrap(self, token: str | None) -> tuple[ApiKey, str] | None:
        books = self._books
        mode = Mode.LIVE if token is None else mode_of(token)
        with books.lock:
            if books.accounts:
                return None
            token = token or new_token(mode, books.new_secret)
            first = NewKey(account=books.add_company()[mode], name=FIRST_KEY, scopes=FIRST_SCOPES)
            return books.add_key(first, token), token

    async def account_for(self, sibling: AccountId, mode: Mode) -> AccountId:
        company, _ = self._books.accounts.get(sibling, ("", mode))
        for account, place in self._books.accounts.items():
            if place == (company, mode):
                return account
        raise NotFound(f"there is no account {sibling}")


class MemoryApiKeys:
    """The keys of all accounts."""

    def __init__(self, books: MemoryBooks) -> None:
        self._books = books

    async def find(self, token: str) -> ApiKey | None:
        wanted = hash_of(token)
        with self._books.lock:
            for stored, key in self._books.keys.items():
                if compare_digest(stored, wanted):
                    self._note_use(stored, key)
                    return key
        return None

    def _note_use(self, stored: str, key: ApiKey) -> None:
        now = self._books.clock()
        if key.is_good(now) and (key.last_used_at is None or now >= key.last_used_at + LAST_USED_STEP):
            self._books.keys[stored] = replace(key, last_used_at=now)

    async def create(self, act: Act, new: NewKey) -> tuple[ApiKey, str]:
        books = self._books
        if new.account not in books.accounts:
            raise NotFound(f"there is no account {new.account}")
        token = new_token(books.accounts[new.account][1], books.new_secret)
        done = books.change(act, lambda: books.add_key(new, token))
        if done.is_replay:
            raise shown_before(done.answer)
        return done.answer, token

    async def list(self, account: AccountId) -> Sequence[ApiKey]:
        of_account = [key for key in self._books.keys.values() if key.account == account]
        return sorted(of_account, key=lambda key: (key.created_at, key.id))

    async def revoke(self, act: Act, key_id: str) -> Done[ApiKey]:
        return self._books.change(act, lambda: self._revoke(act.account, key_id))

    def _revoke(self, account: AccountId, key_id: str) -> ApiKey:
        for stored, key in self._books.keys.items():
            if key.id == key_id and key.account == account:
                ended = key if key.revoked_at is not None else replace(key, revoked_at=self._books.clock())
                self._books.keys[stored] = ended
                return ended
        raise no_key(key_id)


class MemoryMeters:
    """The meters of each account, and of all of them by version."""

    def __init__(self, books: MemoryBooks) -> None:
        self._books = books

    async def create(self, act: Act, meter: NewMeter) -> Done[Meter]:
        return self._books.change(act, lambda: self._create(act.account, meter))

    def _create(self, account: AccountId, meter: NewMeter) -> Meter:
        books = self._books
        if (account, meter.code) in books.meters:
            raise taken(meter.code)
        made = to_meter(account, meter, version=books.version + 1, created_at=books.clock())
        books.version = made.version
        books.meters[account, meter.code] = made
        return made

    async def list(self, account: AccountId) -> Sequence[Meter]:
        return [meter for meter in self._books.meters.values() if meter.account == account]

    async def get(self, account: AccountId, code: str) -> Meter:
        return self._one(account, code)

    def _one(self, account: AccountId, code: str) -> Meter:
        meter = self._books.meters.get((account, code))
        if meter is None:
            raise missing(code)
        return meter

    async def rename(self, act: Act, code: str, changes: Mapping[str, str | None]) -> Done[Meter]:
        return self._books.change(act, lambda: self._keep(replace(self._one(act.account, code), **changes)))

    async def archive(self, act: Act, code: str) -> Done[Meter]:
        return self._books.change(act, lambda: self._archive(act.account, code))

    def _archive(self, account: AccountId, code: str) -> Meter:
        meter = self._one(account, code)
        if meter.archived_version is not None:
            return meter
        self._books.version += 1
        return self._keep(replace(meter, archived_version=self._books.version))

    def _keep(self, meter: Meter) -> Meter:
        self._books.meters[meter.account, meter.code] = meter
        return meter

    async def newest_version(self) -> int:
        return self._books.version

    async def at_version(self, version: int) -> MeterSet:
        with self._books.lock:
            counting = [meter for meter in self._books.meters.values() if meter.counts_in(version)]
            return meter_set(version, self._books.version, counting)


class MemoryRetries:
    """Rejects tried again, and the requests that asked for it."""

    def __init__(self, books: MemoryBooks) -> None:
        self._books = books

    async def before(self, act: Act) -> Retried | None:
        answer: Retried | None = self._books.answered(act)
        return answer

    async def keep(self, act: Act, retried: Retried) -> Done[Retried]:
        return self._books.change(act, lambda: retried)
