"""A single process owns a data directory."""

import fcntl
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from schemas.errors import Conflict, Misconfigured
from tallyhouse.runtime.data_directory import DataDirectory


def test_the_directory_is_created_and_its_lock_released(tmp_path: Path) -> None:
    """The first start needs no preparation, and the next one can lock it again."""
    directory = DataDirectory(tmp_path / "some" / "data")
    for _ in range(2):
        with directory.hold_lock():
            assert directory.path.is_dir()


def test_a_second_owner_is_refused_with_the_number_of_the_first(tmp_path: Path) -> None:
    """Two engines in one directory would destroy it."""
    directory = DataDirectory(tmp_path, orphan_wait_seconds=0)
    with (
        directory.hold_lock(),
        pytest.raises(Conflict, match=f"in use by process {os.getpid()}.*TALLYHOUSE_DATA_DIR"),
        directory.hold_lock(),
    ):
        pass


def test_the_children_of_a_dead_owner_are_waited_for(tmp_path: Path) -> None:
    """A child may outlive its owner for a moment, with the engine open."""
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


def test_an_inherited_descriptor_keeps_the_lock(tmp_path: Path) -> None:
    """Until the child's copy of the descriptor is closed."""
    directory = DataDirectory(tmp_path, orphan_wait_seconds=0.1)
    with directory.hold_lock() as lock:
        inherited = os.dup(lock)
    with pytest.raises(Conflict, match=r"in use by process \d+, or by one that it started"), directory.hold_lock():
        pass
    os.close(inherited)
    with directory.hold_lock():
        pass


def test_an_unusable_directory_is_a_mistake_in_the_settings(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Misconfigured, match="cannot be used"), DataDirectory(tmp_path / "file" / "data").hold_lock():
        pass


def test_links_lead_to_more_folders(tmp_path: Path) -> None:
    """A folder on another disk, a file on another disk, and a link that leads nowhere."""
    for name in ("data", "disk", "other"):
        (tmp_path / name).mkdir()
    (tmp_path / "other" / "log.sqlite").write_text("")
    links = {"store": "disk", "log.sqlite": "other/log.sqlite", "lost": "missing/folder"}
    for name, target in links.items():
        (tmp_path / "data" / name).symlink_to(tmp_path / target)
    folders = DataDirectory(tmp_path / "data").folders
    assert sorted(folder.name for folder in folders) == ["data", "disk", "other"]
