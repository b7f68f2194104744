"""The list of commands, and what becomes of an error: one line that helps, and an exit code."""

import sys

import typer

from ingest_gateway.cli import keys, load, meters
from ingest_gateway.cli.printing import print_error
from ingest_gateway.cli.settings import settings
from ingest_gateway.cli.status import status
from ingest_gateway.cli.usage import usage
from schemas.errors import Misconfigured, TallyhouseError

FAILED = 1
MISCONFIGURED = 2


def build() -> typer.Typer:
    """The command tree."""
    app = typer.Typer(
        name="tallyhouse",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        help="Count every usage event exactly once, price it to the cent, prove both.",
    )
    app.command("serve")(serve)
    app.command("settings")(settings)
    app.add_typer(keys.commands(), name="keys")
    app.add_typer(meters.commands(), name="meters")
    app.command("usage")(usage)
    app.command("status")(status)
    app.command("load")(load.load)
    return app


def serve() -> None:
    """Run everything in this one process; settings come from the environment."""
    # Only here: it loads the store's engine, which no other command needs.
    from ingest_gateway.serve import serve as run  # noqa: PLC0415

    raise typer.Exit(run())


def main() -> None:
    """What `tallyhouse` runs."""
    try:
        build()()
    except Misconfigured as error:
        for mistake in error.mistakes:
            print_error(mistake)
        sys.exit(MISCONFIGURED)
    except TallyhouseError as error:
        print_error(str(error))
        sys.exit(FAILED)
