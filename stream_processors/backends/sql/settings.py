"""The store's settings that exactness, memory and steadiness depend on, each with its reason."""

import msgspec

MEGABYTE = 1_000_000


class EngineLimits(msgspec.Struct, frozen=True, kw_only=True):
    """How much of the machine an embedded engine may take."""

    query_memory: int = 600 * MEGABYTE
    """For one statement; one that would need more fails, the process lives. There is no limit on their sum: the engine
    keeps that by a tally which drifts upwards when tables are made, and would one day refuse everything."""
    caches: int = 64 * MEGABYTE
    """Per cache that matters here: marks, index marks, primary keys. Their defaults are gigabytes."""
    merge_threads: int = 1
    """More would take the processors that inserts need; parts wait in the meantime, nothing else."""
    query_threads: int = 2

    def server_options(self) -> dict[str, str]:
        return {
            "max_server_memory_usage": "0",
            "mark_cache_size": str(self.caches),
            "index_mark_cache_size": str(self.caches),
            "primary_index_cache_size": str(self.caches),
            "query_condition_cache_size": str(self.caches // 4),
            "background_pool_size": str(self.merge_threads),
        }


def session_settings(limits: EngineLimits) -> dict[str, int | str]:
    """For every statement of a handle."""
    return {
        "max_threads": limits.query_threads,
        "max_memory_usage": limits.query_memory,
        "max_execution_time": 60,
        "timeout_overflow_mode": "throw",
        # Queued inserts are acknowledged together and cut into other blocks; the default is on.
        "async_insert": 0,
        "deduplicate_insert": "enable",
        "output_format_arrow_string_as_string": 1,
        "output_format_arrow_compression_method": "none",
    }


def insert_settings(rows: int, token: str) -> dict[str, int | str]:
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
