"""Runs a program in the background for as long as any process holds a file, and no longer.

`python watchdog.py HELD RUNNING STOP USER COMMAND…` returns once the program is started. Each user of the program keeps
a shared lock on HELD. When the last user has ended, in whatever way, the kernel has released its lock, and the watchdog
ends the program with the signal STOP. RUNNING is locked while the program runs and contains the pids of watchdog and
program; afterwards, the exit code. USER is `uid:gid` for a program that must not run as root, and `-` otherwise. This
module imports the standard library alone, so that it starts in a few milliseconds.
"""

import ctypes
import fcntl
import os
import signal
import subprocess
import sys
import time
from threading import Thread

GRACE = 20
"""Seconds between the signal STOP and a kill."""
ENDED = b"ended "
"""The start of RUNNING after the program's end; the exit code follows."""

_WIDTH = 40


def main(held: str, running: str, stop: str, user: str, *command: str) -> None:
    wait_for_start, report_start = os.pipe()
    state_file = os.open(running, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(state_file, fcntl.LOCK_EX)
    if os.fork():
        # The starter waits for this process; the child has the lock and keeps running.
        os.close(report_start)
        sys.exit(0 if os.read(wait_for_start, 1) else "the program could not be started")
    os.setsid()
    program = _start_program(command, user)
    signal.signal(signal.SIGTERM, lambda _signal, _frame: _end(program, int(stop)))
    Thread(target=_end_when_released, args=(held, program, int(stop)), daemon=True).start()
    _write_state(state_file, f"{os.getpid()} {program.pid}".encode())
    os.write(report_start, b".")
    _write_state(state_file, ENDED + b"%d" % program.wait())


def _start_program(command: tuple[str, ...], user: str) -> "subprocess.Popen[bytes]":
    # A function between fork and exec is safe here: there are no threads yet.
    if user == "-":
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, preexec_fn=_die_with_parent)  # noqa: PLW1509, S603
    uid, gid = map(int, user.split(":"))
    return subprocess.Popen(  # noqa: S603
        command,
        stdin=subprocess.DEVNULL,
        preexec_fn=_die_with_parent,  # noqa: PLW1509
        user=uid,
        group=gid,
        extra_groups=[],
        cwd="/",  # The user may not be able to enter the current folder.
    )


def _write_state(state_file: int, text: bytes) -> None:
    # One write over the whole old text: readers never see half of it.
    os.pwrite(state_file, text.ljust(_WIDTH), 0)


def _die_with_parent() -> None:
    """Makes the kernel end the program if the watchdog is killed (on Linux; elsewhere the program would stay)."""
    if sys.platform == "linux":
        set_parent_death_signal = 1
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)


def _end(program: "subprocess.Popen[bytes]", stop: int) -> None:
    program.send_signal(signal.SIGCONT)  # A stopped program would not handle the signal.
    program.send_signal(stop)


def _end_when_released(held: str, program: "subprocess.Popen[bytes]", stop: int) -> None:
    """Ends the program when no process holds the file any more, and keeps the lock until this process ends."""
    fcntl.flock(os.open(held, os.O_RDWR | os.O_CREAT, 0o600), fcntl.LOCK_EX)
    _end(program, stop)
    time.sleep(GRACE)
    program.kill()


if __name__ == "__main__":
    main(*sys.argv[1:])
