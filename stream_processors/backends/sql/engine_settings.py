"""The store's settings on which exactness, memory and latency depend, each with its reason."""

import msgspec

MEGABYTE = 1_000_000

EngineSettings = dict[str, int | str]


class EngineLimits(msgspec.Struct, frozen=True, kw_only=True):
    """How much memory, time and how many threads a statement, or an embedded engine, may use."""

    query_memory: int = 600 * MEGABYTE
    """Bytes for one statement; a statement that needs more fails, and the process survives. Their sum is not limited:
    the engine's own total drifts upwards when tables are created, and would one day refuse everything."""
    caches: int = 64 * MEGABYTE
    """Bytes for each of the relevant caches: marks, index marks, primary keys. Their defaults are gigabytes."""
    merge_threads: int = 1
    """More threads would take processors from inserts; with few, only the merging of parts waits."""
    query_threads: int = 2
    statement_seconds: int = 60
    """The time limit of a statement."""

    def server_options(self) -> dict[str, str]:
        return {
            "max_server_memory_usage": "0",
            "mark_cache_size": str(self.caches),
            "index_mark_cache_size": str(self.caches),
            "primary_index_cache_size": str(self.caches),
            "query_condition_cache_size": str(self.caches // 4),
            "background_pool_size": str(self.merge_threads),
        }


def session_settings(limits: EngineLimits) -> EngineSettings:
    """Settings of every statement of a handle."""
    return {
        "max_threads": limits.query_threads,
        "max_memory_usage": limits.query_memory,
        "max_execution_time": limits.statement_seconds,
        "timeout_overflow_mode": "throw",
        # Queued inserts, which are on by default, are acknowledged together and split into other blocks.
        "async_insert": 0,
        "deduplicate_insert": "enable",
        "output_format_arrow_string_as_string": 1,
        "output_format_arrow_compression_method": "none",
    }


def insert_settings(rows: int, token: str) -> EngineSettings:
    """Settings of an insert that must be one block and one part, deduplicated by its token."""
    above = rows + 1
    return {
        "insert_deduplication_token": token,
        "max_insert_threads": 1,
        "max_insert_block_size": above,
        "min_insert_block_size_rows": above,
        "min_insert_block_size_bytes": 0,
        "max_insert_block_size_bytes": 0,
    }


def guarded_insert_settings(rows: int, token: str) -> EngineSettings:
    """Settings of an insert with a guard: it is an INSERT SELECT, which gets a token only if that is forced."""
    return {**insert_settings(rows, token), "deduplicate_insert_select": "force_enable"}


def quorum_settings() -> EngineSettings:
    """Settings for replicated tables: every read sees all inserts acknowledged before it, on any replica.

    Sequential consistency allows one insert at a time: a concurrent insert into the same table is refused, and its
    sender retries it.
    """
    return {
        "insert_quorum": "auto",
        "insert_quorum_parallel": 0,
        "select_sequential_consistency": 1,
        # A statement ends within its time limit, so it must not wait longer than that for other replicas.
        "insert_quorum_timeout": 30_000,
        # A result that lacks a shard would be wrong.
        "skip_unavailable_shards": 0,
        # Each shard is read from one replica, so from one snapshot: usage and receipts must be of the same snapshot.
        "max_parallel_replicas": 1,
    }
