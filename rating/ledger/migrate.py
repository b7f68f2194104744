"""Migrates a ledger's tables to the newest version: idempotent, and safe in concurrent processes."""

from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from rating.ledger.engine import create_engine, transaction
from schemas.errors import Conflict, IdentityChanged

SCRIPTS = Path(__file__).parent / "migrations"

_LOCK = 0x7A11
"""Names the lock under which PostgreSQL lets one process migrate at a time. SQLite has its write lock."""


def migrate(url: str) -> None:
    """Applies the missing migrations in one transaction. Raises IdentityChanged for a ledger of a newer release."""
    engine = create_engine(url)
    try:
        with transaction(engine, write=True) as connection:
            upgrade(connection)
    finally:
        engine.dispose()


def require_newest(url: str) -> None:
    """Raises Conflict if a migration is missing: for a process that shares the ledger and does not migrate it."""
    engine = create_engine(url)
    try:
        with transaction(engine) as connection:
            found = _refuse_newer_version(_config(connection), connection)
    finally:
        engine.dispose()
    if found != set(ScriptDirectory.from_config(_config()).get_heads()):
        raise Conflict("the ledger is not at this release's version: run `tallyhouse migrate` first")


def upgrade(connection: sa.Connection) -> None:
    """Migrates within an open transaction."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
    config = _config(connection)
    _refuse_newer_version(config, connection)
    command.upgrade(config, "head")


def _config(connection: sa.Connection | None = None) -> Config:
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", SCRIPTS.as_posix().replace("%", "%%"))
    return config


def _refuse_newer_version(config: Config, connection: sa.Connection) -> set[str]:
    """The ledger's version. Raises IdentityChanged if a newer release wrote it."""
    known = {revision.revision for revision in ScriptDirectory.from_config(config).walk_revisions()}
    found = set(MigrationContext.configure(connection).get_current_heads())
    if found - known:
        raise IdentityChanged(
            f"the ledger is at version {', '.join(sorted(found))}, which this release does not know: "
            "it was migrated by a newer one; run that release, or restore the backup made before the upgrade"
        )
    return found
