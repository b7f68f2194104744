"""Checks the password of a request in constant time."""

import hmac

from stream_processors.backends.sql.chdb_statements import StatementFailed
from stream_processors.clickhouse_server.app import CallerCheck
from stream_processors.clickhouse_server.errors import AUTHENTICATION_FAILED, REQUIRED_PASSWORD, clickhouse_error
from stream_processors.clickhouse_server.request import Caller


def password_check(expected: str | None) -> CallerCheck:
    """A check for this password. With None every program on the machine has access, but no page in a browser."""

    async def check_caller(caller: Caller) -> None:
        if expected is None:
            if caller.origin is not None:
                raise clickhouse_error(AUTHENTICATION_FAILED, "Authentication failed: web pages need a password.")
        elif not hmac.compare_digest(expected.encode(), require_password(caller).encode()):
            raise refuse_password()

    return check_caller


def require_password(caller: Caller) -> str:
    """The caller's password. Raises StatementFailed without one."""
    if not caller.password:
        raise clickhouse_error(
            REQUIRED_PASSWORD, "Authentication failed: send the password, as user:password or as a key."
        )
    return caller.password


def refuse_password() -> StatementFailed:
    """The error for a wrong password."""
    return clickhouse_error(AUTHENTICATION_FAILED, "Authentication failed: the password is incorrect.")
