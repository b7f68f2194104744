"""Who may come in: one password, compared in the same time however wrong it is."""

import hmac

from stream_processors.endpoint.errors import AUTHENTICATION_FAILED, REQUIRED_PASSWORD, refusal


def check_password(expected: str | None, given: str | None) -> None:
    """Without one expected, everyone on this machine may come in. The user's name means nothing."""
    if expected is None:
        return
    if not given:
        raise refusal(
            REQUIRED_PASSWORD, "Authentication failed: a password is required, as user:password or key header."
        )
    if not hmac.compare_digest(expected.encode(), given.encode()):
        raise refusal(AUTHENTICATION_FAILED, "Authentication failed: the password is incorrect.")
