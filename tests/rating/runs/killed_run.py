"""A run in a separate process, to be killed: `python -m tests.rating.runs.killed_run URL AS_OF [EVENTS.json]`."""

import asyncio
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from rating.ledger.ledger import open_ledger, skip_migration
from rating.runs.run import InvoiceRun, RunParameters
from schemas.timestamps import DAY
from tests.rating.runs.counted_usage import CountedUsage, UsageEvent


def _now() -> int:
    return time.time_ns() // 1000


async def bill(url: str, as_of: int, events: Sequence[UsageEvent]) -> int:
    """The number of steps that the run applied. Late usage is never too late."""
    usage = CountedUsage("tokens", group_by=("model",))
    usage.events += events
    with open_ledger(url, _now, prepare=skip_migration) as ledger:
        run = InvoiceRun(ledger.billing, usage, ledger.meters, late_window=10_000 * DAY)
        return (await run.run(RunParameters(as_of=as_of, run_id="run_killed"))).turns


def _read(paths: Sequence[str]) -> list[UsageEvent]:
    return [one for path in paths for one in msgspec.json.decode(Path(path).read_bytes(), type=list[UsageEvent])]


if __name__ == "__main__":
    print("running", flush=True)
    print(asyncio.run(bill(sys.argv[1], int(sys.argv[2]), _read(sys.argv[3:]))), flush=True)
