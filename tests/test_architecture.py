"""The law of imports, executable: who may import whom, which library has its home where, what pure code may touch."""

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.source_tree import PACKAGES, ROOT, everything, imports_of, name_of, product, tree_of

MODULE_LINES = 400
FUNCTION_LINES = 50
BANNED_NAMES = {"util", "utils", "common", "helpers", "misc", "kit", "base", "shared", "lib"}

_PRODUCT_PARTS = ("schemas", "stream_processors", "rating", "ingest_gateway")
_PROGRAM_PARTS = ("tallyhouse.runtime", "tallyhouse.service", "tallyhouse.billing_schedule", "tallyhouse.welcome")

# Prefix of the importing module → what of ours it may import. The longest matching prefix decides.
MAY_IMPORT: dict[str, tuple[str, ...]] = {
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
    "stream_processors/workers": (
        "schemas",
        "stream_processors.ports",
        "stream_processors.flushing",
        "stream_processors.backends",
        "stream_processors.workers",
    ),
    "rating/ports": ("schemas", "rating.core"),
    "rating/core": ("schemas", "rating.core"),
    "rating/ledger": ("schemas", "rating.core", "rating.ledger"),
    "rating/runs": ("schemas", "rating.core", "rating.ports", "rating.runs"),
    # The one side door: billing's routes use the gateway's HTTP layer.
    "rating/api": ("schemas", "rating.core", "rating.api", "ingest_gateway.http"),
    "ingest_gateway/ports": ("schemas",),
    "ingest_gateway/ingest": ("schemas", "ingest_gateway.ports", "ingest_gateway.ingest"),
    "ingest_gateway/http": ("schemas", "ingest_gateway.ports", "ingest_gateway.ingest", "ingest_gateway.http"),
    "ingest_gateway/openapi": ("schemas", "ingest_gateway.http", "ingest_gateway.openapi"),
    "ingest_gateway/api": ("schemas", "ingest_gateway"),
    # Composition roots wire the parts; inside the program too, imports point one way.
    "tallyhouse/runtime": ("schemas", "tallyhouse.runtime"),
    "tallyhouse/load": ("schemas", "tallyhouse.load"),
    "tallyhouse/welcome": ("schemas", "tallyhouse.runtime"),
    "tallyhouse/billing_schedule": (*_PRODUCT_PARTS, "tallyhouse.runtime"),
    "tallyhouse/service": (*_PRODUCT_PARTS, "tallyhouse.runtime"),
    "tallyhouse/embedded": (*_PRODUCT_PARTS, *_PROGRAM_PARTS, "tallyhouse.embedded"),
    "tallyhouse/cluster": (*_PRODUCT_PARTS, *_PROGRAM_PARTS, "tallyhouse.cluster"),
    "tallyhouse/local": ("schemas", *_PROGRAM_PARTS, "tallyhouse.cluster", "tallyhouse.local"),
    "tallyhouse/cli": ("schemas", "tallyhouse"),
    "tallyhouse/__main__": ("tallyhouse.cli",),
    "tallyhouse/__init__": (),
}

