"""Documents state what the commands, settings, packages and files are."""

import re
from pathlib import Path

import pytest
import typer

from tallyhouse.cli.app import build
from tallyhouse.cli.settings import markdown_table
from tests.source_tree import ROOT, documents, product

DEPLOY = ROOT / "deploy"
SETTINGS = (DEPLOY / "settings.md").read_text()
COMMANDS = (DEPLOY / "commands.md").read_text()
LINK = re.compile(r"\[[^]]*\]\((?!https?://)([^)#\s]*)(?:#([^)\s]*))?\)")


def test_the_table_of_settings_is_the_catalogue() -> None:
    """To mend it, paste what `tallyhouse settings --markdown` prints."""
    table = re.search(r"<!-- settings:.*?-->\n(.*?)<!-- end of settings -->", SETTINGS, re.DOTALL)
    assert table is not None
    assert table[1] == markdown_table()


def test_the_table_of_a_clusters_settings_is_the_catalogue() -> None:
    """To mend it, paste what `tallyhouse settings --cluster --markdown` prints."""
    table = re.search(r"<!-- cluster settings:.*?-->\n(.*?)<!-- end of cluster settings -->", SETTINGS, re.DOTALL)
    assert table is not None
    assert table[1] == markdown_table(cluster=True)


def test_every_command_is_documented() -> None:
    """The table names every command, and no other."""
    group = typer.main.get_command(build())
    commands = getattr(group, "commands", {})
    assert set(re.findall(r"^\| `tallyhouse ([\w-]+)", COMMANDS, re.MULTILINE)) == set(commands)


def test_every_documented_make_target_exists() -> None:
    """In every document."""
    makefile = (ROOT / "Makefile").read_text()
    named = {target for path in documents() for target in re.findall(r"`make ([a-z-]+)`", path.read_text())}
    assert [target for target in sorted(named) if f"\n{target}:" not in makefile] == []


def test_messages_that_the_run_book_quotes_exist() -> None:
    """Their texts are in the product's code, word for word."""
    source = "\n".join(path.read_text() for path in product())
    quoted = re.findall(r'"([^"\n]+)"', (DEPLOY / "README.md").read_text())
    assert [text for text in quoted if text not in source] == []
    assert len(quoted) >= 3


def test_headings_that_messages_name_exist() -> None:
    """A message that points into the run book names one of its headings."""
    # Literals of one message stand on several lines, each with its own quotation marks.
    source = "\n".join(re.sub(r'"\s*\n\s*f?"', "", path.read_text()) for path in product())
    named = re.findall(r"\(deploy/README\.md\) says how under '([^']+)'", source)
    named += re.findall(r"\(see '([^']+)' in deploy/README\.md\)", source)
    headings = re.findall(r"^#+ (.*)$", (DEPLOY / "README.md").read_text(), re.MULTILINE)
    assert set(named) == {"A partition is stuck", "The clock was wrong", "A new log"}
    assert set(named) <= set(headings)


@pytest.mark.parametrize("path", documents(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_relative_link_exists(path: Path) -> None:
    """A linked file exists, and a linked heading is one of that file."""
    broken = []
    for target, heading in LINK.findall(path.read_text()):
        linked = (path.parent / target).resolve() if target else path
        if not linked.exists() or (heading and heading not in _headings(linked)):
            broken.append(f"{target}#{heading}")
    assert broken == []


def _headings(path: Path) -> set[str]:
    """The anchors that GitHub gives to a document's headings."""
    titles = re.findall(r"^#+ (.*)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
