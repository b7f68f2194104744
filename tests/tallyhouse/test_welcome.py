"""What a terminal shows after the start."""

from pathlib import Path

from tallyhouse.runtime.environment import read_settings
from tallyhouse.welcome import FirstStart, welcome

KEY = "ak_live_sesame"
KEY_FILE = Path("/data/api_key")
URL = "http://127.0.0.1:8787"
NOON = 1_795_262_400_000_000


def shown(first_start: FirstStart | None, **settings: str) -> str:
    environ = {f"TALLYHOUSE_{name}": value for name, value in settings.items()}
    return welcome("It is up.", read_settings(environ), URL, KEY_FILE, first_start, NOON)


def test_the_first_start_shows_the_key_its_file_the_docs_and_three_commands() -> None:
    """The commands carry the key and today's dates."""
    text = shown(FirstStart(KEY))
    assert text.startswith(
        f"It is up.\nThe API reference, with a command to copy for every endpoint, is at {URL}/docs\n"
    )
    assert f"kept in {KEY_FILE}:\n\n  {KEY}\n" in text
    assert text.count(f'-H "Authorization: Bearer {KEY}"') == text.count("  curl ") == 3
    assert "from=2026-11-21T00:00:00Z&to=2026-11-22T00:00:00Z" in text


def test_a_later_start_shows_two_lines_without_the_key() -> None:
    assert shown(None) == f"It is up.\nAPI reference: {URL}/docs, API key: kept in {KEY_FILE}\n"


def test_a_configured_key_is_named_by_its_variable() -> None:
    """The key itself is a secret of the environment, at the first start and later."""
    first, later = (shown(start, BOOTSTRAP_API_KEY=KEY) for start in (FirstStart(None), None))
    assert first.count("Bearer $TALLYHOUSE_BOOTSTRAP_API_KEY") == 3
    assert later == f"It is up.\nAPI reference: {URL}/docs, API key: the one in TALLYHOUSE_BOOTSTRAP_API_KEY\n"
    assert KEY not in first + later
