"""The admin key of a machine: what a start says of it, and the way back from a lock-out."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from rating.ledger.ledger import open_ledger
from rating.ledger.migrate import migrate
from schemas.account import ApiKey, Scope
from schemas.errors import Conflict, Misconfigured
from schemas.logger import NullLogger
from tallyhouse.embedded.admin_key import install_admin_key, make_admin_key
from tallyhouse.runtime.data_directory import DataDirectory
from tallyhouse.runtime.environment import read_settings
from tallyhouse.runtime.settings import EmbeddedSettings
from tallyhouse.welcome import FirstStart, LaterStart
from tests.contracts.api_keys import ManualClock
from tests.contracts.commands import command_of

GIVEN = "ak_live_given_by_the_operator_0123456789"
HOLDER = """
import fcntl, os, sys, time
lock = open(sys.argv[1], "a+")
fcntl.flock(lock, fcntl.LOCK_EX)
lock.truncate(0)
lock.write(str(os.getpid()))
lock.flush()
print("held", flush=True)
time.sleep(120)
"""


class Machine:
    """A data directory, as starts and commands see it."""

    def __init__(self, path: Path) -> None:
        self.directory = DataDirectory(path)
        self.clock = ManualClock()

    def settings(self, given: str | None = None) -> EmbeddedSettings:
        return read_settings(
            {"TALLYHOUSE_DATA_DIR": str(self.directory.path)}
            | ({"TALLYHOUSE_BOOTSTRAP_API_KEY": given} if given else {})
        )

    def start(self, given: str | None = None) -> FirstStart | LaterStart:
        async def install() -> FirstStart | LaterStart:
            with open_ledger(self.directory.ledger_url, self.clock, prepare=migrate) as ledger:
                return await install_admin_key(
                    self.settings(given), ledger.accounts, ledger.api_keys, self.clock(), NullLogger()
                )

        return asyncio.run(install())

    def said(self, given: str | None = None) -> str:
        """What a later start says of the key."""
        start = self.start(given)
        assert isinstance(start, LaterStart)
        return start.key

    def make(self, given: str | None = None, *, force: bool = False) -> str | None:
        return make_admin_key(self.settings(given), self.clock, force=force)

    def find(self, token: str) -> ApiKey:
        async def look() -> ApiKey | None:
            with open_ledger(self.directory.ledger_url, self.clock, prepare=migrate) as ledger:
                return await ledger.api_keys.look_up(token)

        found = asyncio.run(look())
        assert found is not None
        return found

    def revoke(self, token: str) -> None:
        key = self.find(token)

        async def revoke() -> None:
            with open_ledger(self.directory.ledger_url, self.clock, prepare=migrate) as ledger:
                await ledger.api_keys.revoke(command_of(key.account), key.id, force=True)

        asyncio.run(revoke())

    @property
    def kept(self) -> str:
        return self.directory.key_file.read_text().strip()


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_a_start_says_where_a_key_is_that_works(machine: Machine) -> None:
    """Of the first start, and at a later one the key's file or its variable."""
    first = machine.start()
    assert isinstance(first, FirstStart)
    assert first.created_key == machine.kept
    assert machine.said() == f"kept in {machine.directory.key_file}"
    assert machine.said(machine.kept) == "the one in TALLYHOUSE_BOOTSTRAP_API_KEY"


def test_a_start_never_names_a_key_that_does_not_work_as_one_that_does(machine: Machine) -> None:
    """Revoked, unknown, or gone: the text says so, and names the way back."""
    machine.start()
    machine.revoke(machine.kept)
    assert "api_key does not work: it was revoked" in machine.said()
    assert "TALLYHOUSE_BOOTSTRAP_API_KEY does not work: it was revoked" in machine.said(machine.kept)
    assert "TALLYHOUSE_BOOTSTRAP_API_KEY does not work: the ledger has other keys" in machine.said(GIVEN)
    machine.directory.key_file.unlink()
    for said in (machine.said(), machine.said(GIVEN)):
        assert "tallyhouse keys bootstrap" in said


def test_a_locked_out_machine_gets_a_key(machine: Machine) -> None:
    """It works at once, is in the key file, and its making is in the audit log of the account."""
    machine.start()
    lost = machine.kept
    machine.revoke(lost)
    made = machine.make()
    assert made is not None
    assert machine.kept == made != lost
    assert machine.find(made).scopes == {Scope.ADMIN, Scope.BACKFILL}
    assert machine.find(made).account == machine.find(lost).account
    assert machine.said() == f"kept in {machine.directory.key_file}"


def test_while_an_admin_key_works_another_is_made_by_force_alone(machine: Machine) -> None:
    machine.start()
    with pytest.raises(Conflict, match="--force"):
        machine.make()
    before = machine.kept
    assert machine.make(force=True) == machine.kept != before


def test_a_given_key_is_installed_or_refused_aloud(machine: Machine) -> None:
    """A new one is installed and not printed; a revoked one never works again."""
    machine.start()
    machine.revoke(machine.kept)
    assert machine.make(GIVEN) is None
    assert machine.said(GIVEN) == "the one in TALLYHOUSE_BOOTSTRAP_API_KEY"
    machine.revoke(GIVEN)
    with pytest.raises(Conflict, match="knows this key already"):
        machine.make(GIVEN)


def test_without_a_ledger_nothing_is_made(machine: Machine) -> None:
    with pytest.raises(Misconfigured, match="tallyhouse serve"):
        machine.make()
    assert not machine.directory.ledger.exists()


def test_a_key_is_made_while_another_process_owns_the_directory(machine: Machine, tmp_path: Path) -> None:
    """As `serve` does while it runs: SQLite lets two processes write, one after the other."""
    machine.start()
    machine.revoke(machine.kept)
    words = [sys.executable, "-c", HOLDER, str(tmp_path / "lock")]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "held\n"
            assert machine.make() == machine.kept
        finally:
            holder.kill()
