"""Which database has the ledger of a cluster on this machine: PostgreSQL where it can be run, else SQLite."""

from collections.abc import Mapping
from enum import StrEnum

from schemas.errors import Conflict
from tallyhouse.local.cluster_folder import ClusterFolder
from tallyhouse.local.kafka_jars import Tell, ToolMissing
from tallyhouse.local.postgresql import PostgreSql, find_postgresql


class Ledger(StrEnum):
    """What a person may wish for."""

    BEST = "best"
    POSTGRESQL = "postgresql"
    SQLITE = "sqlite"


def choose_ledger(folder: ClusterFolder, wish: Ledger, environ: Mapping[str, str], tell: Tell) -> PostgreSql | None:
    """The server to run, or nothing for SQLite. What the first start chose stays: the ledger is there."""
    there = _ledger_in(folder)
    if there is not None and wish not in (Ledger.BEST, there):
        raise Conflict(f"the ledger of {folder.path} is in {there} already: name another folder with --data")
    if Ledger.SQLITE in (there, wish):
        return None
    try:
        server = PostgreSql(folder.postgresql, find_postgresql(environ), log=folder.log_of("postgresql"))
        server.prepare()
    except ToolMissing as missing:
        if Ledger.POSTGRESQL in (there, wish):
            raise
        tell(f"the ledger is SQLite's, not PostgreSQL's: {missing}")
        return None
    return server


def _ledger_in(folder: ClusterFolder) -> Ledger | None:
    if folder.sqlite.exists():
        return Ledger.SQLITE
    return Ledger.POSTGRESQL if (folder.postgresql / "data").is_dir() else None
