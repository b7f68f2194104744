"""Exit codes of every command and process, and the one place that turns an error into a code."""

import sys
from collections.abc import Callable

from schemas.errors import Misconfigured, TallyhouseError

FAILED = 1
"""The work failed and the error is printed. A supervisor does not restart a process whose very first start failed."""

MISCONFIGURED = 2
"""The settings are invalid: a restart cannot help."""

INTERRUPTED = 130
"""Stopped by Ctrl-C before the work was done."""

KILLED = 137
"""Ended at once, without any cleanup, as SIGKILL does."""


def print_error_line(message: str) -> None:
    print(f"error: {message}", file=sys.stderr)  # noqa: T201 - for the person who started the process


def run_with_exit_code(work: Callable[[], int], print_error: Callable[[str], None] = print_error_line) -> int:
    """Returns the exit code of `work`. Prints a TallyhouseError, one line for each message, and returns its code."""
    try:
        return work()
    except Misconfigured as error:
        for message in error.errors:
            print_error(message)
        return MISCONFIGURED
    except TallyhouseError as error:
        print_error(str(error))
        return FAILED
