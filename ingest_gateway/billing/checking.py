"""Refuses what no type can say is wrong."""

from collections.abc import Iterable

from ingest_gateway.api.mistakes import Mistakes
from schemas.price_rules import Mistake


def refuse(found: Iterable[Mistake]) -> None:
    """Raises Invalid with every mistake, if there is one."""
    mistakes = Mistakes()
    for field, wrong in found:
        mistakes.add(field, wrong)
    mistakes.finish()
