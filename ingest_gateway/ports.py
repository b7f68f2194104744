"""What the gateway needs from outside. Each port is small; an adapter implements it without inheriting from it."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec

from schemas.account import ApiKey, Mode, NewApiKey
from schemas.command import Applied, Command
from schemas.flush import PartitionStatus
from schemas.frame import NewFrame
from schemas.hashing import BodyHashes, KeyHashes
from schemas.ids import AccountId
from schemas.listing import EventQuery, MeterCount, Page, RejectQuery, ReplayResult, StoredEvent
from schemas.meter import Meter
from schemas.usage import BackfillStatus, UsageQuery, UsageResult
from schemas.verification import MeterDay, VerificationStatus, Verified
from schemas.watermark import Watermark


class FrameSink(Protocol):
    """The log, as its writer sees it."""

    async def append(self, frames: Sequence[NewFrame]) -> None:
        """All frames are durable when this returns; when it raises, any of them may or may not be."""
        ...


class KeyHints(Protocol):
    """Keys made durable before, here or by another gateway, for `duplicate` and `conflict` verdicts.

    Exactness never depends on them: a key they do not know is `accepted`, and the processor decides.
    """

    async def body_hashes(self, keys: KeyHashes, now: int) -> Mapping[bytes, int]:
        """The body's hash for each key that is known within the window at `now`.

        A lookup that fails in part leaves out the keys of that part. Raises StoreFailed when it fails as a whole; then
        nothing is known of any of the keys.
        """
        ...

    def remember(self, keys: KeyHashes, bodies: BodyHashes, arrival: int) -> None:
        """Records distinct keys that are durable. Never waits: keys that cannot be recorded at once are skipped."""
        ...


class ApiKeys(Protocol):
    """The keys of all accounts."""

    async def find(self, token: str) -> ApiKey | None:
        """The key with this secret, valid or not; None for an unknown secret."""
        ...

    async def create(self, command: Command, new: NewApiKey) -> tuple[ApiKey, str]:
        """A new key and its secret, which is shown once. Raises Conflict, naming the key, for a repeated command."""
        ...

    async def list(self, account: AccountId) -> Sequence[ApiKey]: ...

    async def revoke(self, command: Command, key_id: str, *, force: bool = False) -> Applied[ApiKey]:
        """Raises NotFound, and Conflict for the last admin key unless forced. Revoking twice changes nothing."""
        ...


class Accounts(Protocol):
    """Companies and their two accounts, live and test."""

    async def bootstrap(self, token: str | None) -> tuple[ApiKey, str] | None:
        """On an empty ledger, creates the first company and its admin key (with `token`, if given); otherwise None."""
        ...

    async def account_for(self, sibling: AccountId, mode: Mode) -> AccountId:
        """The same company's account in the given mode."""
        ...


class MeterDefinition(msgspec.Struct, frozen=True, kw_only=True):
    """A validated meter without a version."""

    code: str
    name: str
    event_name: str
    aggregation: str
    value_property: str | None
    group_by: dict[str, str]
    filters: tuple[Any, ...]
    unit: str | None


class MeterCatalog(Protocol):
    """The meters of one account."""

    async def create(self, command: Command, meter: MeterDefinition) -> Applied[Meter]:
        """Raises Conflict for a code in use, also by an archived meter: no code is used twice."""
        ...

    async def list(self, account: AccountId) -> Sequence[Meter]: ...

    async def get(self, account: AccountId, code: str) -> Meter:
        """Raises NotFound."""
        ...

    async def rename(self, command: Command, code: str, changes: Mapping[str, str | None]) -> Applied[Meter]:
        """Changes `name`, `unit`, or both. Raises NotFound."""
        ...

    async def archive(self, command: Command, code: str) -> Applied[Meter]:
        """The meter counts nothing from the next meter set on; its usage stays. Archiving twice changes nothing.

        Raises NotFound.
        """
        ...


class FanOuts(Protocol):
    """How many meters count each event name, over all accounts."""

    async def newest_version(self) -> int:
        """Rises with each new or archived meter."""
        ...

    async def fan_outs(self, above: int) -> Mapping[AccountId, Mapping[str, int]]:
        """The event names that more than `above` meters of an account count, and how many do."""
        ...


class UsageQueries(Protocol):
    """Usage, exactly at a watermark."""

    async def usage(self, query: UsageQuery) -> UsageResult: ...

    async def backfill(self, meter: Meter) -> BackfillStatus: ...

    async def watermark(self) -> Watermark: ...


class UsageVerification(Protocol):
    """Usage compared with the raw events."""

    async def days(self, accounts: Sequence[AccountId], start: int, end: int) -> Sequence[MeterDay]:
        """The days that have anything to compare, in order of account, meter and day."""
        ...

    async def verify(
        self, account: AccountId, meter: str, start: int, end: int, *, cursor: str | None, limit: int
    ) -> Verified:
        """Compares from the cursor on, until more than `limit` events were recounted or the range ends."""
        ...


class EventReader(Protocol):
    """Raw events and rejects."""

    async def events(self, query: EventQuery) -> Page: ...

    async def counted(self, event: StoredEvent, meters: Sequence[Meter]) -> Sequence[MeterCount]:
        """How each of the account's meters on this event name, archived ones too, counted the event."""
        ...

    async def rejects(self, query: RejectQuery) -> Page: ...


class ReplayResults(Protocol):
    """Results of replays, by the command's Idempotency-Key."""

    async def find(self, command: Command) -> ReplayResult | None:
        """The result of the same command; None for the first one. Raises Conflict for another one under its key."""
        ...

    async def record(self, command: Command, result: ReplayResult) -> Applied[ReplayResult]:
        """Records the result. Of concurrent commands under one key, the first recorded result applies to all."""
        ...


class ProcessingStatus(Protocol):
    """The progress of the processors."""

    async def partitions(self) -> Sequence[PartitionStatus]: ...

    async def backfills(self) -> str:
        """The state of backfills, as a partition's state."""
        ...

    async def verification(self) -> VerificationStatus:
        """How far usage is compared with its events in idle time."""
        ...
