"""`tallyhouse load`: the command line of the load generator."""

from typing import Annotated

import typer

from tallyhouse.cli.client import AsJson, Key, Url, find_key, find_url
from tallyhouse.runtime.exit_codes import FAILED


def load(
    events: Annotated[int, typer.Option("--events", min=1, max=90_000_000, help="Maximum number of events.")] = 100_000,
    seconds: Annotated[float | None, typer.Option("--seconds", min=0.1, help="Stop after this time.")] = None,
    batch: Annotated[
        int,
        typer.Option("--batch", min=1, max=10_000, help="Events per post; 1 posts single events."),
    ] = 1000,
    connections: Annotated[int, typer.Option("--connections", min=1, max=1000, help="Concurrent posts.")] = 16,
    rate: Annotated[float | None, typer.Option("--rate", min=1, help="Events per second. Default: no limit.")] = None,
    customers: Annotated[
        int,
        typer.Option("--customers", min=1, max=10_000, help="Number of customers; the largest has 35 % of the events."),
    ] = 10_000,
    seed: Annotated[int, typer.Option("--seed", help="The same seed always generates the same events.")] = 1,
    timeout: Annotated[
        float,
        typer.Option("--patience", help="Seconds to wait for an acknowledgement or the count."),
    ] = 120,
    only_send: Annotated[bool, typer.Option("--only-send", help="Neither wait for the count nor prove it.")] = False,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Send events and prove that the usage equals what was sent. Exit code 1 if it does not."""
    # Imported here: no other command needs it.
    from tallyhouse.cli.load_run import LoadOptions, send_and_prove  # noqa: PLC0415

    options = LoadOptions(
        url=find_url(url),
        key=find_key(key),
        events=events,
        seconds=seconds,
        batch=batch,
        connections=connections,
        rate=rate,
        customers=customers,
        seed=seed,
        timeout=timeout,
        only_send=only_send,
        as_json=as_json,
    )
    if not send_and_prove(options):
        raise typer.Exit(FAILED)
