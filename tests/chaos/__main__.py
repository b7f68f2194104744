"""`python -m tests.chaos --report chaos-report.md`: the long run, with its progress on the terminal."""

import argparse
import os
import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path
from random import SystemRandom

from rich.console import Console
from rich.live import Live
from rich.table import Table

from tallyhouse.local.background_program import ToolMissing
from tallyhouse.local.kafka_jars import find_kafka
from tests.bench import machine
from tests.chaos.fault_plan import FaultKind
from tests.chaos.report import markdown
from tests.chaos.run import ChaosOptions, ChaosOutcome, ChaosProgress, run

KILLS_PER_ZOMBIE = 10


def main() -> int:
    given = _arguments().parse_args()
    console = Console(stderr=True)
    seed = SystemRandom().randrange(10**6) if given.seed is None else given.seed
    zombies = max(given.kills // KILLS_PER_ZOMBIE, 1)
    options = ChaosOptions(events=given.events, kills=given.kills, zombies=zombies, seed=seed, rate=given.rate)
    console.print(
        f"{options.events:,} events, {options.kills} kills, {zombies} zombies; --seed {seed} repeats the plan"
    )
    folder = Path(tempfile.mkdtemp(dir=given.data, prefix="tallyhouse-chaos-"))
    facts = machine.facts(folder)
    try:
        outcome = _run_with_progress(options, folder, console)
    except ToolMissing as missing:
        console.print(str(missing))
        return 1
    except BaseException:
        console.print(f"the run failed; its logs and data are in {folder}")
        raise
    given.report.write_text(markdown(outcome, facts))
    if outcome.differences:
        console.print(*outcome.differences, f"THE COUNTS DIFFER; logs and data are in {folder}", sep="\n")
        return 1
    shutil.rmtree(folder)
    console.print(f"every event counts once; the report is {given.report}")
    return 0


def _arguments() -> argparse.ArgumentParser:
    arguments = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    arguments.add_argument("--events", type=int, default=10_000_000, help="events to send at least")
    arguments.add_argument("--kills", type=int, default=50, help="kills with -9, of all kinds in turn")
    arguments.add_argument("--rate", type=float, default=12_500, help="events per second at most")
    arguments.add_argument("--seed", type=int, help="repeats a plan; random by default")
    arguments.add_argument("--report", type=Path, required=True, help="Markdown file to write")
    arguments.add_argument("--data", type=Path, help="directory for the data; a temporary one by default")
    return arguments


def _run_with_progress(options: ChaosOptions, folder: Path, console: Console) -> ChaosOutcome:
    runtime = find_kafka(os.environ, console.print)
    with Live(console=console, transient=True, refresh_per_second=4) as live:
        live.update("starting a broker, a store, two gateways and two workers")
        return run(options, folder, runtime, lambda progress: live.update(_table(options, progress)))


def _table(options: ChaosOptions, progress: ChaosProgress) -> Table:
    injected_kinds = Counter(injection.fault.kind for injection in progress.injected)
    table = Table("acked", "of", "events/s", "posts again", *FaultKind, "seconds", box=None)
    table.add_row(
        f"{progress.acked:,}",
        f"{options.events:,}",
        f"{progress.acked / max(progress.seconds, 1e-9):,.0f}",
        f"{progress.posts_again:,}",
        *(str(injected_kinds[kind]) for kind in FaultKind),
        f"{progress.seconds:,.0f}",
    )
    return table


if __name__ == "__main__":
    sys.exit(main())
