"""Plans in an account's catalogue: requests to create and change them, and stored plans with their versions."""

import msgspec
from msgspec import UNSET, UnsetType

from schemas.field_types import Code, LongText, Name
from schemas.ids import AccountId
from schemas.plan import PlanDefinition, PlanVersion


class NewPlan(PlanDefinition, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request to create a plan with its first version."""

    code: Code
    name: Name
    description: LongText | None = None
    draft: bool = False
    """Not published: no subscription can use it yet."""


class NewVersion(PlanDefinition, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request to add a version: the whole definition, not the differences from the version before."""

    draft: bool = False


class DraftVersion(PlanDefinition, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request to replace the draft version."""


class PlanChanges(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A partial update of a plan. Prices and periods change only by a new version."""

    name: Name | UnsetType = UNSET
    description: LongText | UnsetType | None = UNSET


class StoredPlanVersion(PlanVersion, frozen=True, kw_only=True):
    """A stored version, a draft until it is published."""

    published_at: int | None
    created_at: int


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """A stored plan. At most one version is a draft, and it is the newest."""

    id: str
    account: AccountId
    code: str
    name: str
    description: str | None
    newest_version: StoredPlanVersion | None
    """The newest published version, which new subscriptions use."""
    draft_version: StoredPlanVersion | None
    archived_at: int | None
    created_at: int
    updated_at: int


def definition_of(plan: PlanDefinition) -> PlanDefinition:
    """The definition alone, without the other fields of a subclass."""
    return PlanDefinition(**{name: getattr(plan, name) for name in PlanDefinition.__struct_fields__})
