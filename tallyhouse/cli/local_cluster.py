"""`tallyhouse cluster`: a whole cluster on this machine."""

from pathlib import Path
from typing import Annotated

import typer

from tallyhouse.local.cluster_folder import LedgerChoice
from tallyhouse.runtime.environment import process_environment


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
        typer.Option(
            "--ledger", help="Database of the ledger; `best` is PostgreSQL where it is installed, else SQLite."
        ),
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
