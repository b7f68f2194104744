"""API keys' secrets: what they look like, and the one thing that is ever stored of them."""

import hashlib
import re
from collections.abc import Callable

from schemas.account import Mode
from schemas.errors import Invalid

PREFIX_LENGTH = 12

_FORM = re.compile(r"ak_(live|test)_[A-Za-z0-9_-]{1,200}", re.ASCII)

NewSecret = Callable[[], str]
"""At least 32 url-safe random characters; `secrets.token_urlsafe` in production."""


def new_token(mode: Mode, new_secret: NewSecret) -> str:
    return f"ak_{mode.value}_{new_secret()}"


def mode_of(token: str) -> Mode:
    """Raises Invalid where `token` does not look like a key of ours."""
    form = _FORM.fullmatch(token)
    if form is None:
        raise Invalid(
            "an API key is ak_live_ or ak_test_ and up to 200 letters, digits, '-' or '_'; "
            f"the one given has {len(token)} characters and another form"
        )
    return Mode(form[1])


def hash_of(token: str) -> str:
    """SHA-256: the secret is long and random, so a slow hash would only slow down honest callers."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()
