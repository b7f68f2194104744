"""The grain of the tree, executable: what is worth a file, what is worth a public name, what a class name means."""

import ast
from collections import defaultdict

from tests.source_tree import ROOT, Defined, definitions, dotted, importers, imports_of, name_of, product, tree_of, uses

WORTH_A_FILE_LINES = 100

ADAPTED = {
    "aiokafka",
    "alembic",
    "chdb",
    "clickhouse_connect",
    "faust",
    "httptools",
    "lz4",
    "prometheus_client",
    "redis",
    "sqlalchemy",
    "sqlite3",
    "structlog",
    "uvicorn",
    "zstandard",
}
"""A module that imports one of these is an adapter, and worth a file."""

COMMANDS = "tallyhouse/cli/"
"""Modules of commands are entries of the command line: `tallyhouse/cli/app` lists them."""

PROCESS_ENTRIES = {
    "tallyhouse/embedded/worker_main": "started with -m by worker_supervisor",
    "tallyhouse/local/provisioning_main": "started with -m by local.cluster",
    "tallyhouse/cluster/gateway_process": "the process of `tallyhouse gateway`, started with -m for each of several",
    "tallyhouse/embedded/serve": "the process of `tallyhouse serve`",
    "tallyhouse/local/runner": "the process of `tallyhouse cluster`",
    "tallyhouse/local/watchdog": "started by its file's path, without our packages",
}

WORTH_A_FILE_BY_NAME = {
    "ingest_gateway/api/usage_formats": "CSV, Parquet and content negotiation are looked for here",
    "ingest_gateway/ingest/fingerprints": "what makes two bodies the same is looked for here",
    "ingest_gateway/ingest/parse_timestamps": "Arrow, which no command that reads one moment loads",
    "ingest_gateway/openapi/document": "where the OpenAPI document is made",
    "ingest_gateway/api/ingest_body": "how large bodies are scheduled is looked for here",
    "rating/api/endpoints": "the table of billing's routes, which the program calls",
    "rating/ledger/reject_replays": "the adapter of its own port; the unit of work it runs on imports idempotency_keys",
    "rating/runs/auditing": "the invoice audit is looked for here",
    "rating/runs/upcoming": "the upcoming invoice is looked for here",
    "stream_processors/backends/log/sqlite/log": "the log of embedded mode; its twin is log/kafka/log",
    "stream_processors/backends/log/sqlite/reader": "the log as the worker reads it; its twin is log/kafka/reader",
    "stream_processors/backends/reading/event_outcome": "pure, while its importer is I/O",
    "stream_processors/backends/sql/guarded_engine": "the twin of sql/engine for a store with several writers",
    "tallyhouse/embedded/repair": "the repair of this machine's store; its command loads no engine until it runs",
    "stream_processors/backends/sql/verified_positions": "the adapter of its own port",
    "stream_processors/backends/store/embedded": "the store of one process; its twin is store/guarded",
    "stream_processors/backends/store/guarded": "the store of several writers; its twin is store/embedded",
    "stream_processors/backends/store/sharded": "sharding of the usage store is looked for here",
    "stream_processors/clickhouse_server/readonly_policy": "the security policy, apart from its plumbing",
    "stream_processors/core/meter_filters": "a meter's filters are looked for here",
    "stream_processors/flushing/expiry": "when seen keys expire is looked for here",
    "stream_processors/flushing/growing_filter": "growth of the Bloom filter; partition.py is at its limit",
    "tallyhouse/runtime/single_write": "the transport under a connection, which knows nothing of HTTP",
    "tallyhouse/cluster/status": "where a cluster's /v1/status comes from",
    "tallyhouse/load/latency": "the histogram, which benchmarks use too",
    "tallyhouse/local/backing_services": "which servers a local cluster needs is looked for here",
}
"""One importer and short, for a reason."""

CALLED_BY_LIBRARIES = {
    "capture_signals": "uvicorn",
    "connection_lost": "asyncio",
    "data_received": "asyncio",
    "emit": "logging",
    "on_body": "httptools",
    "on_header": "httptools",
    "on_message_complete": "httptools",
    "on_url": "httptools",
}
"""Methods that only a library calls."""

