"""Deduplication tokens of inserts.

Tokens are deterministic, so that rivals and redos of one flush use the same ones. A higher attempt is a fresh token,
for when the store kept the earlier token without its rows.
"""

from schemas.flush import Table


def claim_token(partition: int, number: int, attempt: int) -> str:
    return f"{partition}/{number}/claim/{attempt}"


def done_token(partition: int, number: int, attempt: int) -> str:
    return f"{partition}/{number}/done/{attempt}"


def rows_token(table: Table, partition: int, number: int, attempt: int) -> str:
    return f"{partition}/{number}/{table.value}/{attempt}"


def backfill_token(table: Table, receipt: str, attempt: int) -> str:
    return f"{receipt}/{table.value}/{attempt}"
