"""Runs `tallyhouse load` in a process of its own."""

import json
import os
import subprocess
import sys
from typing import Any

from tests.bench.figures import TotalsDiffer
from tests.server_process import KEY

TIMEOUT_SECONDS = 600.0


def load(url: str, **options: float) -> dict[str, Any]:
    """Returns the report of `tallyhouse load`. Raises TotalsDiffer unless it proves its totals."""
    words = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
    return finish(start(url, *words))


def only_send(url: str, **options: float) -> dict[str, Any]:
    """Returns the report without waiting for the count: the caller verifies the totals."""
    words = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
    return finish(start(url, "--only-send", *words))


def start(url: str, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tallyhouse", "load", "--json", "--url", url, "--key", KEY, *words],
        env={name: value for name, value in os.environ.items() if not name.startswith("TALLYHOUSE_")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> dict[str, Any]:
    output, errors = process.communicate(timeout=TIMEOUT_SECONDS)
    if process.returncode:
        raise TotalsDiffer(errors or output)
    summary: dict[str, Any] = json.loads(output)
    return summary
