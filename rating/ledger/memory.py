"""The ledger in memory: the same answers as from a database, for the life of the process."""

import threading
from collections.abc import Callable, Mapping, Sequence
from hmac import compare_digest
from typing import Any

from msgspec.structs import replace

from rating.ledger.accounts import FIRST_KEY, FIRST_SCOPES
from rating.ledger.api_keys import (
    LAST_USED_STEP,
    NewSecret,
    check_admin_remains,
    hash_of,
    key_not_found,
    mode_of,
    new_key,
    new_token,
    secret_shown_before,
)
from rating.ledger.idempotency_keys import KEY_LIFETIME, key_reused
from rating.ledger.meter_rows import NewMeterFields, meter_code_taken, meter_not_found, to_meter
from rating.ledger.meter_sets import fan_outs, meter_set
from schemas.account import ApiKey, Mode, NewApiKey
from schemas.command import Answer, Applied, Command, IdempotencyKey
from schemas.errors import NotFound
from schemas.ids import AccountId
from schemas.listing import ReplayResult
from schemas.meter import Meter, MeterSet


class MemoryState:
    """The data of a ledger, and the lock that makes each change atomic."""

    def __init__(self, clock: Callable[[], int], new_id: Callable[[], str], new_secret: NewSecret) -> None:
        self.clock = clock
        self.new_id = new_id
        self.new_secret = new_secret
        self.lock = threading.Lock()
        self.accounts: dict[AccountId, tuple[str, Mode]] = {}
        self.keys: dict[str, ApiKey] = {}
        self.meters: dict[tuple[AccountId, str], Meter] = {}
        self.answers: dict[tuple[AccountId, str], tuple[IdempotencyKey, int, Any]] = {}
        self.version = 0

    def add_company(self) -> dict[Mode, AccountId]:
        company = self.new_id()
        siblings = {mode: AccountId(self.new_id()) for mode in Mode}
        self.accounts |= {account: (company, mode) for mode, account in siblings.items()}
        return siblings

    def add_key(self, new: NewApiKey, token: str) -> ApiKey:
        key = new_key(new, token, key_id=self.new_id(), now=self.clock())
        self.keys[hash_of(token)] = key
        return key

    def change(self, command: Command, change: Callable[[], Answer]) -> Applied[Answer]:
        """Applies the change atomically, and once under its idempotency key."""
        with self.lock:
            before = self.stored_answer(command)
            if before is not None:
                return Applied(answer=before, is_replay=True)
            answer = change()
            if command.idempotency_key is not None:
                self.answers[command.account, command.idempotency_key.key] = (
                    command.idempotency_key,
                    self.clock(),
                    answer,
                )
            return Applied(answer=answer)

    def stored_answer(self, command: Command) -> Any:
        """The answer stored under the command's idempotency key, or None. Raises Conflict for another request."""
        if command.idempotency_key is None or (command.account, command.idempotency_key.key) not in self.answers:
            return None
        idempotency_key, at, answer = self.answers[command.account, command.idempotency_key.key]
        if at <= self.clock() - KEY_LIFETIME:
            return None
        if idempotency_key != command.idempotency_key:
            raise key_reused(command.idempotency_key)
        return answer


class MemoryAccounts:
    """Companies, and the live and test account of each."""

    def __init__(self, state: MemoryState) -> None:
        self._state = state

    async def bootstrap(self, token: str | None) -> tuple[ApiKey, str] | None:
        state = self._state
        mode = Mode.LIVE if token is None else mode_of(token)
        with state.lock:
            if state.accounts:
                return None
            token = token or new_token(mode, state.new_secret)
            first = NewApiKey(account=state.add_company()[mode], name=FIRST_KEY, scopes=FIRST_SCOPES)
            return state.add_key(first, token), token

    async def account_for(self, sibling: AccountId, mode: Mode) -> AccountId:
        company, _ = self._state.accounts.get(sibling, ("", mode))
        for account, place in self._state.accounts.items():
            if place == (company, mode):
                return account
        raise NotFound(f"there is no account {sibling}")


