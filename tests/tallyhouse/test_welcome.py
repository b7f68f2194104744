"""What a terminal shows after the start."""

from pathlib import Path

from tallyhouse.welcome import FirstStart, LaterStart, welcome

KEY = "ak_live_sesame"
KEY_FILE = Path("/data/api_key")
URL = "http://127.0.0.1:8787"
NOON = 1_795_262_400_000_000


def shown(start: FirstStart | LaterStart) -> str:
    return welcome("It is up.", URL, KEY_FILE, start, NOON)


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
    assert shown(LaterStart("kept in a file")) == f"It is up.\nAPI reference: {URL}/docs, API key: kept in a file\n"


def test_a_configured_key_is_named_by_its_variable() -> None:
    """The key itself is a secret of the environment."""
    assert shown(FirstStart(None)).count("Bearer $TALLYHOUSE_BOOTSTRAP_API_KEY") == 3
