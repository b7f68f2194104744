"""The commands of a cluster as an operator types them, where nothing is there to answer."""

import subprocess
from pathlib import Path

import pytest

from tests.server_process import free_port
from tests.tallyhouse.cli.test_commands import tallyhouse

COMMANDS = (["gateway"], ["worker"], ["migrate"], ["topics", "create"])


def nowhere(tmp_path: Path) -> dict[str, str]:
    """Settings that are good, of servers that are not there."""
    return {
        "KAFKA_BROKERS": f"127.0.0.1:{free_port()}",
        "CLICKHOUSE_URL": f"http://127.0.0.1:{free_port()}",
        "LEDGER_URL": f"postgresql://tally:sesame@127.0.0.1:{free_port()}/tally",
        "CONNECT_TIMEOUT": "2s",
        "PORT": "0",
        "METRICS_PORT": "0",
    }


def errors(run: subprocess.CompletedProcess[str]) -> list[str]:
    assert "Traceback" not in run.stderr
    return [line.removeprefix("error: ") for line in run.stderr.splitlines() if line.startswith("error: ")]


@pytest.mark.parametrize("command", [[], *COMMANDS, ["topics"], ["topics", "check"], ["keys", "bootstrap"]])
def test_each_explains_itself(command: list[str]) -> None:
    """Without settings, and without loading what it would run."""
    run = tallyhouse(*command, "--help")
    assert run.returncode == 0
    assert "Usage" in run.stdout


@pytest.mark.parametrize("command", [*COMMANDS, ["topics", "check"], ["keys", "bootstrap"]])
def test_all_wrong_settings_are_told_before_anything_is_tried(command: list[str]) -> None:
    """The three addresses are missed, and the typing mistake is seen, in one start."""
    run = tallyhouse(*command, KAFKA_BROKER="one:9092")
    assert run.returncode == 2
    assert [line.split(":")[0] for line in errors(run)] == [
        "TALLYHOUSE_KAFKA_BROKER",
        "TALLYHOUSE_KAFKA_BROKERS",
        "TALLYHOUSE_CLICKHOUSE_URL",
        "TALLYHOUSE_LEDGER_URL",
    ]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_check_tells_all_that_does_not_answer(command: list[str], tmp_path: Path) -> None:
    """Each part by name, soon, with exit code 2, and no password among the words."""
    run = tallyhouse(*command, "--check", **nowhere(tmp_path))
    assert run.returncode == 2
    parts = {line.split(":")[0] for line in errors(run)}
    assert parts == ({"log"} if command[0] == "topics" else {"log", "store", "ledger"})
    assert "sesame" not in run.stdout + run.stderr


def test_a_check_of_the_one_process_reads_its_settings() -> None:
    """It names no other servers."""
    assert tallyhouse("serve", "--check").returncode == 0
    assert tallyhouse("serve", "--check", PORT="http").returncode == 2


@pytest.mark.parametrize("command", ["gateway", "worker"])
def test_who_cannot_reach_the_others_gives_up_in_time(command: str, tmp_path: Path) -> None:
    """With one line that says what is missing; whoever keeps processes running starts it again."""
    run = tallyhouse(command, **nowhere(tmp_path))
    assert run.returncode == 1
    assert len(errors(run)) == 1
    assert "is a broker up there" in errors(run)[0]


def test_settings_of_a_cluster_are_listed_without_secrets(tmp_path: Path) -> None:
    """With the same command as those of the one process."""
    run = tallyhouse("settings", "--cluster", "--json", **nowhere(tmp_path))
    assert run.returncode == 0, run.stderr
    assert "TALLYHOUSE_KAFKA_TOPIC" in run.stdout
    assert "sesame" not in run.stdout
