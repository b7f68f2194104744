"""The worker's entry: ignores signals before it loads anything, because Ctrl-C reaches the worker too.

The worker stays in the gateway's session: a system may share its processors among sessions first, and niceness then
counts only within one session.
"""

import signal
import sys


def main() -> int:
    """Runs until the gateway stops the worker; returns the exit code."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    from tallyhouse.embedded import worker_process  # noqa: PLC0415 - loading it takes a second

    return worker_process.main()


if __name__ == "__main__":
    sys.exit(main())
