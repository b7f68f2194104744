"""One process owns a data directory."""

import fcntl
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from schemas.errors import Conflict, Misconfigured
from tallyhouse.runtime.data_directory import DataDirectory


def test_it_is_made_and_given_back(tmp_path: Path) -> None:
    """The first start needs no preparation, the next one finds it free."""
    directory = DataDirectory(tmp_path / "some" / "data")
    for _ in range(2):
        with directory.hold_lock():
            assert directory.path.is_dir()


def test_a_second_owner_is_told_who_has_it(tmp_path: Path) -> None:
    """Two engines on one directory would destroy it."""
    with (
        DataDirectory(tmp_path).hold_lock(),
        pytest.raises(Conflict, match=f"in use by process {os.getpid()}.*TALLYHOUSE_DATA_DIR"),
        DataDirectory(tmp_path).hold_lock(),
    ):
        pass


def test_an_owner_that_is_dead_is_waited_for(tmp_path: Path) -> None:
    """Who worked for it may live a moment longer, and has the engine open until then."""
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    with (tmp_path / "lock").open("a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.write(f"{dead.pid}\n")
        lock.flush()
        left = threading.Event()

        def leave() -> None:
            left.set()
            fcntl.flock(lock, fcntl.LOCK_UN)

        leaving = threading.Timer(0.2, leave)
        leaving.start()
        with DataDirectory(tmp_path).hold_lock():
            assert left.is_set()
        leaving.join()


def test_who_works_for_an_owner_keeps_others_out(tmp_path: Path) -> None:
    """Until its own copy of the descriptor is closed."""
    directory = DataDirectory(tmp_path)
    with directory.hold_lock() as lock:
        kept = os.dup(lock)
    with pytest.raises(Conflict, match="in use by process"), directory.hold_lock():
        pass
    os.close(kept)
    with directory.hold_lock():
        pass


def test_a_place_that_cannot_be_is_a_mistake_in_the_settings(tmp_path: Path) -> None:
    """Said before anything is opened."""
    (tmp_path / "file").write_text("")
    with pytest.raises(Misconfigured, match="cannot be used"), DataDirectory(tmp_path / "file" / "data").hold_lock():
        pass
