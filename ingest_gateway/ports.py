"""What the edge needs from inside. Each port is small; adapters fit it structurally."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec

from schemas.account import ApiKey, Mode, NewApiKey
from schemas.command import Applied, Command
from schemas.flush import PartitionStatus, Watermark
from schemas.frame import NewFrame
from schemas.hashing import BodyHashes, KeyHashes
from schemas.ids import AccountId
from schemas.listing import EventQuery, MeterCount, Page, RejectQuery, ReplayResult, StoredEvent
from schemas.meter import Meter
from schemas.usage import BackfillStatus, UsageQuery, UsageResult


class FrameSink(Protocol):
    """The log, as its writer sees it."""

    async def append(self, frames: Sequence[NewFrame]) -> None:
        """Durable, all of them, when this returns; nothing is known of them when it raises."""
        ...


class KeyHints(Protocol):
    """Keys made durable before, here or by another gateway, for `duplicate` and `conflict` verdicts.

    Exactness never depends on them: a key they do not know is `accepted`, and the processor decides.
    """

    async def body_hashes(self, keys: KeyHashes, now: int) -> Mapping[bytes, int]:
        """The body's hash for each key that is known within the window at `now`.

        Raises StoreFailed when the lookup fails; then nothing is known of any of the keys.
        """
        ...

    def remember(self, keys: KeyHashes, bodies: BodyHashes, arrival: int) -> None:
        """Records distinct keys that are durable. Never waits: keys that cannot be recorded at once are skipped."""
        ...


class ApiKeys(Protocol):
    """The keys of all accounts."""

    async def find(self, token: str) -> ApiKey | None:
        """The key with this secret, still good or not; None if there is none."""
        ...

    async def create(self, command: Command, new: NewApiKey) -> tuple[ApiKey, str]:
        """A new key and its secret, which is shown this once: a repeated request is a Conflict that names the key."""
        ...

    async def list(self, account: AccountId) -> Sequence[ApiKey]: ...

    async def revoke(self, command: Command, key_id: str) -> Applied[ApiKey]:
        """Raises NotFound. Revoking twice changes nothing."""
        ...


class Accounts(Protocol):
    """Companies and their two accounts, live and test."""

    async def bootstrap(self, token: str | None) -> tuple[ApiKey, str] | None:
        """On an empty ledger: the first company and its admin key (with `token`, if given). Else None."""
        ...

    async def account_for(self, sibling: AccountId, mode: Mode) -> AccountId:
        """The same company's account in the given mode."""
        ...


class MeterDefinition(msgspec.Struct, frozen=True, kw_only=True):
    """A checked meter that has no version yet."""

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
        """Raises Conflict where the code is taken (by an archived meter too: codes are never used twice)."""
        ...

    async def list(self, account: AccountId) -> Sequence[Meter]: ...

    async def get(self, account: AccountId, code: str) -> Meter:
        """Raises NotFound."""
        ...

    async def rename(self, command: Command, code: str, changes: Mapping[str, str | None]) -> Applied[Meter]:
        """Change `name`, `unit`, or both."""
        ...

    async def archive(self, command: Command, code: str) -> Applied[Meter]:
        """It stops counting from the next meter set on; what it counted stays. Twice changes nothing."""
        ...


class UsageQueries(Protocol):
    """Usage, exactly at a watermark."""

    async def usage(self, query: UsageQuery) -> UsageResult: ...

    async def backfill(self, meter: Meter) -> BackfillStatus: ...

    async def watermark(self) -> Watermark: ...


class EventReader(Protocol):
    """Raw events and rejects."""

    async def events(self, query: EventQuery) -> Page: ...

    async def counted(self, event: StoredEvent, meters: Sequence[Meter]) -> Sequence[MeterCount]:
        """How each of the account's meters on this event name, archived ones too, counted the event."""
        ...

    async def rejects(self, query: RejectQuery) -> Page: ...


class ReplayResults(Protocol):
    """Requests to try rejects again, each of which may come again under its Idempotency-Key."""

    async def find(self, command: Command) -> ReplayResult | None:
        """What the same request was answered before; None if it is the first one. Raises Conflict for another one."""
        ...

    async def record(self, command: Command, result: ReplayResult) -> Applied[ReplayResult]:
        """Of requests that were at work at once under one key, the first to come here is the one that counts."""
        ...


class ProcessingStatus(Protocol):
    """How the processors are doing."""

    async def partitions(self) -> Sequence[PartitionStatus]: ...

    async def backfills(self) -> str:
        """The counting of the past for new meters: a state as a partition's."""
        ...
