"""Skips a test whose tools are missing and says how to install them; under `CI=true` the test fails instead."""

import os
from typing import NoReturn

import pytest


def must_not_skip() -> bool:
    """True under `CI=true`, where a skip would hide that nothing was proven."""
    return os.environ.get("CI") == "true"


def skip_without(what: str, remedy: str) -> NoReturn:
    """Skips the test, or fails it under `CI=true`."""
    message = f"{what} is missing, so this is not proven here; to get it: {remedy}"
    if must_not_skip():
        pytest.fail(message, pytrace=False)
    pytest.skip(message)
