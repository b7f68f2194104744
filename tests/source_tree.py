"""The product's own source, parsed once: modules, imports and definitions, for the tests of its structure."""

import ast
import tokenize
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("schemas", "stream_processors", "rating", "ingest_gateway", "tallyhouse")


class Imported(NamedTuple):
    """One import statement's target."""

    name: str
    line: int


class Defined(NamedTuple):
    """A public class, function or constant at the top of a module, or a public method of a class."""

    module: str
    name: str
    line: int
    owner: str | None
    """The class of a method."""


@cache
def product() -> tuple[Path, ...]:
    """Every product module, `__init__` included."""
    return tuple(path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py")))


@cache
def everything() -> tuple[Path, ...]:
    """Product and tests."""
    return (*product(), *sorted((ROOT / "tests").rglob("*.py")))


@cache
def documents() -> tuple[Path, ...]:
    """Every Markdown page of the project."""
    folders = (*PACKAGES, "tests", "deploy")
    return (
        *sorted(ROOT.glob("*.md")),
        *(path for folder in folders for path in sorted((ROOT / folder).rglob("*.md"))),
    )


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def name_of(path: Path) -> str:
    """`rating/core/lines` for the module at that place."""
    return path.relative_to(ROOT).with_suffix("").as_posix()


def dotted(path: Path) -> str:
    return name_of(path).replace("/", ".").removesuffix(".__init__")


@cache
def imports_of(path: Path) -> tuple[Imported, ...]:
    """What a module imports: the module named, and each name as if it were a module, for it may be one."""
    found: list[Imported] = []
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            found += [Imported(alias.name, node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found.append(Imported(node.module or "", node.lineno))
            found += [Imported(f"{node.module}.{alias.name}", node.lineno) for alias in node.names]
    return tuple(found)


@cache
def importers() -> dict[str, frozenset[str]]:
    """Product module → the product modules that import it."""
    known = {dotted(path) for path in product()}
    found: dict[str, set[str]] = {name: set() for name in known}
    for path in product():
        for imported in imports_of(path):
            if imported.name in known and imported.name != dotted(path):
                found[imported.name].add(dotted(path))
    return {name: frozenset(by) for name, by in found.items()}


@cache
def uses() -> Counter[str]:
    """How often each identifier stands in the product, its definition and imports of it left out."""
    counts: Counter[str] = Counter()
    for path in product():
        defines = False
        with tokenize.open(path) as source:
            for token in tokenize.generate_tokens(source.readline):
                if token.type == tokenize.NAME:
                    counts[token.string] += not defines
                    defines = token.string in ("def", "class")
                elif token.type == tokenize.STRING and token.string[:1] in "fF":
                    # Python 3.11 gives an f-string as one token.
                    counts.update(_names_in(token.string))
        counts.subtract(_imported_names(path))
    return counts


def _names_in(f_string: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(f_string.strip(), mode="eval")):
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr


def _imported_names(path: Path) -> Iterator[str]:
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.ImportFrom):
            yield from (alias.name for alias in node.names)
            yield from (node.module or "").split(".")
        elif isinstance(node, ast.Import):
            yield from (part for alias in node.names for part in alias.name.split("."))


def definitions(path: Path) -> Iterator[Defined]:
    """The public names that a module defines, and the public methods of its classes."""
    module = name_of(path)
    for node in tree_of(path).body:
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                yield Defined(module, node.name, node.lineno, None)
            case ast.ClassDef():
                yield Defined(module, node.name, node.lineno, None)
                for inner in node.body:
                    if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef):
                        yield Defined(module, inner.name, inner.lineno, node.name)
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                yield Defined(module, name, node.lineno, None)
            case _:
                pass
