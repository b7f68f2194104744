"""Arrow layouts in the store's words: what an insert says of the data that comes with it."""

import pyarrow as pa

from schemas.tables import HASH, LATEST, MICROS, QUANTITY

_TYPES = {
    pa.uint8(): "UInt8",
    pa.uint16(): "UInt16",
    pa.uint32(): "UInt32",
    pa.uint64(): "UInt64",
    pa.int64(): "Int64",
    pa.string(): "String",
    # An instant; without its zone, which would need quotes within quotes. Stored it has that of the column.
    MICROS: "DateTime64(6)",
    HASH: "FixedString(16)",
    QUANTITY: "Decimal(38, 12)",
    pa.list_(HASH): "Array(FixedString(16))",
}

_MAY_BE_NULL = ("min", "max")


def structure_of(layout: pa.Schema) -> str:
    """Names and types, such as `p UInt16, n UInt64`."""
    return ", ".join(f"{field.name} {_type_of(field)}" for field in layout)


def _type_of(field: pa.Field) -> str:
    if field.type == LATEST:
        return f"Tuple({structure_of(pa.schema(list(LATEST)))})"
    return f"Nullable({_TYPES[field.type]})" if field.name in _MAY_BE_NULL else _TYPES[field.type]
