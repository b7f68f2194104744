"""A worker of another process: `python -m tests.stream_processors.backends.store.rival PORT DATABASE FLUSHES`.

Applies the flushes one after the other, as fast as possible, and prints the outcome of each step.
"""

import asyncio
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from schemas.errors import Superseded
from schemas.flush import UNCOUNTED, ApplyResult, Table
from stream_processors.backends.sql.clickhouse_http import ClickHousePool, ServerAddress
from stream_processors.backends.sql.client import GuardedAsyncSqlClient
from stream_processors.backends.sql.engine_settings import EngineLimits
from stream_processors.backends.sql.guarded_engine import SqlGuardedEngine
from stream_processors.backends.store.guarded import GuardedStore
from tests.contracts.stores import claim_of, rows_of

NAMES = [f"key {index}" for index in range(50)]


async def flush(store: GuardedStore, number: int) -> list[ApplyResult]:
    """Claim, apply and finish one flush."""
    await store.claim(claim_of(number, first=number, last=number))
    while True:
        with suppress(Superseded):  # A rival writes the same rows; now the store looks whether each of them is there.
            return await _write(store, number)


async def _write(store: GuardedStore, number: int) -> list[ApplyResult]:
    outcomes: dict[Table, ApplyResult] = {}
    for table in Table:
        rows = rows_of(table, NAMES, number=number)
        outcomes[table] = (await store.apply(table, 0, number, rows, after=tuple(outcomes))).result
    await store.finish(0, number, UNCOUNTED)
    return list(outcomes.values())


async def flush_all(store: GuardedStore, flushes: int) -> None:
    for number in range(flushes):
        print(number, *await flush(store, number), flush=True)


def main(port: str, database: str, flushes: str) -> None:
    address = ServerAddress(host="127.0.0.1", port=int(port))
    with ClickHousePool(address, 1, EngineLimits()) as server, ThreadPoolExecutor(1) as threads:
        store = GuardedStore(SqlGuardedEngine(GuardedAsyncSqlClient(server.database(database), threads)))
        print("ready", flush=True)
        sys.stdin.readline()
        asyncio.run(flush_all(store, int(flushes)))


if __name__ == "__main__":
    main(*sys.argv[1:])
