"""Statements on the usage store of a stopped server, each in a process of its own: the engine has one owner."""

import subprocess
import sys
from pathlib import Path

from tests.server_process import ROOT

_PROGRAM = """\
import sys
from pathlib import Path
from stream_processors.backends.sql.chdb import Chdb
from stream_processors.backends.sql.engine_settings import EngineLimits
with Chdb(Path(sys.argv[1]), 1, EngineLimits()) as engine:
    client = engine.database("tallyhouse")
    for statement in sys.argv[2:]:
        if statement.startswith("SELECT"):
            for row in client.query_rows(statement):
                print("\\t".join(map(str, row)))
        else:
            client.command(statement)
"""


def run_sql(data: Path, *statements: str) -> str:
    """Returns what the SELECT statements among them print, a row a line."""
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, str(data / "store"), *statements],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
