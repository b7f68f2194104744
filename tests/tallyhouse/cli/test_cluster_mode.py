"""The commands of cluster mode, as an operator types them, with settings of servers that do not exist."""

import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tallyhouse.cli.app import build
from tests.server_process import free_port
from tests.tallyhouse.cli.test_commands import tallyhouse

COMMANDS = (["gateway"], ["worker"], ["migrate"], ["topics", "create"])
STARTED = [["gateway"], *(pytest.param(words, marks=pytest.mark.long) for words in COMMANDS[1:])]
"""As processes of their own."""


def nowhere(tmp_path: Path) -> dict[str, str]:
    """Valid settings of servers that do not exist."""
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
def test_each_command_has_help(command: list[str]) -> None:
    """It needs no settings."""
    run = CliRunner().invoke(build(), [*command, "--help"])
    assert run.exit_code == 0
    assert "Usage" in run.stdout


@pytest.mark.parametrize("command", [*STARTED, ["topics", "check"], ["keys", "bootstrap"]])
def test_all_invalid_settings_are_reported_before_anything_is_tried(command: list[str]) -> None:
    """One start reports the three missing addresses and the misspelt variable."""
    run = tallyhouse(*command, KAFKA_BROKER="one:9092")
    assert run.returncode == 2
    assert [line.split(":")[0] for line in errors(run)] == [
        "TALLYHOUSE_KAFKA_BROKER",
        "TALLYHOUSE_KAFKA_BROKERS",
        "TALLYHOUSE_CLICKHOUSE_URL",
        "TALLYHOUSE_LEDGER_URL",
    ]


@pytest.mark.parametrize("command", STARTED)
def test_a_check_reports_every_server_that_does_not_answer(command: list[str], tmp_path: Path) -> None:
    """The report names each part and no password; the exit code is 2."""
    run = tallyhouse(*command, "--check", **nowhere(tmp_path))
    assert run.returncode == 2
    parts = {line.split(":")[0] for line in errors(run)}
    assert parts == ({"log"} if command[0] == "topics" else {"log", "store", "ledger"})
    assert "sesame" not in run.stdout + run.stderr


def test_a_check_of_embedded_mode_validates_its_settings() -> None:
    assert tallyhouse("serve", "--check").returncode == 0
    assert tallyhouse("serve", "--check", PORT="http").returncode == 2


@pytest.mark.parametrize("command", ["gateway", pytest.param("worker", marks=pytest.mark.long)])
def test_a_process_that_reaches_no_server_ends_after_the_timeout(command: str, tmp_path: Path) -> None:
    """It prints one line that names the missing server."""
    run = tallyhouse(command, **nowhere(tmp_path))
    assert run.returncode == 1
    assert len(errors(run)) == 1
    assert "is a broker up there" in errors(run)[0]


def test_settings_of_a_cluster_are_listed_without_secrets(tmp_path: Path) -> None:
    run = tallyhouse("settings", "--cluster", "--json", **nowhere(tmp_path))
    assert run.returncode == 0, run.stderr
    assert "TALLYHOUSE_KAFKA_TOPIC" in run.stdout
    assert "sesame" not in run.stdout
