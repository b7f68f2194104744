"""The pictures in the READMEs: each arrow is an import in the code, and each import between modules is an arrow."""

import re
from pathlib import Path

import pytest

from tests.source_tree import PACKAGES, ROOT, dotted, imports_of, product

DRAWN = ("stream_processors", "rating", "ingest_gateway", "tallyhouse")
"""Packages with folders. `schemas` has none; its README draws the packages."""

_BLOCK = re.compile(r"^```imports\n(.*?)^```$", re.MULTILINE | re.DOTALL)

Arrows = set[tuple[str, str]]
"""(imported, importer)."""


def drawn_in(document: Path) -> Arrows:
    """The arrows of a block of lines such as `core <- ledger, runs`."""
    blocks = _BLOCK.findall(document.read_text())
    assert len(blocks) == 1, f"{document} needs one block that begins with ```imports"
    arrows: Arrows = set()
    for line in filter(str.strip, blocks[0].splitlines()):
        imported, arrow, importers = line.partition("<-")
        assert arrow, f"{document}: expected 'a <- b, c', not {line!r}"
        arrows |= {(imported.strip(), name) for importer in importers.split(",") if (name := importer.strip())}
    return arrows


def part_of(module: str, package: str) -> str:
    """A folder of the package, or a module that stands beside the folders, with its ending."""
    part = module.removeprefix(package + ".").split(".")[0]
    return part if (ROOT / package / part).is_dir() else f"{part}.py"


def imported_within(package: str) -> Arrows:
    """What the parts of one package import of one another."""
    modules = {dotted(path) for path in product()}
    arrows: Arrows = set()
    for path in product():
        importer = dotted(path)
        if not importer.startswith(package + ".") or path.name == "__main__.py":
            continue
        for imported in imports_of(path):
            if imported.name in modules and imported.name.startswith(package + "."):
                arrows.add((part_of(imported.name, package), part_of(importer, package)))
    return {(imported, importer) for imported, importer in arrows if imported != importer}


def imported_between_packages() -> Arrows:
    arrows = {
        (imported.name.split(".")[0], dotted(path).split(".")[0])
        for path in product()
        for imported in imports_of(path)
        if imported.name.split(".")[0] in PACKAGES
    }
    return {(imported, importer) for imported, importer in arrows if imported != importer}


@pytest.mark.parametrize("package", DRAWN)
def test_the_picture_of_a_package_is_its_imports(package: str) -> None:
    """No arrow that is not there, and none left out."""
    assert drawn_in(ROOT / package / "README.md") == imported_within(package)


@pytest.mark.parametrize("document", ["README.md", "schemas/README.md"])
def test_the_picture_of_the_whole_is_its_imports(document: str) -> None:
    """Between packages as well."""
    assert drawn_in(ROOT / document) == imported_between_packages()
