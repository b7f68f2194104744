"""Skipping loudly: a test whose tools are missing says how to get them, and fails where they must be there."""

import os
from typing import NoReturn

import pytest


def must_not_skip() -> bool:
    """Under `CI=true` a skip would hide that nothing was proven."""
    return os.environ.get("CI") == "true"


def skip_without(what: str, remedy: str) -> NoReturn:
    """Skip the test; where it must not be skipped, fail it."""
    message = f"{what} is missing, so this is not proven here; to get it: {remedy}"
    if must_not_skip():
        pytest.fail(message, pytrace=False)
    pytest.skip(message)
