"""`tallyhouse repair`: makes lost parts of this machine's usage store again from its raw events."""

import asyncio
from collections.abc import Callable

from rating.ledger.ledger import open_ledger
from rating.ledger.migrate import migrate
from schemas.errors import Conflict
from schemas.hashing import HASH_NAME
from stream_processors.backends.sql.client import AsyncSqlClient
from stream_processors.backends.sql.identity import StoreIdentity
from stream_processors.backends.sql.log_positions import SqlLogPositions
from stream_processors.backends.sql.repair import SqlRepair
from stream_processors.backends.sql.store_findings import StoreFindings
from stream_processors.backends.sql.store_inspection import StoreInspection
from stream_processors.flushing.backfill import Backfill, BackfillPorts
from stream_processors.ports import BackfillTables, EventHistory, MeterSets
from tallyhouse.embedded.store import open_any_store
from tallyhouse.runtime.clock import now
from tallyhouse.runtime.data_directory import DataDirectory
from tallyhouse.runtime.settings import EmbeddedSettings


def run_repair(
    settings: EmbeddedSettings, report: Callable[[str], None], *, dry_run: bool, all_usage: bool
) -> StoreFindings:
    """Repairs the store, and returns what it lacked; or only looks. Raises Conflict while a server runs.

    May be ended at any moment: the next one continues.
    """
    directory = DataDirectory(settings.data_dir)
    if not directory.store.exists():
        raise Conflict(f"{directory.store} does not exist: there is no usage store to repair")
    if not directory.ledger.exists():
        raise Conflict(f"{directory.ledger} does not exist: nothing can be counted without its meters. Restore it")

    def identity_of(stored: StoreIdentity | None) -> StoreIdentity:
        if stored is None:
            raise Conflict(
                f"the usage store in {directory.store} does not say whose it is: restore all of the data from a backup"
            )
        return StoreIdentity(partitions=settings.partitions, hash_name=HASH_NAME, log_id=stored.log_id)

    with (
        directory.hold_lock(),
        open_ledger(directory.ledger_url, now, prepare=migrate) as ledger,
        open_any_store(directory, identity_of) as (identity, store),
    ):
        return asyncio.run(
            _repair(store, ledger.meters, identity.partitions, report, dry_run=dry_run, all_usage=all_usage)
        )


async def _repair(
    store: AsyncSqlClient,
    meters: MeterSets,
    partitions: int,
    report: Callable[[str], None],
    *,
    dry_run: bool,
    all_usage: bool,
) -> StoreFindings:
    positions = {partition: found.offset for partition, found in (await SqlLogPositions(store).read()).items()}
    findings = await StoreInspection(store, partitions, positions, meters).findings(all_usage=all_usage)
    counted_with = max((int(each.versions[-1]) for each in findings.flushes.values() if len(each.versions)), default=0)
    if counted_with > (newest := await meters.newest_version()):
        raise Conflict(
            f"the ledger has {newest} meter sets, and events were counted with {counted_with}: it is older than the "
            "usage store, and counting again would lose usage. Restore the ledger that belongs to this store"
        )
    for line in findings.lines():
        report(line)
    if findings.has_work and not dry_run:

        async def run_backfills(history: EventHistory, tables: BackfillTables) -> None:
            backfill = Backfill(BackfillPorts(meters=meters, history=history, tables=tables), partitions)
            while await backfill.step():
                pass

        await SqlRepair(store, meters, run_backfills, str(now()), report).mend(findings)
    return findings
