"""A walled-off thread writes only where it may, starts nothing and connects nowhere; other threads are as before."""

import os
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TypeVar

import pytest

from tallyhouse.runtime.write_wall import temporary_folders, wall_off

_Result = TypeVar("_Result")


def in_a_thread(work: Callable[[], _Result]) -> _Result:
    """A wall holds for the rest of its thread's life."""
    results: list[_Result] = []
    thread = threading.Thread(target=lambda: results.append(work()))
    thread.start()
    thread.join()
    return results[0]


def refused(action: Callable[[], object]) -> bool:
    try:
        action()
    except PermissionError:
        return True
    except OSError:
        return False
    return False


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """A folder that may be written, and one that may not, with a file in each."""
    for name in ("own", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "old").write_text("old")
    return tmp_path / "own", tmp_path / "other"


def test_nothing_is_written_elsewhere(folders: tuple[Path, Path]) -> None:
    """Where the system has no wall, the function says so and nothing is refused."""
    own, other = folders
    actions: list[Callable[[], object]] = [
        lambda: (other / "new").write_text("new"),
        lambda: (other / "old").write_text("new"),
        lambda: (other / "old").open("a"),
        (other / "old").unlink,
        (other / "folder").mkdir,
        lambda: (other / "link").symlink_to(own / "old"),
        lambda: (own / "old").rename(other / "moved"),
        lambda: os.mkfifo(other / "fifo"),
        lambda: subprocess.run([sys.executable, "-c", ""], check=True),
    ]

    def attack() -> tuple[bool, list[bool]]:
        walled = wall_off([own])
        return walled, [refused(action) for action in actions] if walled else []

    walled, refusals = in_a_thread(attack)
    assert refusals == ([True] * len(actions) if walled else [])
    if walled:
        assert [path.name for path in other.iterdir()] == ["old"]
        assert (other / "old").read_text() == "old"
    (other / "new").write_text("another thread may")


def test_a_walled_off_thread_still_reads_and_writes_its_own(folders: tuple[Path, Path]) -> None:
    """It creates, replaces, renames and removes files below its folder, and reads everywhere."""
    own, other = folders

    def work() -> str:
        wall_off([own])
        (own / "folder").mkdir()
        (own / "folder" / "new").write_text("new")
        (own / "folder" / "new").rename(own / "moved")
        (own / "old").unlink()
        return (other / "old").read_text()

    assert in_a_thread(work) == "old"
    assert sorted(path.name for path in own.iterdir()) == ["folder", "moved"]


def test_threads_that_it_starts_are_behind_the_wall_too(folders: tuple[Path, Path]) -> None:
    own, other = folders

    def attack() -> bool:
        return not wall_off([own]) or in_a_thread(lambda: refused(lambda: (other / "new").write_text("new")))

    assert in_a_thread(attack)


def test_sqlite_sorts_behind_the_wall(folders: tuple[Path, Path]) -> None:
    """What its cache cannot hold goes to a folder that SQLite chooses, which need not be Python's."""
    own, _ = folders

    def work() -> int:
        wall_off([own, *temporary_folders({})])
        with closing(sqlite3.connect(own / "many.sqlite")) as connection:
            connection.execute("PRAGMA cache_size = 10")
            connection.execute("CREATE TABLE t AS SELECT 1 AS a, '' AS b LIMIT 0")
            connection.executemany("INSERT INTO t VALUES (?, ?)", ((-number, "x" * 500) for number in range(20_000)))
            return len(connection.execute("SELECT a, b FROM t ORDER BY b, a").fetchall())

    assert in_a_thread(work) == 20_000


def test_no_connection_is_opened(folders: tuple[Path, Path]) -> None:
    """A kernel before 6.7 does not control TCP: it refuses no connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def attack() -> bool:
            walled = wall_off(folders)
            controls_tcp = walled and tuple(map(int, os.uname().release.split("-")[0].split(".")[:2])) >= (6, 7)
            attempt = refused(lambda: socket.create_connection(listener.getsockname(), timeout=5).close())
            return attempt == controls_tcp

        assert in_a_thread(attack)


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    def attack() -> bool:
        try:
            return not wall_off([tmp_path / "missing"])
        except FileNotFoundError:
            return True

    assert in_a_thread(attack)
