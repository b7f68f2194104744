"""The command tree of `tallyhouse`."""

import sys
from typing import Annotated

import typer

from tallyhouse.cli import (
    cluster_mode,
    customers,
    invoices,
    keys,
    load,
    local_cluster,
    log,
    meters,
    plans,
    subscriptions,
)
from tallyhouse.cli.changes import changes
from tallyhouse.cli.printing import print_error
from tallyhouse.cli.repair import repair
from tallyhouse.cli.settings import settings
from tallyhouse.cli.status import status
from tallyhouse.cli.usage import usage
from tallyhouse.cli.verify import verify
from tallyhouse.runtime.environment import process_environment, read_settings
from tallyhouse.runtime.exit_codes import run_with_exit_code


def build() -> typer.Typer:
    app = typer.Typer(
        name="tallyhouse",
        no_args_is_help=True,
        add_completion=True,
        pretty_exceptions_enable=False,
        help="Count every usage event exactly once, price it to the cent, prove both.",
    )
    app.command("serve")(serve)
    app.command("settings")(settings)
    app.add_typer(keys.commands(), name="keys")
    app.add_typer(meters.commands(), name="meters")
    app.add_typer(customers.commands(), name="customers")
    app.add_typer(plans.commands(), name="plans")
    app.add_typer(subscriptions.commands(), name="subscriptions")
    app.add_typer(invoices.commands(), name="invoices")
    app.command("audit")(invoices.audit)
    app.command("changes")(changes)
    app.command("usage")(usage)
    app.command("verify")(verify)
    app.command("status")(status)
    app.add_typer(log.commands(), name="log")
    app.command("repair")(repair)
    app.command("load")(load.load)
    app.command("gateway")(cluster_mode.gateway)
    app.command("worker")(cluster_mode.worker)
    app.command("migrate")(cluster_mode.migrate)
    app.add_typer(cluster_mode.topics(), name="topics")
    app.command("cluster")(local_cluster.cluster)
    app.command("cluster-demo")(local_cluster.cluster_demo)
    return app


def serve(
    check: Annotated[bool, typer.Option("--check", help="Only validate the settings.")] = False,
    clickhouse_port: Annotated[
        str | None, typer.Option(metavar="PORT", help="Overrides TALLYHOUSE_CLICKHOUSE_PORT.")
    ] = None,
) -> None:
    """Run everything on this machine: HTTP API, event processing, storage. Settings come from the environment."""
    environ = dict(process_environment()) | ({"TALLYHOUSE_CLICKHOUSE_PORT": clickhouse_port} if clickhouse_port else {})
    if check:
        read_settings(environ)
        typer.echo("the settings are valid")
        return
    # Imported here: no other command needs the HTTP server and its libraries.
    from tallyhouse.embedded.serve import serve as run  # noqa: PLC0415

    raise typer.Exit(run(environ))


def run() -> None:
    """Runs the command of `sys.argv` and exits with its code."""
    sys.exit(run_with_exit_code(build(), print_error))
