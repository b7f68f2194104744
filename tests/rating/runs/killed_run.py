"""A run in a process of its own, to be killed: `python -m tests.rating.runs.killed_run URL AS_OF [EVENTS.json]`."""

import asyncio
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from rating.ledger.ledger import as_it_is, open_ledger
from rating.runs.run import InvoiceRun, Order
from schemas.timestamps import DAY
from tests.rating.runs.counted_usage import CountedUsage, Used


def _now() -> int:
    return time.time_ns() // 1000


async def bill(url: str, as_of: int, events: Sequence[Used]) -> int:
    """How many turns it took. Usage may come late for ever."""
    usage = CountedUsage("tokens", group_by=("model",))
    usage.events += events
    with open_ledger(url, _now, prepare=as_it_is) as ledger:
        run = InvoiceRun(ledger.billing, usage, ledger.meters, late_window=10_000 * DAY)
        return (await run.run(Order(as_of=as_of, run_id="run_killed"))).turns


def _read(paths: Sequence[str]) -> list[Used]:
    return [one for path in paths for one in msgspec.json.decode(Path(path).read_bytes(), type=list[Used])]


if __name__ == "__main__":
    print("running", flush=True)
    print(asyncio.run(bill(sys.argv[1], int(sys.argv[2]), _read(sys.argv[3:]))), flush=True)
