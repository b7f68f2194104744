"""The commands of cluster mode: its processes, and the preparation before their first start."""

from typing import Annotated

import typer

from tallyhouse.cli.printing import print_error
from tallyhouse.runtime.exit_codes import FAILED, MISCONFIGURED

# Each function imports what it runs: no other command needs the clients of Kafka and ClickHouse.

Check = Annotated[
    bool, typer.Option("--check", help="Only validate the settings and connect to the servers they name.")
]
Within = Annotated[
    float, typer.Option("--within", min=0.1, metavar="SECONDS", help="How long --check waits for the servers.")
]
_CHECK_SECONDS = 2.0


def gateway(check: Check = False, within: Within = _CHECK_SECONDS) -> None:
    """Run a gateway: serve the HTTP API with TALLYHOUSE_GATEWAY_WORKERS processes behind one port."""
    if check:
        _check("MIGRATED", within)
        return
    from tallyhouse.cluster.gateway_process import run_gateway  # noqa: PLC0415

    raise typer.Exit(run_gateway())


def worker(check: Check = False, within: Within = _CHECK_SECONDS) -> None:
    """Run a worker: process a share of the log's partitions."""
    if check:
        _check("MIGRATED", within)
        return
    from tallyhouse.cluster.worker import run_worker  # noqa: PLC0415

    raise typer.Exit(run_worker())


def migrate(check: Check = False, within: Within = _CHECK_SECONDS) -> None:
    """Migrate ledger and usage store to this release, and install the configured first admin key. Idempotent."""
    if check:
        _check("ANSWERING", within)
        return
    from tallyhouse.cluster.provisioning import run_migrate  # noqa: PLC0415

    for step in run_migrate():
        typer.echo(step)


def create_topic(check: Check = False, within: Within = _CHECK_SECONDS) -> None:
    """Create the log's topic. An existing topic is only checked."""
    if check:
        _check("BROKERS", within)
        return
    from tallyhouse.cluster.provisioning import run_create_topic  # noqa: PLC0415

    typer.echo("the topic is created" if run_create_topic() else "the topic exists already")
    check_topic()


def check_topic() -> None:
    """Compare the log's topic with the settings. Prints each difference and its remedy; exit code 1 if there is one."""
    from tallyhouse.cluster.provisioning import run_check  # noqa: PLC0415

    differences = run_check()
    for difference in differences:
        print_error(difference)
    if differences:
        raise typer.Exit(FAILED)
    typer.echo("the topic is as the settings say")


def skip_record(
    partition: Annotated[int | None, typer.Argument(help="The partition of the record.")] = None,
    offset: Annotated[int | None, typer.Argument(help="The offset of the record.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Skip the record. This cannot be undone.")] = False,
) -> None:
    """Show a record that is no frame of a gateway, and skip it with --yes. Without arguments, list all of them."""
    from tallyhouse.cluster.provisioning import run_list_foreign, run_skip  # noqa: PLC0415

    if partition is None or offset is None:
        for line in run_list_foreign():
            typer.echo(line)
        return
    for line in run_skip(partition, offset, confirmed=yes):
        typer.echo(line)


def topics() -> typer.Typer:
    group = typer.Typer(no_args_is_help=True, help="Create and check the log's topic.")
    group.command("create")(create_topic)
    group.command("check")(check_topic)
    group.command("skip")(skip_record)
    return group


def _check(level: str, within: float) -> None:
    from tallyhouse.cluster.preflight import CheckLevel, run_check  # noqa: PLC0415

    result = run_check(CheckLevel[level], within)
    for line in result.passed:
        typer.echo(line)
    for error in result.errors:
        print_error(error)
    if result.errors:
        raise typer.Exit(MISCONFIGURED)
