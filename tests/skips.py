"""Skipping loudly: a test whose tools are missing says how to get them, and fails where they must be there."""

import os
from typing import NoReturn

import pytest


def skip_without(what: str, remedy: str) -> NoReturn:
    """Skip the test; under `CI=true` fail it, for there a skip would hide that nothing was proven."""
    message = f"{what} is missing, so this is not proven here; to get it: {remedy}"
    if os.environ.get("CI") == "true":
        pytest.fail(message, pytrace=False)
    pytest.skip(message)
