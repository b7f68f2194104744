"""`tallyhouse cluster-demo`: a cluster under load loses a worker, and its totals stay exact."""

import asyncio
import shutil
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from tallyhouse.runtime.environment import process_environment
from tallyhouse.runtime.exit_codes import FAILED, INTERRUPTED


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
