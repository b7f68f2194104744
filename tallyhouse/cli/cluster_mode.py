"""The commands of a cluster: its processes, and what is done once before they start."""

from typing import Annotated

import typer

from tallyhouse.cli.printing import print_error
from tallyhouse.runtime.exit_codes import FAILED

# Each body imports what it runs: no other command needs Kafka's client or the store's.

Check = Annotated[
    bool, typer.Option("--check", help="Only see whether the settings are good and all they name answers.")
]


def gateway(check: Check = False) -> None:
    """Take events in and answer questions: TALLYHOUSE_GATEWAY_WORKERS processes behind one port."""
    if check:
        _check("MIGRATED")
        return
    from tallyhouse.cluster.gateway_process import run_gateway  # noqa: PLC0415

    raise typer.Exit(run_gateway())


def worker(check: Check = False) -> None:
    """Count: share the log's partitions with all other workers."""
    if check:
        _check("MIGRATED")
        return
    from tallyhouse.cluster.worker import run_worker  # noqa: PLC0415

    raise typer.Exit(run_worker())


def migrate(check: Check = False) -> None:
    """Bring ledger and usage store to this release, as often as you like; install the first admin key, if it is set."""
    if check:
        _check("ANSWERING")
        return
    from tallyhouse.cluster.provisioning import run_migrate  # noqa: PLC0415

    for step in run_migrate():
        typer.echo(step)


def create_topic(check: Check = False) -> None:
    """Make the log's topic. One that is there is left as it is, and checked."""
    if check:
        _check("BROKERS")
        return
    from tallyhouse.cluster.provisioning import run_create_topic  # noqa: PLC0415

    typer.echo("the topic is made" if run_create_topic() else "the topic is there already")
    check_topic()


def check_topic() -> None:
    """Tell what about the log's topic is not as the settings say, and how to mend it; exit code 1 where anything is."""
    from tallyhouse.cluster.provisioning import run_check  # noqa: PLC0415

    differences = run_check()
    for difference in differences:
        print_error(difference)
    if differences:
        raise typer.Exit(FAILED)
    typer.echo("the topic is as the settings say")


def topics() -> typer.Typer:
    """The group."""
    group = typer.Typer(no_args_is_help=True, help="Make and check the log's topic.")
    group.command("create")(create_topic)
    group.command("check")(check_topic)
    return group


def _check(level: str) -> None:
    from tallyhouse.cluster.preflight import CheckLevel, run_check  # noqa: PLC0415

    for line in run_check(CheckLevel[level]):
        typer.echo(line)
