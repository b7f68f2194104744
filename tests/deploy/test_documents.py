"""The README cannot drift from what the commands and settings are."""

import re
from pathlib import Path

import typer

from tallyhouse.cli.app import build
from tallyhouse.cli.settings import markdown_table

README = Path(__file__).parents[2] / "README.md"


def test_the_table_of_settings_is_the_catalogue() -> None:
    """Put in what `tallyhouse settings --markdown` prints."""
    table = re.search(r"<!-- settings:.*?-->\n(.*?)<!-- end of settings -->", README.read_text(), re.DOTALL)
    assert table is not None
    assert table[1] == markdown_table()


def test_the_table_of_a_clusters_settings_is_the_catalogue() -> None:
    """Put in what `tallyhouse settings --cluster --markdown` prints."""
    text = (README.parent / "deploy" / "README.md").read_text()
    table = re.search(r"<!-- cluster settings:.*?-->\n(.*?)<!-- end of cluster settings -->", text, re.DOTALL)
    assert table is not None
    assert table[1] == markdown_table(cluster=True)


def test_every_command_is_told() -> None:
    """And no command is told that there is not."""
    group = typer.main.get_command(build())
    commands = getattr(group, "commands", {})
    assert set(re.findall(r"^\| `tallyhouse ([\w-]+)", README.read_text(), re.MULTILINE)) == set(commands)


def test_every_make_target_for_users_is_told() -> None:
    """Those the README names exist."""
    makefile = README.with_name("Makefile").read_text()
    named = set(re.findall(r"`make ([a-z-]+)`", README.read_text()))
    assert [target for target in sorted(named) if f"\n{target}:" not in makefile] == []
