"""`tallyhouse repair`: makes lost parts of the usage store again from the raw events."""

from typing import Annotated

import typer

from tallyhouse.runtime.environment import process_environment, read_settings
from tallyhouse.runtime.exit_codes import FAILED


def repair(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list what is lost and would be made again.")] = False,
    usage: Annotated[
        bool, typer.Option("--usage", help="Count all usage again, for instance after `verify` found a difference.")
    ] = False,
) -> None:
    """Make usage, seen keys, flushes and rejects again from the raw events, after a part of the store was lost.

    The server must be stopped. May be interrupted and run again at any time. Exit code 1 if anything cannot be
    repaired, and with --dry-run if anything is lost.
    """
    # Imported here: no other command needs the engine.
    from tallyhouse.embedded.repair import run_repair  # noqa: PLC0415

    settings = read_settings(process_environment())
    findings = run_repair(settings, typer.echo, dry_run=dry_run, all_usage=usage)
    if findings.lost:
        typer.echo("what cannot be repaired stays an alarm at the start: restore the data directory from a backup")
    elif findings.has_work and not dry_run:
        typer.echo("repaired: start the server, and run `tallyhouse verify`")
    if findings.lost or (dry_run and findings.has_work):
        raise typer.Exit(FAILED)
