"""The store's settings that exactness, memory and steadiness depend on, each with its reason."""

import msgspec

MEGABYTE = 1_000_000

EngineSettings = dict[str, int | str]


class EngineLimits(msgspec.Struct, frozen=True, kw_only=True):
    """How much of the machine a statement, or an embedded engine, may take."""

    query_memory: int = 600 * MEGABYTE
    """For one statement; one that would need more fails, the process lives. There is no limit on their sum: the engine
    keeps that by a tally which drifts upwards when tables are made, and would one day refuse everything."""
    caches: int = 64 * MEGABYTE
    """Per cache that matters here: marks, index marks, primary keys. Their defaults are gigabytes."""
    merge_threads: int = 1
    """More would take the processors that inserts need; parts wait in the meantime, nothing else."""
    query_threads: int = 2
    statement_seconds: int = 60
    """A statement that takes longer fails."""

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
    """For every statement of a handle."""
    return {
        "max_threads": limits.query_threads,
        "max_memory_usage": limits.query_memory,
        "max_execution_time": limits.statement_seconds,
        "timeout_overflow_mode": "throw",
        # Queued inserts are acknowledged together and cut into other blocks; the default is on.
        "async_insert": 0,
        "deduplicate_insert": "enable",
        "output_format_arrow_string_as_string": 1,
        "output_format_arrow_compression_method": "none",
    }


def insert_settings(rows: int, token: str) -> EngineSettings:
    """For an insert that must be one block, one part, and known by its token."""
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
    """For the same with its condition inside: it selects, and a select's rows have a token only if that is forced."""
    return {**insert_settings(rows, token), "deduplicate_insert_select": "force_enable"}


def quorum_settings() -> EngineSettings:
    """For every statement to a replicated table: what was answered is what every later read sees, on any replica.

    Sequential consistency knows of one insert at a time: another one into the same table is refused meanwhile, and
    repeated by whoever sent it.
    """
    return {
        "insert_quorum": "auto",
        "insert_quorum_parallel": 0,
        "select_sequential_consistency": 1,
        # A statement ends, answered or not, within its time limit: it must not wait longer for other replicas.
        "insert_quorum_timeout": 30_000,
        # An answer about all shards that lacks one of them would be a wrong one.
        "skip_unavailable_shards": 0,
        # Each shard answers from one replica, and so from one snapshot: usage and receipts must be of the same.
        "max_parallel_replicas": 1,
    }
