"""Decides whether a statement reads only what it may, by what the engine's own parser makes of it.

`EXPLAIN AST` prints every node of the parsed statement, one per line, indented by depth. Every node type, function and
table of the engine's own databases that is not listed here is refused. Comments, spacing, quoting and case make no
difference, because the parser has already resolved them.
"""

import re
from collections.abc import Iterable, Mapping

from stream_processors.clickhouse_server.errors import ACCESS_DENIED, READONLY, clickhouse_error
from stream_processors.clickhouse_server.function_catalogue import TABLE_FUNCTIONS, FunctionCatalogue
from stream_processors.clickhouse_server.lexer import tokens

_NODES = """
ArrayJoin Asterisk ColumnsExceptTransformer ColumnsListMatcher ColumnsRegexpMatcher ColumnsReplaceTransformer
ColumnsReplaceTransformer::Replacement ColumnsTransformerList DescribeQuery ExistsDatabaseQuery ExistsTableQuery
Explain ExpressionList Function Identifier InterpolateElement Literal OrderByElement QualifiedAsterisk
QualifiedColumnsListMatcher QualifiedColumnsRegexpMatcher SampleRatio SelectIntersectExceptQuery SelectQuery
SelectWithUnionQuery Set ShowColumns ShowCreateDatabaseQuery ShowCreateTableQuery ShowFunctions ShowIndexes
ShowSetting ShowTables Subquery TableExpression TableIdentifier TableJoin TablesInSelectQuery
TablesInSelectQueryElement WindowDefinition WindowListElement WithElement"""

ALLOWED_NODES = frozenset(_NODES.split())
"""ColumnsApplyTransformer is left out on purpose: it calls a function that the outline does not print."""

ALLOWED_EXPLAINS = frozenset({"", " AST", " ESTIMATE", " PIPELINE", " QUERY TREE", " SYNTAX"})

ENGINE_DATABASES = frozenset({"system", "information_schema"})

_ENGINE_TABLES = """
one numbers numbers_mt zeros zeros_mt columns data_skipping_indices data_type_families databases formats functions
parts settings table_engines tables time_zones
schemata key_column_usage referential_constraints statistics table_constraints views character_sets"""

ALLOWED_ENGINE_TABLES = frozenset(_ENGINE_TABLES.split())
"""The tables that clients use to look up tables and types: none about users, other statements or the server."""

_NODE = re.compile(r"(?P<depth> *)(?P<type>[A-Za-z:]+)(?P<rest>(?: .*)?)")
_LINE_BREAK = re.compile(r"\n|\\n")
_SUSPECT = re.compile(rf"outfile|{_LINE_BREAK.pattern}", re.IGNORECASE)
_IDENTIFIER_PARAMETER = re.compile(r"\{\s*(\w+)\s*:\s*Identifier\s*\}")
_NAME = re.compile(r" (?P<name>.*?)(?: \(alias .*\))?(?: \(children \d+\))?")


def check_formatted(text: str, parameters: Mapping[str, str]) -> None:
    """Raises StatementFailed for a statement that writes a file, or whose names would forge lines of the outline.

    The text is as the engine prints it: without comments, and every name that needs quotes has the same quotes.
    """
    # A long statement has a hundred thousand tokens, and this process also counts: most need no second look.
    for token in tokens(text.encode()) if _SUSPECT.search(text) else ():
        if token.is_word("OUTFILE"):
            raise clickhouse_error(READONLY, "Cannot execute query in readonly mode: this port only reads.")
        if token.kind == "name" and _LINE_BREAK.search(token.text.decode()):
            raise clickhouse_error(ACCESS_DENIED, "Not allowed on a read-only port: a name with a line break.")
    for name in _IDENTIFIER_PARAMETER.findall(text):
        if _LINE_BREAK.search(parameters.get(name, "")):
            raise clickhouse_error(ACCESS_DENIED, f"Not allowed on a read-only port: a line break in the name {name}.")


def check_readonly(outline: Iterable[str], catalogue: FunctionCatalogue) -> None:
    """Raises StatementFailed, which names the first node that is not allowed."""
    parent: list[str] = []
    for line in outline:
        node = _NODE.fullmatch(line)
        if node is None or node["type"] not in ALLOWED_NODES:
            raise clickhouse_error(ACCESS_DENIED, f"Not allowed on a read-only port: {line.strip()}.")
        depth = len(node["depth"])
        del parent[depth:]
        _check_node(node["type"], node["rest"], parent[-1] if parent else "", catalogue)
        parent.append(node["type"])
    if not parent:
        raise clickhouse_error(ACCESS_DENIED, "Not allowed on a read-only port: a statement that has no parse.")


def _check_node(kind: str, rest: str, parent: str, catalogue: FunctionCatalogue) -> None:
    name = _name_of(rest)
    if kind == "Function":
        allowed = name.lower() in TABLE_FUNCTIONS if parent == "TableExpression" else catalogue.allows(name)
        if not allowed:
            what = "table function" if parent == "TableExpression" else "function"
            raise clickhouse_error(ACCESS_DENIED, f"Not allowed on a read-only port: {what} {name}.")
    elif kind in ("Identifier", "TableIdentifier"):
        database, _, table = name.lower().partition(".")
        if database in ENGINE_DATABASES and table and table.partition(".")[0] not in ALLOWED_ENGINE_TABLES:
            raise clickhouse_error(ACCESS_DENIED, f"Not allowed on a read-only port: table {name}.")
    elif kind == "Set" and parent != "Explain":
        raise clickhouse_error(
            READONLY, "Cannot modify settings in readonly mode: those of the answer may be set in the URL."
        )
    elif kind == "Explain" and name.removeprefix("EXPLAIN") not in ALLOWED_EXPLAINS:
        raise clickhouse_error(ACCESS_DENIED, f"Not allowed on a read-only port: {name}.")


def _name_of(rest: str) -> str:
    found = _NAME.fullmatch(rest)
    return found["name"] if found else ""
