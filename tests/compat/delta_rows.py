"""Rows for Delta tables: of every type, of every partition value, of the schema of a log."""

import datetime as dt
import decimal
import json
import re

import pyarrow as pa

UTC = dt.timezone.utc
PRIMITIVES = {
    "string": pa.string(), "long": pa.int64(), "integer": pa.int32(), "short": pa.int16(),
    "byte": pa.int8(), "float": pa.float32(), "double": pa.float64(), "boolean": pa.bool_(),
    "binary": pa.binary(), "date": pa.date32(), "timestamp": pa.timestamp("us", "UTC"),
    "timestamp_ntz": pa.timestamp("us"), "void": pa.null()}


def arrow_type(kind):
    """The Arrow type of a type as `schemaString` spells it."""
    if isinstance(kind, str):
        if found := re.fullmatch(r"decimal\((\d+),(-?\d+)\)", kind):
            return pa.decimal128(int(found[1]), int(found[2]))
        return PRIMITIVES[kind]
    if kind["type"] == "struct":
        return pa.struct([arrow_field(field) for field in kind["fields"]])
    if kind["type"] == "array":
        return pa.list_(pa.field("element", arrow_type(kind["elementType"]), kind["containsNull"]))
    return pa.map_(pa.field("key", arrow_type(kind["keyType"]), False),
                   pa.field("value", arrow_type(kind["valueType"]), kind["valueContainsNull"]))


def arrow_field(field):
    return pa.field(field["name"], arrow_type(field["type"]), field["nullable"])


def arrow_schema(text):
    """The Arrow schema of a `schemaString`, as text or parsed."""
    fields = json.loads(text) if isinstance(text, str) else text
    return pa.schema([arrow_field(field) for field in fields["fields"]])


def value(kind, row):
    """A value of an Arrow type; rows differ and hold the ends of the type's range."""
    if pa.types.is_boolean(kind):
        return row % 2 == 0
    if pa.types.is_integer(kind):
        most = 2 ** (kind.bit_width - 1) - 1
        return (7, most, -most - 1)[row % 3]
    if pa.types.is_floating(kind):
        return (1.5, float("-inf"), -0.0)[row % 3]
    if pa.types.is_decimal(kind):
        # From digits: an operator would round to the context's precision.
        negative, digits = ((0, (9,) * kind.precision), (1, (9,) * kind.precision), (0, (1,)))[row % 3]
        return decimal.Decimal((negative, digits, -kind.scale))
    if pa.types.is_date32(kind):
        return (dt.date(2024, 2, 29), dt.date(1969, 12, 31), dt.date(9999, 12, 31))[row % 3]
    if pa.types.is_timestamp(kind):
        naive = (dt.datetime(2024, 2, 29, 12, 0, 0, 1), dt.datetime(1969, 12, 31, 23, 59, 59, 999999),
                 dt.datetime(2100, 1, 1))[row % 3]
        return naive.replace(tzinfo=UTC) if kind.tz else naive
    if pa.types.is_binary(kind):
        return (b"\x00\xff", b"", b"abc")[row % 3]
    if pa.types.is_struct(kind):
        return {field.name: optional_value(field, row) for field in kind}
    if pa.types.is_map(kind):
        return [] if row % 3 == 1 else [(value(kind.key_type, row), optional_value(kind.item_field, row))]
    if pa.types.is_list(kind):
        return [] if row % 3 == 1 else [optional_value(kind.value_field, row)] * 2
    if pa.types.is_null(kind):
        return None
    return ("plain", "a b/c=d%20'\"ü\U0001F600", "z" * 40)[row % 3]


def optional_value(field, row):
    return None if field.nullable and row % 4 == 3 else value(field.type, row)


def some_rows(schema, count=8):
    """`count` rows: every fourth NULL wherever that is allowed."""
    rows = [{field.name: optional_value(field, row) for field in schema} for row in range(count)]
    return pa.Table.from_pylist(rows, schema=schema)


def every_type(shift=0):
    d = decimal.Decimal
    naive = [dt.datetime(1969, 12, 31, 23, 59, 59, 999999), dt.datetime(2024, 2, 29, 1, 2, 3, 456789),
             None]
    return pa.table({
        "b": pa.array([True, None, False]),
        "i8": pa.array([-128, 127, None], pa.int8()),
        "i16": pa.array([-32768, 32767, None], pa.int16()),
        "i32": pa.array([-2**31, 2**31 - 1, None], pa.int32()),
        "i64": pa.array([-2**63 + shift, 2**63 - 1, None], pa.int64()),
        "f32": pa.array([-1.5, 3.25e10, None], pa.float32()),
        "f64": pa.array([-0.0, 1e300, None]),
        "nan": pa.array([float("nan"), 1.0, None]),
        "inf": pa.array([float("-inf"), float("inf"), 0.0]),
        "s": pa.array(["", "ü\U0001F600" * 40, None]),
        "bin": pa.array([b"", b"\x00\xff", None], pa.binary()),
        "day": pa.array([dt.date(1, 1, 1), dt.date(9999, 12, 31), None]),
        "ts": pa.array([t and t.replace(tzinfo=UTC) for t in naive], pa.timestamp("us", "UTC")),
        "dec9": pa.array([d("-1234567.89"), d("0.01"), None], pa.decimal128(9, 2)),
        "dec38": pa.array([d("-9" * 1 + "9" * 27 + "." + "9" * 10), d("0.0000000001"), None],
                          pa.decimal128(38, 10)),
        "list": pa.array([[1, None, 3], [], None], pa.list_(pa.int64())),
        "map": pa.array([[("a", 1), ("b", None)], [], None], pa.map_(pa.string(), pa.int64())),
        "struct": pa.array([{"x": 1, "y": {"z": "t"}}, {"x": None, "y": None}, None],
                           pa.struct([("x", pa.int32()), ("y", pa.struct([("z", pa.string())]))])),
        "deep": pa.array([[{"m": [("k", [1.5, None])]}], None, [None]],
                         pa.list_(pa.struct([("m", pa.map_(pa.string(), pa.list_(pa.float64())))]))),
    })


PARTITION_VALUES = {
    "s": (pa.string(), ["plain", "a b", "a/b", "50%", "x=y", "ü", "..", "%2F", "'\"", None, ""]),
    "i": (pa.int32(), [1, -5, None]),
    "l": (pa.int64(), [2**60, -2**60]),
    "b": (pa.bool_(), [True, False, None]),
    "d": (pa.date32(), [dt.date(2024, 2, 29), dt.date(1969, 12, 31), None]),
    "dec": (pa.decimal128(10, 3), [decimal.Decimal("-0.001"), decimal.Decimal("1234567.000")]),
    "f": (pa.float64(), [1.5, -1e-7, 1e22, 0.1]),
    "ts": (pa.timestamp("us", "UTC"), [dt.datetime(2024, 1, 1, 0, 0, 0, 1, UTC),
                                       dt.datetime(1969, 1, 1, tzinfo=UTC), None]),
    "ntz": (pa.timestamp("us"), [dt.datetime(2024, 1, 1, 0, 0, 0, 1), None]),
}
