"""The house rules, executable: who may import whom, how large things may grow, which names are banned."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("schemas", "stream_processors", "rating", "ingest_gateway", "tallyhouse")
MODULE_LINES = 400
FUNCTION_LINES = 50
BANNED_NAMES = {"util", "utils", "common", "helpers", "misc", "kit", "base", "shared", "lib"}

COMPOSITION_ROOTS = ("tallyhouse/",)
"""Only here may one island see another: the program builds the app from its parts."""

# Prefix of the importing module → what of ours it may import. The longest matching prefix decides.
MAY_IMPORT = {
    "schemas": ("schemas",),
    "stream_processors/ports": ("schemas",),
    "stream_processors/core": ("schemas", "stream_processors.core"),
    "stream_processors/flushing": (
        "schemas",
        "stream_processors.core",
        "stream_processors.ports",
        "stream_processors.flushing",
    ),
    "stream_processors/backends": (
        "schemas",
        "stream_processors.core",
        "stream_processors.ports",
        "stream_processors.backends",
    ),
    "stream_processors/clickhouse_server": (
        "schemas",
        "stream_processors.backends.sql",
        "stream_processors.clickhouse_server",
    ),
    "stream_processors/workers": ("schemas", "stream_processors"),
    "rating/core": ("schemas", "rating.core"),
    "rating/ledger": ("schemas", "rating.core", "rating.ledger"),
    "rating/api": ("schemas", "rating", "ingest_gateway.http"),
    "rating": ("schemas", "rating"),
    "ingest_gateway": ("schemas", "ingest_gateway"),
    "ingest_gateway/ports": ("schemas",),
    "ingest_gateway/ingest": ("schemas", "ingest_gateway.ports", "ingest_gateway.ingest"),
    "ingest_gateway/http": ("schemas", "ingest_gateway.ports", "ingest_gateway.ingest", "ingest_gateway.http"),
    "ingest_gateway/openapi": ("schemas", "ingest_gateway.http", "ingest_gateway.api", "ingest_gateway.openapi"),
    "ingest_gateway/api": ("schemas", "ingest_gateway"),
}

# Libraries that stand for the outside world: each behind one module (or one folder that is an adapter).
ONE_HOME = {
    "chdb": ("stream_processors/backends/sql/",),
    "clickhouse_connect": ("stream_processors/backends/sql/",),
    "sqlite3": ("stream_processors/backends/log/sqlite/",),
    "faust": ("stream_processors/workers/faust_",),
    "aiokafka": ("stream_processors/backends/log/kafka/",),
    "sqlalchemy": ("rating/ledger/",),
    "alembic": ("rating/ledger/",),
    "starlette": ("stream_processors/clickhouse_server/", "ingest_gateway/", "tallyhouse/"),
    "uvicorn": ("stream_processors/clickhouse_server/server", "tallyhouse/runtime/"),
    "redis": ("tallyhouse/cluster/redis_hints",),
    "uvloop": ("tallyhouse/",),
    "prometheus_client": ("tallyhouse/runtime/prometheus",),
    "structlog": ("tallyhouse/runtime/logs",),
    "typer": ("tallyhouse/cli",),
    "rich": ("tallyhouse/cli",),
    "httpx": ("tallyhouse/cli",),
    "lz4": ("stream_processors/clickhouse_server/compression",),
    "zstandard": (
        "stream_processors/clickhouse_server/compression",
        "schemas/frame",
        "ingest_gateway/ingest/decompression",
    ),
    "xxhash": ("schemas/hashing",),
}

# Pure code: no clock, no I/O, no framework.
PURE = ("stream_processors/core", "rating/core", "schemas/")
IMPURE_MODULES = {"os", "asyncio", "time", "socket", "subprocess", "random", "sqlite3", "pathlib", "io"}


def modules() -> Iterator[Path]:
    for package in PACKAGES:
        yield from sorted((ROOT / package).rglob("*.py"))


def every_file() -> Iterator[Path]:
    yield from modules()
    yield from sorted((ROOT / "tests").rglob("*.py"))


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).with_suffix("").as_posix()


def imports_of(path: Path) -> Iterator[tuple[str, int]]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            yield node.module or "", node.lineno
            for alias in node.names:
                yield f"{node.module}.{alias.name}", node.lineno


def allowed_for(module: str) -> tuple[str, ...]:
    best = max((prefix for prefix in MAY_IMPORT if module.startswith(prefix)), key=len)
    return MAY_IMPORT[best]


def begins_with(name: str, prefixes: tuple[str, ...]) -> bool:
    return any(name == prefix or name.startswith(prefix + ".") for prefix in prefixes)


def test_imports_point_one_way() -> None:
    """schemas ◀ cores ◀ ports ◀ adapters ◀ apps ◀ composition roots."""
    wrong = [
        f"{name_of(path)}:{line} imports {imported}"
        for path in modules()
        if not name_of(path).startswith(COMPOSITION_ROOTS)
        for imported, line in imports_of(path)
        if begins_with(imported, PACKAGES) and not begins_with(imported, allowed_for(name_of(path)))
    ]
    assert wrong == []


def test_each_outside_library_has_one_home() -> None:
    """Whoever wants to swap a library finds it in one place."""
    wrong = [
        f"{name_of(path)}:{line} imports {imported}"
        for path in modules()
        for imported, line in imports_of(path)
        if (homes := ONE_HOME.get(imported.split(".")[0])) and not name_of(path).startswith(homes)
    ]
    assert wrong == []


def test_pure_code_touches_nothing_outside() -> None:
    """Cores take the time and the bytes they work on as arguments."""
    wrong = [
        f"{name_of(path)}:{line} imports {imported}"
        for path in modules()
        if name_of(path).startswith(PURE)
        for imported, line in imports_of(path)
        if imported.split(".")[0] in IMPURE_MODULES
    ]
    assert wrong == []


def test_no_float_near_quantities() -> None:
    """Quantities are decimals and money is whole minor units."""
    wrong = [
        f"{name_of(path)}:{node.lineno}"
        for path in modules()
        if name_of(path).startswith(("schemas", "rating"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "float"
    ]
    assert wrong == []


def test_modules_stay_small() -> None:
    """A module over 400 lines hides two. Tests too."""
    wrong = {name_of(path): lines for path in every_file() if (lines := path.read_text().count("\n")) > MODULE_LINES}
    assert wrong == {}


def test_functions_stay_small() -> None:
    """A function one cannot see whole is two functions."""
    wrong = [
        f"{name_of(path)}:{node.lineno} {node.name}"
        for path in every_file()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        and (node.end_lineno or node.lineno) - node.lineno + 1 > FUNCTION_LINES
    ]
    assert wrong == []


def test_no_drawer_modules() -> None:
    """A file named `utils` is a place where things are lost."""
    wrong = [name_of(path) for path in every_file() if path.stem in BANNED_NAMES or path.parent.name in BANNED_NAMES]
    assert wrong == []


def test_every_module_says_what_it_is_for() -> None:
    """One sentence of responsibility at the top."""
    wrong = [name_of(path) for path in every_file() if not ast.get_docstring(ast.parse(path.read_text()))]
    assert wrong == []


def test_no_clock_outside_the_edges() -> None:
    """Time is a callable passed in; only composition roots read a clock."""
    readers = {"now", "utcnow", "today", "time", "time_ns"}
    wrong = [
        f"{name_of(path)}:{node.lineno} {ast.unparse(node)}"
        for path in modules()
        if not name_of(path).startswith(COMPOSITION_ROOTS)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in readers
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id in {"datetime", "date", "time"}
    ]
    assert wrong == []


@pytest.mark.skipif(sys.platform == "win32", reason="folders are compared by name")
def test_nothing_else_at_the_top() -> None:
    """The top level is a table of contents."""
    known = {*PACKAGES, "tests", "deploy"}
    folders = {
        path.name
        for path in ROOT.iterdir()
        if path.is_dir() and not path.name.startswith(".") and path.name not in ("data", "cluster-data")
    }
    assert {name for name in folders - known if not name.endswith(".egg-info") and name != "build"} == set()