class MemoryApiKeys:
    """The keys of all accounts."""

    def __init__(self, state: MemoryState) -> None:
        self._state = state

    async def find(self, token: str) -> ApiKey | None:
        hashed = hash_of(token)
        with self._state.lock:
            for stored, key in self._state.keys.items():
                if compare_digest(stored, hashed):
                    self._record_use(stored, key)
                    return key
        return None

    def _record_use(self, stored: str, key: ApiKey) -> None:
        now = self._state.clock()
        if key.is_valid(now) and (key.last_used_at is None or now >= key.last_used_at + LAST_USED_STEP):
            self._state.keys[stored] = replace(key, last_used_at=now)

    async def create(self, command: Command, new: NewApiKey) -> tuple[ApiKey, str]:
        state = self._state
        if new.account not in state.accounts:
            raise NotFound(f"there is no account {new.account}")
        token = new_token(state.accounts[new.account][1], state.new_secret)
        done = state.change(command, lambda: state.add_key(new, token))
        if done.is_replay:
            raise secret_shown_before(done.answer)
        return done.answer, token

    async def list(self, account: AccountId) -> Sequence[ApiKey]:
        of_account = [key for key in self._state.keys.values() if key.account == account]
        return sorted(of_account, key=lambda key: (key.created_at, key.id))

    async def revoke(self, command: Command, key_id: str, *, force: bool = False) -> Applied[ApiKey]:
        return self._state.change(command, lambda: self._revoke(command.account, key_id, force=force))

    def _revoke(self, account: AccountId, key_id: str, *, force: bool) -> ApiKey:
        company, _ = self._state.accounts.get(account, ("", None))
        for stored, key in self._state.keys.items():
            if key.id == key_id and key.account == account:
                if not force:
                    of_company = [one for one in self._state.keys.values() if self._company(one) == company]
                    check_admin_remains(key, of_company, self._state.clock())
                ended = key if key.revoked_at is not None else replace(key, revoked_at=self._state.clock())
                self._state.keys[stored] = ended
                return ended
        raise key_not_found(key_id)

    def _company(self, key: ApiKey) -> str:
        return self._state.accounts[key.account][0]


class MemoryMeters:
    """The meters of each account, and the meter sets of all accounts."""

    def __init__(self, state: MemoryState) -> None:
        self._state = state

    async def create(self, command: Command, meter: NewMeterFields) -> Applied[Meter]:
        return self._state.change(command, lambda: self._create(command.account, meter))

    def _create(self, account: AccountId, meter: NewMeterFields) -> Meter:
        state = self._state
        if (account, meter.code) in state.meters:
            raise meter_code_taken(meter.code)
        made = to_meter(account, meter, version=state.version + 1, created_at=state.clock())
        state.version = made.version
        state.meters[account, meter.code] = made
        return made

    async def list(self, account: AccountId) -> Sequence[Meter]:
        return [meter for meter in self._state.meters.values() if meter.account == account]

    async def get(self, account: AccountId, code: str) -> Meter:
        return self._get(account, code)

    def _get(self, account: AccountId, code: str) -> Meter:
        meter = self._state.meters.get((account, code))
        if meter is None:
            raise meter_not_found(code)
        return meter

    async def rename(self, command: Command, code: str, changes: Mapping[str, str | None]) -> Applied[Meter]:
        return self._state.change(command, lambda: self._store(replace(self._get(command.account, code), **changes)))

    async def archive(self, command: Command, code: str) -> Applied[Meter]:
        return self._state.change(command, lambda: self._archive(command.account, code))

    def _archive(self, account: AccountId, code: str) -> Meter:
        meter = self._get(account, code)
        if meter.archived_version is not None:
            return meter
        self._state.version += 1
        return self._store(replace(meter, archived_version=self._state.version))

    def _store(self, meter: Meter) -> Meter:
        self._state.meters[meter.account, meter.code] = meter
        return meter

    async def newest_version(self) -> int:
        return self._state.version

    async def fan_outs(self, above: int) -> dict[AccountId, dict[str, int]]:
        """The event names that more than `above` meters of an account count, and how many do."""
        return fan_outs([m for m in self._state.meters.values() if m.archived_version is None], above)

    async def at_version(self, version: int) -> MeterSet:
        with self._state.lock:
            counting = [meter for meter in self._state.meters.values() if meter.counts_in(version)]
            return meter_set(version, self._state.version, counting)


class MemoryRejectReplays:
    """The results of reject replays, by the request that made them."""

    def __init__(self, state: MemoryState) -> None:
        self._state = state

    async def find(self, command: Command) -> ReplayResult | None:
        answer: ReplayResult | None = self._state.stored_answer(command)
        return answer

    async def record(self, command: Command, result: ReplayResult) -> Applied[ReplayResult]:
        return self._state.change(command, lambda: result)
