"""Which database has the ledger of a cluster on this machine: PostgreSQL where it can be run, else SQLite."""

from collections.abc import Mapping
from enum import StrEnum

from schemas.errors import Conflict
from tallyhouse.local.cluster_folder import ClusterFolder
from tallyhouse.local.kafka_jars import Notify, ToolMissing
from tallyhouse.local.postgresql import PostgreSql, find_postgresql


class LedgerChoice(StrEnum):
    """What a person may wish for."""

    BEST = "best"
    POSTGRESQL = "postgresql"
    SQLITE = "sqlite"


def choose_ledger(
    folder: ClusterFolder, choice: LedgerChoice, environ: Mapping[str, str], notify: Notify
) -> PostgreSql | None:
    """The server to run, or nothing for SQLite. What the first start chose stays: the ledger is there."""
    there = _ledger_in(folder)
    if there is not None and choice not in (LedgerChoice.BEST, there):
        raise Conflict(f"the ledger of {folder.path} is in {there} already: name another folder with --data")
    if LedgerChoice.SQLITE in (there, choice):
        return None
    try:
        server = PostgreSql(folder.postgresql, find_postgresql(environ), log=folder.log_of("postgresql"))
        server.prepare()
    except ToolMissing as missing:
        if LedgerChoice.POSTGRESQL in (there, choice):
            raise
        notify(f"the ledger is SQLite's, not PostgreSQL's: {missing}")
        return None
    return server


def _ledger_in(folder: ClusterFolder) -> LedgerChoice | None:
    if folder.sqlite.exists():
        return LedgerChoice.SQLITE
    return LedgerChoice.POSTGRESQL if (folder.postgresql / "data").is_dir() else None