# Libraries that stand for the outside world: each behind one module (or one folder that is an adapter).
ONE_HOME: dict[str, tuple[str, ...]] = {
    "chdb": ("stream_processors/backends/sql/",),
    "clickhouse_connect": ("stream_processors/backends/sql/",),
    "sqlite3": ("stream_processors/backends/log/sqlite/",),
    "faust": ("stream_processors/workers/faust_",),
    "aiokafka": ("stream_processors/backends/log/kafka/",),
    "sqlalchemy": ("rating/ledger/",),
    "alembic": ("rating/ledger/",),
    "starlette": (
        "stream_processors/clickhouse_server/",
        "ingest_gateway/http/",
        "ingest_gateway/openapi/",
        "ingest_gateway/api/",
        "tallyhouse/runtime/http_server",
        "tallyhouse/embedded/",
        "tallyhouse/cluster/",
    ),
    "uvicorn": (
        "stream_processors/clickhouse_server/server",
        "tallyhouse/runtime/http_connection",
        "tallyhouse/runtime/http_server",
    ),
    "httptools": ("tallyhouse/load/connection", "tallyhouse/runtime/http_connection"),
    "redis": ("tallyhouse/cluster/redis_hints",),
    "uvloop": ("tallyhouse/embedded/", "tallyhouse/cluster/", "tallyhouse/cli/load_run", "tallyhouse/runtime/"),
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

RUNTIME = "tallyhouse/runtime/"
CLOCKS = {
    "time": {"time", "time_ns"},
    "datetime": {"now", "utcnow", "today"},
    "date": {"today"},
}


def allowed_for(module: str) -> tuple[str, ...]:
    best = max((prefix for prefix in MAY_IMPORT if module.startswith(prefix)), key=len)
    return MAY_IMPORT[best]


def begins_with(name: str, prefixes: tuple[str, ...]) -> bool:
    return any(name == prefix or name.startswith(prefix + ".") for prefix in prefixes)


def test_imports_point_one_way() -> None:
    """`schemas` ◀ `stream_processors`, `rating`, `ingest_gateway` ◀ `tallyhouse`; cores ◀ ports ◀ adapters ◀ apps."""
    wrong = [
        f"{name_of(path)}:{imported.line} imports {imported.name}"
        for path in product()
        for imported in imports_of(path)
        if begins_with(imported.name, PACKAGES)
        and imported.name not in PACKAGES
        and not begins_with(imported.name, allowed_for(name_of(path)))
    ]
    assert wrong == []


def test_every_rule_of_the_law_is_about_something() -> None:
    """A rule for a folder that has been moved would allow everything in silence."""
    names = [name_of(path) for path in product()]
    idle = [prefix for prefix in MAY_IMPORT if not any(name.startswith(prefix) for name in names)]
    homes = [home for homes in ONE_HOME.values() for home in homes]
    idle += [home for home in homes if not any(name.startswith(home) for name in names)]
    assert idle == []


def test_each_outside_library_has_one_home() -> None:
    """A library can be replaced in one place."""
    wrong = [
        f"{name_of(path)}:{imported.line} imports {imported.name}"
        for path in product()
        for imported in imports_of(path)
        if (homes := ONE_HOME.get(imported.name.split(".")[0])) and not name_of(path).startswith(homes)
    ]
    assert wrong == []


def test_pure_code_touches_nothing_outside() -> None:
    """Cores take the time and the bytes they work on as arguments."""
    wrong = [
        f"{name_of(path)}:{imported.line} imports {imported.name}"
        for path in product()
        if name_of(path).startswith(PURE)
        for imported in imports_of(path)
        if imported.name.split(".")[0] in IMPURE_MODULES
    ]
    assert wrong == []


def test_no_float_near_quantities() -> None:
    """Quantities are decimals and money is whole minor units."""
    wrong = [
        f"{name_of(path)}:{node.lineno}"
        for path in product()
        if name_of(path).startswith(("schemas", "rating"))
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "float"
    ]
    assert wrong == []


def test_modules_stay_small() -> None:
    """A module of over 400 lines hides two. Tests too."""
    wrong = {name_of(path): lines for path in everything() if (lines := path.read_text().count("\n")) > MODULE_LINES}
    assert wrong == {}


def test_functions_stay_small() -> None:
    """A function that does not fit on a screen is two functions."""
    wrong = [
        f"{name_of(path)}:{node.lineno} {node.name}"
        for path in everything()
        for node in ast.walk(tree_of(path))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        and (node.end_lineno or node.lineno) - node.lineno + 1 > FUNCTION_LINES
    ]
    assert wrong == []


def test_no_drawer_modules() -> None:
    """A file named `utils` is a place where things are lost."""
    wrong = [name_of(path) for path in everything() if path.stem in BANNED_NAMES or path.parent.name in BANNED_NAMES]
    assert wrong == []


def test_every_module_states_its_responsibility() -> None:
    """One sentence of responsibility at the top."""
    wrong = [name_of(path) for path in everything() if not ast.get_docstring(tree_of(path))]
    assert wrong == []


def test_only_the_runtime_reads_clocks_and_the_environment() -> None:
    """Everything else is given the time and its settings, so that a test can give others."""
    wrong = [
        f"{name_of(path)}:{line} {what}"
        for path in product()
        if not name_of(path).startswith(RUNTIME)
        for what, line in clocks_and_environment(path)
    ]
    assert wrong == []


def clocks_and_environment(path: Path) -> Iterator[tuple[str, int]]:
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            owner, name = node.value.id, node.attr
            if name in CLOCKS.get(owner, ()) or (owner == "os" and name in ("environ", "getenv")):
                yield f"{owner}.{name}", node.lineno


def test_the_top_level_is_a_table_of_contents() -> None:
    """Nothing stands there but the packages, the tests and what deploys them."""
    known = {*PACKAGES, "tests", "deploy"}
    folders = {
        path.name
        for path in ROOT.iterdir()
        if path.is_dir() and not path.name.startswith((".", "__")) and path.name not in ("data", "cluster-data")
    }
    assert {name for name in folders - known if not name.endswith(".egg-info") and name != "build"} == set()