SHARED_CLASS_NAMES: dict[str, str] = {}
"""Class names that two modules bear, with the reason."""


def is_in_memory(defined: Defined) -> bool:
    """In-memory adapters are product: tests and users who embed a part run on them."""
    return defined.name.startswith("Memory") or (defined.owner or "").startswith("Memory")


def is_migration(module: str) -> bool:
    return module.startswith("rating/ledger/migrations/")


def is_adapter(module: str, libraries: set[str]) -> bool:
    return bool(libraries & ADAPTED) or module.rpartition("/")[2].startswith(("routes_", "memory"))


def test_every_module_is_worth_a_file() -> None:
    """Two importers, or more than a hundred lines, or an adapter, an entry, or a name that a reader looks for."""
    wrong = []
    for path in product():
        module = name_of(path)
        if path.name in ("__init__.py", "__main__.py") or is_migration(module) or module.startswith(COMMANDS):
            continue
        libraries = {imported.name.split(".")[0] for imported in imports_of(path)}
        is_long = path.read_text().count("\n") > WORTH_A_FILE_LINES
        if is_long or len(importers()[dotted(path)]) > 1 or is_adapter(module, libraries):
            continue
        if module not in WORTH_A_FILE_BY_NAME and module not in PROCESS_ENTRIES:
            wrong.append(f"{module}: imported by {sorted(importers()[dotted(path)]) or 'nothing'}")
    assert wrong == [], "merge it with its importer or a sibling, or give the reason in WORTH_A_FILE_BY_NAME"


def test_the_allow_lists_name_modules_that_need_them() -> None:
    """An entry that no longer applies is a hole."""
    modules = {name_of(path) for path in product()}
    listed = {**WORTH_A_FILE_BY_NAME, **PROCESS_ENTRIES}
    assert sorted(set(listed) - modules) == []
    names = {defined.name for path in product() for defined in definitions(path)}
    assert sorted(set(CALLED_BY_LIBRARIES) - names) == []


def test_every_public_name_has_a_product_user() -> None:
    """Code that only tests call proves nothing about what production runs."""
    unused = [
        f"{defined.module}:{defined.line} {defined.name}"
        for path in product()
        if not is_migration(name_of(path))
        for defined in definitions(path)
        if not defined.name.startswith("_") and uses()[defined.name] <= 0
        if not is_in_memory(defined) and defined.name not in CALLED_BY_LIBRARIES
    ]
    assert unused == [], "delete it, and let its tests call what production runs"


def test_a_class_name_has_one_meaning() -> None:
    """A reader who meets a name in one module can look it up in any other."""
    modules: dict[str, list[str]] = defaultdict(list)
    for path in product():
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                modules[node.name].append(name_of(path))
    twice = {name: found for name, found in modules.items() if len(found) > 1 and name not in SHARED_CLASS_NAMES}
    assert twice == {}
    assert sorted(name for name in SHARED_CLASS_NAMES if len(modules[name]) < 2) == []


# Folders of tests whose claims cross packages.
NOT_MIRRORED = {
    "attack": "attacks on running programs, and on their disks and clocks",
    "backing_services": "servers that tests start",
    "bench": "benchmarks",
    "chaos": "whole clusters under faults",
    "contracts": "one suite per port, run on every adapter",
    "deploy": "documents, images, the plan for scale",
    "e2e": "whole processes from outside",
    "interleavings": "every order of posts, flushes, backfills and replays",
    "simulator": "the flush protocol in every interleaving",
}


def test_tests_mirror_the_tree() -> None:
    """The tests of a package stand in the folder of its name."""
    tests = ROOT / "tests"
    wrong = [
        path.relative_to(ROOT).as_posix()
        for path in sorted(tests.rglob("test_*.py"))
        if (folder := path.relative_to(tests).parent).parts
        and folder.parts[0] not in NOT_MIRRORED
        and not (ROOT / folder / "__init__.py").is_file()
    ]
    assert wrong == []
    assert [folder for folder in NOT_MIRRORED if not (tests / folder).is_dir()] == []
