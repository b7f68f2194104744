"""Runs a program in the background for as long as anyone holds a file, and no longer.

`python keeper.py HELD RUNNING STOP USER COMMAND…` returns once the program is started. Whoever wants it keeps a shared
lock on HELD. When the last of them is gone, however it went, the kernel has given its lock back and the program is
ended by the signal STOP: its users need not be counted. RUNNING is locked while the program runs, and tells the
keeper's pid and the program's; afterwards, how it ended. USER is `uid:gid` for a program that must not run as root,
else `-`. It uses the standard library alone, so that it starts in a few milliseconds.
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
"""Seconds the program has to end by itself once asked to."""
ENDED = b"ended "
"""What RUNNING begins with afterwards; the exit code follows."""

_WIDTH = 40


def main(held: str, running: str, stop: str, user: str, *command: str) -> None:
    wait_for_start, tell_start = os.pipe()
    state_file = os.open(running, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(state_file, fcntl.LOCK_EX)
    if os.fork():
        # This process is the one the starter waits for; the other has the lock and goes on.
        os.close(tell_start)
        sys.exit(0 if os.read(wait_for_start, 1) else "the program could not be started")
    os.setsid()
    program = _start_program(command, user)
    signal.signal(signal.SIGTERM, lambda _signal, _frame: _end(program, int(stop)))
    Thread(target=_end_when_released, args=(held, program, int(stop)), daemon=True).start()
    _write_state(state_file, f"{os.getpid()} {program.pid}".encode())
    os.write(tell_start, b".")
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
        cwd="/",  # It may not be able to enter the folder we are in.
    )


def _write_state(state_file: int, text: bytes) -> None:
    """At once, over whatever was there: nobody may read half of it."""
    os.pwrite(state_file, text.ljust(_WIDTH), 0)


def _die_with_parent() -> None:
    """Should the keeper itself be killed, the kernel ends the program (on Linux; elsewhere it would stay)."""
    if sys.platform == "linux":
        set_parent_death_signal = 1
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)


def _end(program: "subprocess.Popen[bytes]", stop: int) -> None:
    program.send_signal(signal.SIGCONT)  # one that is stopped would not hear that it shall end
    program.send_signal(stop)


def _end_when_released(held: str, program: "subprocess.Popen[bytes]", stop: int) -> None:
    """Gets the file to itself when nobody holds it any more, and keeps it until this process is gone."""
    fcntl.flock(os.open(held, os.O_RDWR | os.O_CREAT, 0o600), fcntl.LOCK_EX)
    _end(program, stop)
    time.sleep(GRACE)
    program.kill()


if __name__ == "__main__":
    main(*sys.argv[1:])
