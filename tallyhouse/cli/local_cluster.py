"""`tallyhouse cluster` and `cluster-demo`: a whole cluster on this machine; the demo kills one of its workers."""

import asyncio
import shutil
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from tallyhouse.local.cluster_folder import LedgerChoice
from tallyhouse.runtime.environment import process_environment
from tallyhouse.runtime.exit_codes import FAILED, INTERRUPTED


def cluster(
    data: Annotated[Path, typer.Option("--data", help="Folder of all data and logs.")] = Path("cluster-data"),
    gateways: Annotated[
        int, typer.Option("--gateways", min=1, max=16, help="Number of gateways, on the ports from TALLYHOUSE_PORT on.")
    ] = 2,
    workers: Annotated[
        int,
        typer.Option(
            "--workers",
            min=1,
            max=16,
            help="Number of workers, with metrics on the ports from TALLYHOUSE_METRICS_PORT on.",
        ),
    ] = 2,
    ledger: Annotated[
        LedgerChoice,
        typer.Option("--ledger", help="Database of the ledger; `best` is PostgreSQL if it is installed, else SQLite."),
    ] = LedgerChoice.BEST,
) -> None:
    """Run a cluster on this machine, without containers: Kafka, usage store, PostgreSQL, gateways and workers."""
    # Imported here: no other command needs these modules.
    from tallyhouse.local.cluster import LocalClusterOptions  # noqa: PLC0415
    from tallyhouse.local.runner import run_cluster  # noqa: PLC0415

    options = LocalClusterOptions(folder=data, gateways=gateways, workers=workers, ledger=ledger)
    raise typer.Exit(run_cluster(options, process_environment(), _notify))


def _notify(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - for the person who started the command


def cluster_demo(
    events: Annotated[int, typer.Option("--events", min=1000, max=10_000_000, help="Events to send.")] = 300_000,
    seconds: Annotated[float, typer.Option("--seconds", min=1, help="Time over which they are spread.")] = 25,
) -> None:
    """Start a cluster, load it, kill a worker with -9 meanwhile, and prove the totals. Exit code 1 if one differs."""
    # Imported here: no other command needs these modules.
    from tallyhouse.cli.failover_demo import run_failover_demo  # noqa: PLC0415
    from tallyhouse.local.runner import run_until_signal  # noqa: PLC0415

    console = Console(soft_wrap=True, highlight=False)
    folder = Path(tempfile.mkdtemp(prefix="tallyhouse-demo-"))
    folder.chmod(0o711)  # PostgreSQL may have to run as another user, who needs to enter the folder.
    demo = run_failover_demo(console, folder / "data", process_environment(), events, seconds)
    code = FAILED
    try:
        code = asyncio.run(run_until_signal(demo, console.print, stopped=INTERRUPTED))
    finally:
        if code == FAILED:
            console.print(f"the cluster's data and logs are kept in {folder}")
        else:
            shutil.rmtree(folder)
    raise typer.Exit(code)
