"""Documents state what the commands, settings, packages and files are."""

import re
from pathlib import Path

import pytest
import typer

from tallyhouse.cli.app import build
from tallyhouse.cli.settings import markdown_table
from tests.source_tree import PACKAGES, imports_of, product

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
SETTINGS = (DEPLOY / "settings.md").read_text()
COMMANDS = (DEPLOY / "commands.md").read_text()
DOCUMENTS = sorted(path for path in ROOT.rglob("*.md") if not any(part.startswith(".") for part in path.parts))
LINK = re.compile(r"\[[^]]*\]\((?!https?://)([^)#\s]*)(?:#([^)\s]*))?\)")
ROOMS = re.compile(r"^```rooms\n(.*?)^```", re.MULTILINE | re.DOTALL)


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
    named = {target for path in DOCUMENTS for target in re.findall(r"`make ([a-z-]+)`", path.read_text())}
    assert [target for target in sorted(named) if f"\n{target}:" not in makefile] == []


def test_the_readme_draws_the_packages_as_they_import_each_other() -> None:
    """Each line of the block is a package, an arrow, and the packages that import it."""
    block = ROOMS.search((ROOT / "README.md").read_text())
    assert block is not None
    drawn = {}
    for line in block[1].splitlines():
        package, _, importers = line.partition("<-")
        drawn[package.strip()] = {importer.strip() for importer in importers.split(",") if importer.strip()}
    importers_of: dict[str, set[str]] = {package: set() for package in PACKAGES}
    for path in product():
        importer = path.relative_to(ROOT).parts[0]
        for imported, _ in imports_of(path):
            package = imported.split(".")[0]
            if package in importers_of and package != importer:
                importers_of[package].add(importer)
    assert drawn == importers_of


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
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
