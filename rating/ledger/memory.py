"""The ledger in memory: the same answers as the database gives, gone with the process."""

import threading
from collections.abc import Callable, Mapping, Sequence
from hmac import compare_digest

from msgspec.structs import replace

from rating.ledger.accounts import FIRST_KEY, FIRST_SCOPES
from rating.ledger.key_tokens import NewSecret, hash_of, mode_of, new_token
from rating.ledger.keys import LAST_USED_STEP, new_key
from rating.ledger.meters import NewMeter, meter_set, missing, taken, to_meter
from schemas.account import ApiKey, Mode, Scope
from schemas.errors import NotFound
from schemas.ids import AccountId
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
        self.version = 0

    def add_company(self) -> dict[Mode, AccountId]:
        company = self.new_id()
        siblings = {mode: AccountId(self.new_id()) for mode in Mode}
        self.accounts |= {account: (company, mode) for mode, account in siblings.items()}
        return siblings

    def add_key(self, account: AccountId, token: str, name: str, scopes: frozenset[Scope]) -> ApiKey:
        mode = self.accounts[account][1]
        key = new_key(account, mode, token, name=name, scopes=scopes, key_id=self.new_id(), now=self.clock())
        self.keys[hash_of(token)] = key
        return key


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
            return books.add_key(books.add_company()[mode], token, FIRST_KEY, FIRST_SCOPES), token

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
        if key.revoked_at is None and (key.last_used_at is None or now >= key.last_used_at + LAST_USED_STEP):
            self._books.keys[stored] = replace(key, last_used_at=now)

    async def create(self, account: AccountId, name: str, scopes: frozenset[Scope]) -> tuple[ApiKey, str]:
        books = self._books
        with books.lock:
            if account not in books.accounts:
                raise NotFound(f"there is no account {account}")
            token = new_token(books.accounts[account][1], books.new_secret)
            return books.add_key(account, token, name, scopes), token

    async def list(self, account: AccountId) -> Sequence[ApiKey]:
        of_account = [key for key in self._books.keys.values() if key.account == account]
        return sorted(of_account, key=lambda key: (key.created_at, key.id))

    async def revoke(self, account: AccountId, key_id: str) -> ApiKey:
        with self._books.lock:
            for stored, key in self._books.keys.items():
                if key.id == key_id and key.account == account:
                    ended = key if key.revoked_at is not None else replace(key, revoked_at=self._books.clock())
                    self._books.keys[stored] = ended
                    return ended
        raise NotFound(f"there is no API key {key_id} in this account")


class MemoryMeters:
    """The meters of each account, and of all of them by version."""

    def __init__(self, books: MemoryBooks) -> None:
        self._books = books

    async def create(self, account: AccountId, meter: NewMeter) -> Meter:
        books = self._books
        with books.lock:
            if (account, meter.code) in books.meters:
                raise taken(meter.code)
            made = to_meter(account, meter, version=books.version + 1, created_at=books.clock())
            books.version = made.version
            books.meters[account, meter.code] = made
            return made

    async def list(self, account: AccountId) -> Sequence[Meter]:
        return [meter for meter in self._books.meters.values() if meter.account == account]

    async def get(self, account: AccountId, code: str) -> Meter:
        meter = self._books.meters.get((account, code))
        if meter is None:
            raise missing(code)
        return meter

    async def rename(self, account: AccountId, code: str, changes: Mapping[str, str | None]) -> Meter:
        with self._books.lock:
            renamed = replace(await self.get(account, code), **changes)
            self._books.meters[account, code] = renamed
            return renamed

    async def archive(self, account: AccountId, code: str) -> Meter:
        books = self._books
        with books.lock:
            meter = await self.get(account, code)
            if meter.archived_version is None:
                books.version += 1
                meter = replace(meter, archived_version=books.version)
                books.meters[account, code] = meter
            return meter

    async def newest_version(self) -> int:
        return self._books.version

    async def at_version(self, version: int) -> MeterSet:
        with self._books.lock:
            counting = [meter for meter in self._books.meters.values() if meter.counts_in(version)]
            return meter_set(version, self._books.version, counting)
