"""A log or a store from another moment is recognised at every start, until an operator mends it."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.attack.restored_installation import RestoredInstallation

pytestmark = pytest.mark.long


def test_a_log_older_than_the_store_is_refused_until_both_are_restored(tmp_path: Path) -> None:
    """A plain restart once made everything look well, and events accepted at reused offsets were never counted."""
    with RestoredInstallation(tmp_path / "data") as server:
        server.stop()
        server.count_numbered(0, 50)
        server.copy_log(tmp_path / "backup")
        shutil.copytree(server.data / "store", tmp_path / "store", symlinks=True)
        server.count_numbered(50, 50)
        server.copy_log(tmp_path / "newest")
        server.restore_log(tmp_path / "backup")
        for _ in range(2):
            said = server.refused_start()
            assert "the log ends at" in said
            assert "Restore the whole data directory" in said
        code, lines = server.log_command("check")
        assert code == 1
        assert any("are counted, but the log ends at" in line for line in lines)
        server.restore_log(tmp_path / "newest")
        server.start()
        assert server.total("calls") == 100
        assert server.stop() == 0
        server.restore_log(tmp_path / "backup")
        server.restore_store(tmp_path / "store")
        server.start()
        assert server.total("calls") == 50


@pytest.mark.long
def test_an_accepted_loss_is_stated_and_nothing_else_is_lost(tmp_path: Path) -> None:
    """The command names the lost frames; what the old log holds is counted once, and new events are counted."""
    with RestoredInstallation(tmp_path / "data") as server:
        server.stop()
        server.count_numbered(0, 50)
        server.copy_log(tmp_path / "backup")
        server.count_numbered(50, 50)
        server.restore_log(tmp_path / "backup")
        server.refused_start()
        code, lines = server.log_command("accept-loss")
        assert code == 0, lines
        assert any("0 acknowledged frames are lost: none" in line for line in lines)
        assert server.log_command("check") == (0, ["the log is whole"])
        server.count_numbered(90, 60)
        server.start()
        assert server.total("calls") == 150
        assert server.keys_counted() == {str(number) for number in range(150)}


@pytest.mark.long
def test_a_restored_log_that_has_grown_past_the_store_is_refused(tmp_path: Path) -> None:
    """Its offsets tell nothing: its frames are others than those that were counted. Accepted, all of them count."""
    with RestoredInstallation(tmp_path / "data", process_events="yes") as server:
        server.stop()
        server.count_numbered(0, 20)
        server.copy_log(tmp_path / "backup")
        shutil.copytree(server.data / "store", tmp_path / "store", symlinks=True)
        server.count_numbered(20, 40)
        shutil.copytree(server.data / "store", tmp_path / "newest", symlinks=True)
        server.restore_log(tmp_path / "backup")
        server.restore_store(tmp_path / "store")
        # The two belong together, so this start is right to accept. Then the newer store comes back alone.
        with RestoredInstallation(server.data, process_events="no") as accepting:
            accepting.post_numbered(100, 200)
            accepting.stop()
        server.restore_store(tmp_path / "newest")
        for _ in range(2):
            assert "other frames up to" in server.refused_start()
        code, lines = server.log_command("accept-loss")
        assert code == 0, lines
        server.start()
        server.wait_until_counted()
        expected = {str(number) for number in (*range(60), *range(100, 300))}
        assert server.keys_counted() == expected
        assert server.total("calls") == len(expected)


@pytest.mark.long
def test_a_store_older_than_its_log_is_refused_if_frames_are_gone(tmp_path: Path) -> None:
    """Frames that were counted are deleted: the older store would count with a gap."""
    with RestoredInstallation(tmp_path / "data") as server:
        server.stop()
        server.count_numbered(0, 20)
        shutil.copytree(server.data / "store", tmp_path / "store", symlinks=True)
        server.count_numbered(20, 40)
        server.restore_store(tmp_path / "store")
        for _ in range(2):
            assert "not counted and no longer in the log" in server.refused_start()
        code, lines = server.log_command("accept-loss")
        assert code == 0, lines
        assert any("acknowledged frames are lost:" in line and "none" not in line for line in lines)
        server.count_numbered(20, 45)
        server.start()
        assert server.total("calls") == 65


@pytest.mark.long
def test_a_store_older_than_its_log_counts_again_what_the_log_holds(tmp_path: Path) -> None:
    with RestoredInstallation(tmp_path / "data") as server:
        server.stop()
        server.count_numbered(0, 20)
        shutil.copytree(server.data / "store", tmp_path / "store", symlinks=True)
        with RestoredInstallation(server.data, process_events="no") as accepting:
            accepting.post_numbered(20, 40)
            accepting.stop()
        server.copy_log(tmp_path / "held")
        server.count_numbered(60, 10)
        server.restore_store(tmp_path / "store")
        server.restore_log(tmp_path / "held")
        server.start()
        server.wait_until_counted()
        assert server.total("calls") == 60


@pytest.mark.long
@pytest.mark.parametrize("loss", ["another installation's", "deleted"])
def test_another_log_is_refused(tmp_path: Path, loss: str) -> None:
    """The log of another installation, and a log that is gone."""
    with RestoredInstallation(tmp_path / "data") as server, RestoredInstallation(tmp_path / "other") as other:
        server.stop()
        other.stop()
        server.count_numbered(0, 20)
        other.count_numbered(0, 30)
        other.copy_log(tmp_path / "backup")
        (tmp_path / "empty").mkdir()
        server.restore_log(tmp_path / ("backup" if loss == "another installation's" else "empty"))
        for _ in range(2):
            assert "belongs to another log" in server.refused_start()


@pytest.mark.long
def test_a_damaged_frame_is_refused_and_nothing_else_is_lost(tmp_path: Path) -> None:
    """The command names the one frame; all others are counted."""
    with RestoredInstallation(tmp_path / "data", process_events="no") as accepting:
        accepting.make_meter("calls")
        accepting.post_numbered(0, 40)
        assert accepting.stop() == 0
    with closing(sqlite3.connect(tmp_path / "data" / "log.sqlite", isolation_level=None)) as log:
        payload, place = log.execute("SELECT payload, place FROM frames ORDER BY place LIMIT 1 OFFSET 3").fetchone()
        damaged = payload[:-1] + bytes([payload[-1] ^ 1])
        log.execute("UPDATE frames SET payload = ? WHERE place = ?", (damaged, place))
    server = RestoredInstallation(tmp_path / "data")
    for _ in range(2):
        assert "frame 3 is damaged" in server.refused_start()
    code, lines = server.log_command("check")
    assert (code, [line for line in lines if "are lost" in line]) == (
        1,
        ["partition 0: 1 acknowledged frames are lost: 3"],
    )
    assert server.log_command("accept-loss")[0] == 0
    with server:
        server.wait_until_counted()
        assert 35 <= server.total("calls") < 40
        server.post_numbered(0, 40)
        server.wait_until_counted()
        assert server.total("calls") == 40
