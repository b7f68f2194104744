"""Takes from a thread what it does not need: writing elsewhere, starting programs, and opening TCP connections.

The kernel enforces it (Landlock, Linux 5.19 and later), whatever the code in the thread does. It holds for every thread
and process that the thread starts, and cannot be undone.
"""

import ctypes
import os
import struct
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_REPORT_VERSION = 1
_PATH_BENEATH = 1
_NO_NEW_PRIVILEGES = 38

_EXECUTE, _WRITE_FILE = 1 << 0, 1 << 1
_CHANGE_FOLDERS = sum(1 << bit for bit in range(4, 13))
"""Removing files and folders, and creating files of every kind."""
_BY_VERSION = {2: 1 << 13, 3: 1 << 14, 5: 1 << 15}
"""Since which version the kernel controls moves between folders, truncation, and commands to devices."""
_SQLITE_FOLDERS = ("/var/tmp", "/usr/tmp", "/tmp")  # noqa: S108 - SQLite chooses the names of its files itself
_OLDEST_VERSION = 2
"""Version 1 forbids every move between folders, also below the writable ones: the engine could not drop a table."""
_TCP_VERSION, _TCP = 4, 0b11


def wall_off(writable: Iterable[Path]) -> bool:
    """The calling thread can now write only below these folders, start no program, and open no TCP connection.

    Returns False, and changes nothing, on a system without such walls. Raises OSError if a folder is missing.
    """
    version = _version()
    if version < _OLDEST_VERSION:
        return False
    files = (
        _EXECUTE | _WRITE_FILE | _CHANGE_FOLDERS | sum(bit for since, bit in _BY_VERSION.items() if version >= since)
    )
    controlled = struct.pack("=QQ", files, _TCP) if version >= _TCP_VERSION else struct.pack("=Q", files)
    descriptor = _call(_CREATE_RULESET, controlled, ctypes.c_size_t(len(controlled)), 0)
    try:
        for folder in writable:
            _allow(descriptor, folder, files & ~_EXECUTE)
        _check(_libc().prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0))
        _call(_RESTRICT_SELF, descriptor, 0)
    finally:
        os.close(descriptor)
    return True


def temporary_folders(environ: Mapping[str, str]) -> Sequence[Path]:
    """The existing folders for temporary files: Python's, and those in which SQLite sorts more than its cache holds."""
    names = [tempfile.gettempdir(), environ.get("SQLITE_TMPDIR", ""), *_SQLITE_FOLDERS]
    return [Path(name) for name in dict.fromkeys(names) if name and Path(name).is_dir()]


def _allow(ruleset: int, folder: Path, allowed: int) -> None:
    parent = os.open(folder, os.O_PATH | os.O_DIRECTORY)
    try:
        _call(_ADD_RULE, ruleset, _PATH_BENEATH, struct.pack("=Qi", allowed, parent), 0)
    finally:
        os.close(parent)


def _version() -> int:
    """The version of Landlock; less than 1 if the system has none, or forbids it."""
    if sys.platform != "linux":
        return 0
    return int(_libc().syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _REPORT_VERSION))


def _call(number: int, *arguments: object) -> int:
    return _check(_libc().syscall(number, *arguments))


def _check(result: int) -> int:
    if result < 0:
        raise OSError(error := ctypes.get_errno(), f"the write wall cannot be built: {os.strerror(error)}")
    return result


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
