"""The worker's first step, before it loads anything: Ctrl-C reaches it too, and is not for it.

It stays in the gateway's session, for a system may share its processors among sessions first: who goes first is then
asked only within one.
"""

import signal
import sys


def main() -> int:
    """The exit code, once stopped."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    from tallyhouse.embedded import worker_process  # noqa: PLC0415 - loading it takes a second

    return worker_process.main()


if __name__ == "__main__":
    sys.exit(main())
