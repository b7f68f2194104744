"""The list of commands."""

import os
import sys
from typing import Annotated

import typer

from ingest_gateway.cli import (
    cluster,
    cluster_demo,
    customers,
    invoice_runs,
    keys,
    load,
    local_cluster,
    meters,
    plans,
    subscriptions,
)
from ingest_gateway.cli.changes import changes
from ingest_gateway.cli.outcome import exit_code_of
from ingest_gateway.cli.settings import settings
from ingest_gateway.cli.status import status
from ingest_gateway.cli.usage import usage
from ingest_gateway.environment import read_settings


def build() -> typer.Typer:
    """The command tree."""
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
    app.add_typer(invoice_runs.commands(), name="invoices")
    app.command("audit")(invoice_runs.audit)
    app.command("changes")(changes)
    app.command("usage")(usage)
    app.command("status")(status)
    app.command("load")(load.load)
    app.command("gateway")(cluster.gateway)
    app.command("worker")(cluster.worker)
    app.command("migrate")(cluster.migrate)
    app.add_typer(cluster.topics(), name="topics")
    app.command("cluster")(local_cluster.cluster)
    app.command("cluster-demo")(cluster_demo.cluster_demo)
    return app


def serve(
    check: Annotated[bool, typer.Option("--check", help="Only see whether the settings are good.")] = False,
    clickhouse_port: Annotated[
        str | None, typer.Option(metavar="PORT", help="The same as TALLYHOUSE_CLICKHOUSE_PORT.")
    ] = None,
) -> None:
    """Run everything on this machine; settings come from the environment."""
    environ = dict(os.environ) | ({"TALLYHOUSE_CLICKHOUSE_PORT": clickhouse_port} if clickhouse_port else {})
    if check:
        read_settings(environ)
        typer.echo("the settings are good")
        return
    # Only here: it loads the store's engine, which no other command needs.
    from ingest_gateway.serve import serve as run  # noqa: PLC0415

    raise typer.Exit(run(environ))


def main() -> None:
    """What `tallyhouse` runs."""
    sys.exit(exit_code_of(build()))
