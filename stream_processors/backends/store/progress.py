"""Reading the rows of the table of flushes."""

from collections.abc import Sequence

from schemas.errors import ClaimMismatch
from schemas.flush import FlushProgress


def single_claim(partition: int, found: Sequence[FlushProgress]) -> FlushProgress | None:
    """The one claim among those of one number; two different ones mean that something has gone badly wrong."""
    if len(found) > 1:
        raise ClaimMismatch(
            f"partition {partition}: flush {found[0].claim.number} has {len(found)} different claims: "
            f"{', '.join(str(progress.claim) for progress in found)}. Stop all workers of this partition and compare "
            "the `flushes` table with the log before starting again."
        )
    return found[0] if found else None
