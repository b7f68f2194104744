"""`python -m tests.bench [--short] --output bench.json`."""

import argparse
import json
import sys
import tempfile
from pathlib import Path

import msgspec

from tallyhouse.load.workload import Workload, WorkloadShape
from tests.bench import billing_api, end_to_end, engine_alone, gateway_alone, invoice_run, machine
from tests.bench.figures import TotalsDiffer, documents


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--short", action="store_true", help="run for about two minutes")
    arguments.add_argument("--output", type=Path, required=True)
    arguments.add_argument("--data", type=Path, help="directory for the data; a temporary one by default")
    arguments.add_argument("--seconds", type=float, help="of sustained load; 60 by default, 15 with --short")
    given = arguments.parse_args()
    seconds = given.seconds or (15 if given.short else 60)
    subscriptions = 2_000 if given.short else 20_000
    with tempfile.TemporaryDirectory(dir=given.data, prefix="tallyhouse-bench-") as data:
        report: dict[str, object] = {"machine": machine.facts(Path(data)), "workload": _workload(seconds)}
        try:
            alone = engine_alone.measure(Path(data), int(seconds) * engine_alone.EVENTS_A_SECOND)
            figures = end_to_end.measure(Path(data) / "whole", seconds, alone)
            figures += gateway_alone.measure(Path(data), seconds / 3)
            figures += billing_api.measure(Path(data) / "billing", seconds / 3)
            figures.append(invoice_run.measure(Path(data) / "run", subscriptions))
        except TotalsDiffer as different:
            print(f"THE TOTALS DIFFER: {different}", file=sys.stderr)
            return 1
    for figure in figures:
        print(figure.line())
    report["figures"] = documents(figures)
    given.output.write_text(json.dumps(report, indent=2, default=str) + "\n")
    return 0


def _workload(seconds: float) -> dict[str, object]:
    sample = Workload(WorkloadShape(), "sample00").batch(1000, 0)
    return {
        "seconds": seconds,
        "batch_events": len(sample),
        "body_bytes": len(sample.body()),
        "event_bytes": sample.rows.shape[1] - 1,
        "fsync": "log: every commit, before the ack (synchronous=FULL); store: every part and its directory",
        "shape": msgspec.to_builtins(WorkloadShape()),
    }


if __name__ == "__main__":
    sys.exit(main())
