"""Options that hold moments are refused by name before a request is sent."""

import pytest
from typer.testing import CliRunner

from schemas.errors import Invalid
from tallyhouse.cli.app import build

COMMANDS = [
    ("--from", ["usage", "tokens", "--from"]),
    ("--to", ["usage", "tokens", "--to"]),
    ("--as-of", ["invoices", "run", "--as-of"]),
    ("--start", ["subscriptions", "create", "c1", "pro", "--start"]),
    ("--expires", ["subscriptions", "grant", "s1", "gift", "5", "--expires"]),
    ("--expires-in", ["keys", "create", "ci", "--scope", "read", "--expires-in"]),
]


@pytest.mark.parametrize(("option", "command"), COMMANDS)
@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59-23:59", "2200-01-01T00:00:00Z", "９d"])
def test_a_moment_outside_the_range_is_refused(option: str, command: list[str], moment: str) -> None:
    """Nothing listens at the address, so a command that sent a request would fail otherwise."""
    address = {"TALLYHOUSE_URL": "http://127.0.0.1:9", "TALLYHOUSE_API_KEY": "ak_live_none"}
    result = CliRunner().invoke(build(), [*command, moment], env=address)
    assert isinstance(result.exception, Invalid)
    assert str(result.exception).startswith(f"{option}: expected")
