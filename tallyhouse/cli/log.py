"""`tallyhouse log`: compares the log of this machine with its usage store, and mends it."""

import typer

from tallyhouse.runtime.environment import process_environment, read_settings
from tallyhouse.runtime.exit_codes import FAILED

# Each function imports what it runs: no other command needs the engine.


def check() -> None:
    """List what the log lacks. The server must be stopped. Exit code 1 if anything is missing."""
    from tallyhouse.embedded.log_mending import run_check  # noqa: PLC0415

    findings = run_check(read_settings(process_environment()))
    for line in findings.lines():
        typer.echo(line)
    if not findings.is_whole:
        raise typer.Exit(FAILED)


def accept_loss() -> None:
    """Continue without what the log lacks, and print what is lost. The server must be stopped. Cannot be undone."""
    from tallyhouse.embedded.log_mending import run_accept_loss  # noqa: PLC0415

    findings = run_accept_loss(read_settings(process_environment()))
    for line in findings.lines():
        typer.echo(line)
    if not findings.is_whole:
        typer.echo("accepted: the next start continues without them; the old files stay beside the new ones")


def commands() -> typer.Typer:
    group = typer.Typer(no_args_is_help=True, help="Check and mend the log of this machine's data directory.")
    group.command("check")(check)
    group.command("accept-loss")(accept_loss)
    return group
