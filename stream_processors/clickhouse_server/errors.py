"""ClickHouse error codes, names and HTTP statuses, as its clients expect them."""

from stream_processors.backends.sql.chdb_statements import StatementFailed

BAD_ARGUMENTS = (36, "BAD_ARGUMENTS")
NOT_IMPLEMENTED = (48, "NOT_IMPLEMENTED")
SYNTAX_ERROR = (62, "SYNTAX_ERROR")
TOO_LARGE = (239, "QUERY_IS_TOO_LARGE")
TIMEOUT_EXCEEDED = (159, "TIMEOUT_EXCEEDED")
READONLY = (164, "READONLY")
ACCESS_DENIED = (497, "ACCESS_DENIED")
UNKNOWN_COMPRESSION = (89, "UNKNOWN_COMPRESSION_METHOD")
CANNOT_DECOMPRESS = (271, "CANNOT_DECOMPRESS")
AUTHENTICATION_FAILED = (516, "AUTHENTICATION_FAILED")
REQUIRED_PASSWORD = (194, "REQUIRED_PASSWORD")

_STATUS_OF = {
    194: 401,
    **dict.fromkeys((192, 193, 497, 512, 516), 403),
    **dict.fromkeys((6, 8, 15, 25, 26, 27, 36, 38, 41, 44, 53, 62, 72, 117, 167, 168, 223, 224), 400),
    **dict.fromkeys((321, 376, 427, 441, 442), 400),
    **dict.fromkeys((46, 47, 50, 56, 60, 63, 73, 78, 81, 115, 152, 336, 511), 404),
    159: 408,
    381: 411,
    239: 413,
    48: 501,
    **dict.fromkeys((76, 209, 439), 503),
}


def clickhouse_error(kind: tuple[int, str], message: str) -> StatementFailed:
    """An error in the form of the engine's own."""
    code, name = kind
    return StatementFailed(code, f"Code: {code}. DB::Exception: {message} ({name})")


def status_of(code: int) -> int:
    """The HTTP status that ClickHouse sends with this code."""
    return _STATUS_OF.get(code, 500)
