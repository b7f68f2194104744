"""A run in a process of its own, over and over, to be killed: `python -m tests.rating.runs.killed_run URL AS_OF`."""

import asyncio
import sys
import time

from rating.ledger.opening import open_ledger
from rating.runs.run import InvoiceRun, Order
from tests.rating.runs.counted_usage import CountedUsage


def _now() -> int:
    return time.time_ns() // 1000


async def bill(url: str, as_of: int) -> int:
    """How many turns it took."""
    usage = CountedUsage("tokens", group_by=("model",))
    with open_ledger(url, _now, prepare=lambda _url: None) as ledger:
        run = InvoiceRun(ledger.billing, usage, ledger.meters)
        return (await run.run(Order(as_of=as_of, run_id="run_killed"))).turns


if __name__ == "__main__":
    print("running", flush=True)
    print(asyncio.run(bill(sys.argv[1], int(sys.argv[2]))), flush=True)
