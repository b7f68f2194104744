"""Who may come in: one password, compared in the same time however wrong it is."""

import hmac

from stream_processors.endpoint.app import Admission
from stream_processors.endpoint.errors import AUTHENTICATION_FAILED, REQUIRED_PASSWORD, refusal


def by_password(expected: str | None) -> Admission:
    """Without one expected, everyone on this machine may come in."""

    async def admit(given: str | None) -> None:
        if expected is None:
            return
        if not given:
            raise refusal(REQUIRED_PASSWORD, "Authentication failed: send the password, as user:password or as a key.")
        if not hmac.compare_digest(expected.encode(), given.encode()):
            raise refusal(AUTHENTICATION_FAILED, "Authentication failed: the password is incorrect.")

    return admit
