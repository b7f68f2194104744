"""Functions that a read-only client may call, chosen by category from the engine's own catalogue."""

from collections.abc import Iterable

import msgspec
import orjson

from stream_processors.backends.sql.chdb_statements import ChdbStatements, EngineStatement

_CATEGORIES = """\
Arithmetic, Arrays, Bit, Bitmap, Comparison, Conditional, Dates and Times, Distance, Encoding, Encryption, Financial, \
Geo, Geo Polygon, Hash, IP Address, JSON, Logical, Map, Mathematical, Null, NumericIndexedVector, QBit, Random Number, \
Rounding, String, String Replacement, String Search, String Splitting, Time Window, Tuple, Type Conversion, URL, UUID"""

PURE_CATEGORIES = frozenset(_CATEGORIES.split(", "))
"""Functions of any other category are refused, so those of a category that a later engine adds stay refused until they
are reviewed. Left out on purpose: AI (it uses the network), Dictionary, Embedded Dictionary and Machine Learning (they
load what is configured elsewhere), Introspection, Internal, and of Other all but these:"""

_OTHERS = """
bar blockNumber byteSize countDigits currentDatabase currentSchemas currentUser defaultValueOfTypeName displayName
errorCodeToName finalizeAggregation formatReadableDecimalSize formatReadableQuantity formatReadableSize
formatReadableTimeDelta getSetting getSubcolumn hostName identity ignore initializeAggregation isConstant
isDecimalOverflow materialize neighbor parseReadableSize parseReadableSizeOrNull parseReadableSizeOrZero
parseTimeDelta rowNumberInAllBlocks rowNumberInBlock runningAccumulate runningDifference throwIf toColumnTypeName
toTypeName transform uptime variantElement variantType version visibleWidth"""

PURE_OTHERS = frozenset(_OTHERS.split())

SPECIAL_FORMS = frozenset({"lambda", "exists", "grouping", "casewithexpression", "countdistinct"})
"""Functions that the parser makes of the syntax."""

AGGREGATES_REFUSED = frozenset({"flamegraph", "aggthrow"})

TABLE_FUNCTIONS = frozenset(
    {"numbers", "numbers_mt", "zeros", "zeros_mt", "generateseries", "generate_series", "values", "sqlstandardvalues"}
    | {"null", "primes", "view"}
)
"""Table functions whose rows depend only on their arguments."""

_FUNCTIONS = "SELECT name, is_aggregate, categories, alias_to FROM system.functions WHERE origin = 'System'"
_COMBINATORS = "SELECT name FROM system.aggregate_function_combinators"


class FunctionCatalogue(msgspec.Struct, frozen=True):
    """The allowed names in lower case: the engine ignores the case of some of them."""

    functions: frozenset[str]
    aggregates: frozenset[str]
    combinators: tuple[str, ...]

    def allows(self, name: str) -> bool:
        """Whether the function may be called. Aggregates may have combinators, as in sumIf or quantilesArrayState."""
        name = name.lower()
        return name in self.functions or name in SPECIAL_FORMS or self._is_aggregate(name)

    def _is_aggregate(self, name: str) -> bool:
        if name in self.aggregates:
            return True
        return any(
            self._is_aggregate(name.removesuffix(combinator))
            for combinator in self.combinators
            if name.endswith(combinator) and name != combinator
        )


def read_catalogue(engine: ChdbStatements) -> FunctionCatalogue:
    functions = _rows(engine, _FUNCTIONS)
    plain = [row for row in functions if not row["is_aggregate"]]
    pure = {row["name"] for row in plain if _is_pure(row)}
    aliases = {row["name"] for row in plain if row["alias_to"] in pure}
    aggregates = {row["name"].lower() for row in functions if row["is_aggregate"]}
    return FunctionCatalogue(
        functions=_lower(pure | aliases),
        aggregates=frozenset(aggregates - AGGREGATES_REFUSED),
        combinators=tuple(_lower(row["name"] for row in _rows(engine, _COMBINATORS))),
    )


def _is_pure(row: dict[str, str]) -> bool:
    return row["categories"] in PURE_CATEGORIES or row["name"] in PURE_OTHERS


def _lower(names: Iterable[str]) -> frozenset[str]:
    return frozenset(name.lower() for name in names)


def _rows(engine: ChdbStatements, text: str) -> list[dict[str, str]]:
    answer = engine.run(EngineStatement(text=text, format="JSONEachRow"))
    return [orjson.loads(line) for line in answer.body.splitlines()]
