"""Who may come in: whoever has the password, compared in the same time however wrong it is."""

import hmac

from stream_processors.backends.sql.chdb_statements import StatementFailed
from stream_processors.clickhouse_server.app import Admission
from stream_processors.clickhouse_server.errors import AUTHENTICATION_FAILED, REQUIRED_PASSWORD, refusal
from stream_processors.clickhouse_server.request import Caller


def by_password(expected: str | None) -> Admission:
    """Without one expected, every program on this machine may come in, but no page that a browser shows."""

    async def admit(caller: Caller) -> None:
        if expected is None:
            if caller.origin is not None:
                raise refusal(AUTHENTICATION_FAILED, "Authentication failed: pages may ask only with a password.")
        elif not hmac.compare_digest(expected.encode(), require_password(caller).encode()):
            raise refuse_password()

    return admit


def require_password(caller: Caller) -> str:
    if not caller.password:
        raise refusal(REQUIRED_PASSWORD, "Authentication failed: send the password, as user:password or as a key.")
    return caller.password


def refuse_password() -> StatementFailed:
    return refusal(AUTHENTICATION_FAILED, "Authentication failed: the password is incorrect.")
