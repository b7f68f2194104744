"""The admin key of embedded mode: installed at the first start, checked at later ones, made again on the machine."""

import asyncio
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from ingest_gateway.ports import Accounts
from rating.ledger.api_keys import SqlApiKeys
from rating.ledger.ledger import open_ledger
from rating.ledger.migrate import migrate, require_newest
from schemas.account import Scope
from schemas.errors import Conflict, Misconfigured
from schemas.logger import Logger
from tallyhouse.runtime.data_directory import DataDirectory
from tallyhouse.runtime.settings import EmbeddedSettings
from tallyhouse.welcome import FirstStart, LaterStart

VARIABLE = "TALLYHOUSE_BOOTSTRAP_API_KEY"
_WAY_BACK = "`tallyhouse keys bootstrap` makes an admin key if none is left"


async def install_admin_key(
    settings: EmbeddedSettings, accounts: Accounts, keys: SqlApiKeys, now: int, logger: Logger
) -> FirstStart | LaterStart:
    """Installs the admin key in a ledger without keys. A key generated here is also written to the key file.

    In a ledger with keys, a key of the variable or the file that does not work is named in the log and the welcome.
    """
    made = await accounts.bootstrap(settings.bootstrap_api_key)
    if made is not None:
        if settings.bootstrap_api_key is not None:
            return FirstStart(created_key=None)
        DataDirectory(settings.data_dir).write_key_file(made[1])
        return FirstStart(created_key=made[1])
    file = settings.key_file.absolute()
    token = settings.bootstrap_api_key or _read(file)
    if token is None:
        return LaterStart(key=f"one that was made before; {file} does not exist, and {_WAY_BACK}")
    fault = await _fault_of(token, keys, now)
    is_of_file = settings.bootstrap_api_key is None
    if fault is None:
        return LaterStart(key=f"kept in {file}" if is_of_file else f"the one in {VARIABLE}")
    place = str(file) if is_of_file else VARIABLE
    logger.error("the admin key of this machine does not work", place=place, reason=fault)
    return LaterStart(key=f"the one in {place} does not work: {fault}; {_WAY_BACK}")


def _read(file: Path) -> str | None:
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return None


async def _fault_of(token: str, keys: SqlApiKeys, now: int) -> str | None:
    """Why the key is no valid admin key of the ledger; None if it is one."""
    key = await keys.look_up(token)
    if key is None:
        return "the ledger has other keys, and does not know this one"
    if key.revoked_at is not None:
        return "it was revoked"
    if key.has_expired(now):
        return "it has expired"
    return None if Scope.ADMIN in key.scopes else "it lacks the scope 'admin'"


def make_admin_key(settings: EmbeddedSettings, clock: Callable[[], int], *, force: bool) -> str | None:
    """Makes an admin key in the ledger of the data directory, whether `serve` runs or not.

    Returns its secret, which is in the key file too; None if the key is that of the variable. Raises Conflict while
    another admin key works, unless forced.
    """
    directory = DataDirectory(settings.data_dir)
    if not directory.ledger.is_file():
        raise Misconfigured(
            [f"there is no ledger in {settings.data_dir.absolute()}: `tallyhouse serve` makes it, with its first key"]
        )
    with ExitStack() as opened:
        prepare = migrate
        try:
            opened.enter_context(directory.hold_lock())
        except Conflict:
            prepare = require_newest  # `serve` runs and has migrated; SQLite lets other processes write.
        ledger = opened.enter_context(open_ledger(directory.ledger_url, clock, prepare=prepare))
        _, token = asyncio.run(ledger.accounts.make_admin_key(settings.bootstrap_api_key, force=force))
    if settings.bootstrap_api_key is not None:
        return None
    directory.write_key_file(token)
    return token
