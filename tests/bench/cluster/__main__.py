"""`python -m tests.bench.cluster [--short] [--only PART] --output bench-cluster.json`."""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import msgspec

from tests.bench import machine
from tests.bench.cluster import end_to_end, faust_path, frames, seen_keys
from tests.bench.cluster.pipeline import Size
from tests.bench.figures import Figure, TotalsDiffer, documents

Part = Callable[[Path], list[Figure]]


def main(words: Sequence[str] | None = None) -> int:
    given = _arguments().parse_args(words)
    parts = _parts(given)
    figures: list[Figure] = []
    for name in given.only or parts:
        with tempfile.TemporaryDirectory(dir=given.data, prefix="tallyhouse-bench-") as folder:
            facts = machine.facts(Path(folder))
            try:
                figures += parts[name](Path(folder))
            except TotalsDiffer as different:
                print(f"THE TOTALS DIFFER: {different}", file=sys.stderr)
                return 1
    for figure in figures:
        print(figure.line())
    report = {"machine": facts, "size": msgspec.to_builtins(_size(given)), "figures": documents(figures)}
    given.output.write_text(json.dumps(report, indent=2, default=str) + "\n")
    return 0


def _arguments() -> argparse.ArgumentParser:
    arguments = argparse.ArgumentParser(prog="python -m tests.bench.cluster", description=__doc__)
    arguments.add_argument("--short", action="store_true", help="run for a few minutes")
    arguments.add_argument("--output", type=Path, required=True)
    arguments.add_argument("--data", type=Path, help="directory for the data; a temporary one by default")
    arguments.add_argument("--only", action="append", choices=PARTS, help="one part; may be repeated")
    arguments.add_argument("--seconds", type=float, help="of sustained load; 60 by default, 15 with --short")
    arguments.add_argument("--gateways", type=int, default=1, help="gateway processes, behind one port")
    arguments.add_argument("--workers", type=int, default=1, help="worker processes")
    arguments.add_argument("--partitions", type=int, default=4, help="of the log")
    return arguments


PARTS = ("whole", "frames", "faust", "seen")


def _parts(given: argparse.Namespace) -> Mapping[str, Part]:
    seconds = given.seconds or (15 if given.short else 60)
    progress = partial(_print_line, time.monotonic())
    return {
        "whole": lambda folder: end_to_end.measure(folder, seconds, _size(given), progress),
        "frames": lambda folder: frames.measure(folder, seconds / 3, progress),
        "faust": lambda folder: faust_path.measure(folder, 2_000_000 if given.short else 8_000_000, progress),
        "seen": lambda folder: seen_keys.measure(folder, 2_000_000 if given.short else 50_000_000, progress),
    }


def _size(given: argparse.Namespace) -> Size:
    return Size(gateways=given.gateways, workers=given.workers, partitions=given.partitions)


def _print_line(began: float, line: str) -> None:
    print(f"{time.monotonic() - began:6.0f} s  {line}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
