"""The worker's entry: ignores signals before it loads anything, because Ctrl-C reaches the worker too.

The worker stays in the gateway's session: a system may share its processors among sessions first, and niceness then
counts only within one session.
"""

import ctypes
import signal
import sys

NO_PORT = "-"
"""In place of the descriptor of the listening socket for ClickHouse clients."""


def main() -> int:
    """Runs until the gateway stops the worker; returns the exit code."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    _die_with_gateway()
    try:
        has_wall = sys.argv[2] == NO_PORT or _build_wall()
    except OSError as error:
        from tallyhouse.runtime.exit_codes import FAILED, print_error_line  # noqa: PLC0415 - after the signals

        print_error_line(f"{error}: start without TALLYHOUSE_CLICKHOUSE_PORT, or mend that")
        return FAILED
    from tallyhouse.embedded import worker_process  # noqa: PLC0415 - loading it takes a second

    return worker_process.main(has_wall=has_wall)


def _die_with_gateway() -> None:
    """Makes the kernel end the worker with its gateway (on Linux). It ends by itself too, but not while it is stopped,
    and until then it holds the data, so that no other server could start."""
    if sys.platform == "linux":
        set_parent_death_signal = 1
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)


def _build_wall() -> bool:
    """Strangers' statements run in this process: it can write to its folders alone. False if the system has no walls.

    The engine's library starts threads when it is loaded, so the wall comes first: threads that exist stay outside.
    """
    from tallyhouse.runtime.data_directory import DataDirectory  # noqa: PLC0415 - after the signals
    from tallyhouse.runtime.environment import process_environment, read_settings  # noqa: PLC0415 - as above
    from tallyhouse.runtime.write_wall import temporary_folders, wall_off  # noqa: PLC0415 - as above

    environ = process_environment()
    directory = DataDirectory(read_settings(environ).data_dir)
    return wall_off([*directory.folders, *temporary_folders(environ)])


if __name__ == "__main__":
    sys.exit(main())
