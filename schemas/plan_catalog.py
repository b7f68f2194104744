"""Plans as an account offers them: what is asked for, and what is kept."""

import msgspec
from msgspec import UNSET, UnsetType

from schemas.field_types import Code, LongText, Name
from schemas.ids import AccountId
from schemas.plan import PlanDefinition, PlanVersion


class NewPlan(PlanDefinition, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A plan to be made, with its first version."""

    code: Code
    name: Name
    description: LongText | None = None
    draft: bool = False
    """Not published yet: nobody can subscribe to it."""


class NewVersion(PlanDefinition, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The next version of a plan: whole, not what differs from the one before."""

    draft: bool = False


class DraftVersion(PlanDefinition, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a draft is replaced by."""


class PlanChanges(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is given is changed; prices and periods change by a new version only."""

    name: Name | UnsetType = UNSET
    description: LongText | UnsetType | None = UNSET


class StoredPlanVersion(PlanVersion, frozen=True, kw_only=True):
    """A version as kept: a draft until it is published."""

    published_at: int | None
    created_at: int


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """A plan as kept. At most one version is a draft, and it is the newest."""

    id: str
    account: AccountId
    code: str
    name: str
    description: str | None
    newest_version: StoredPlanVersion | None
    """The newest that is published: what is subscribed to now."""
    draft_version: StoredPlanVersion | None
    archived_at: int | None
    created_at: int
    updated_at: int


def definition_of(plan: PlanDefinition) -> PlanDefinition:
    """The definition alone, of a record that holds more."""
    return PlanDefinition(**{name: getattr(plan, name) for name in PlanDefinition.__struct_fields__})
