"""Every Arrow type DuckDB can hold: sent over both protocols, read back over both, equal.

A column is [value, null, value ...]. The type that comes back is the one sent unless the row of
the table says otherwise (DuckDB's nearest, with the same values).
"""

import datetime as dt
import decimal
import uuid

import numpy as np
import pyarrow as pa
import pyarrow.flight as flight
import pytest

from arrowport_testing import put

D = decimal.Decimal
UTC = dt.timezone.utc


def integers(kind):
    info = np.iinfo(kind.to_pandas_dtype())
    return pa.array([info.min, None, info.max, 1], kind)


def dictionary(kind, index=pa.int32()):
    return pa.array(["a", None, "b", "a"], kind).dictionary_encode().cast(pa.dictionary(index, kind))


US = [dt.datetime(1970, 1, 1), None, dt.datetime(2026, 2, 28, 23, 59, 59, 999999), dt.datetime(1900, 1, 1)]
NS = pa.array([0, None, 1_700_000_000_123_456_789, -1], pa.timestamp("ns"))
POINT = pa.struct([("x", pa.int32()), ("y", pa.utf8())])
POINTS = [{"x": 1, "y": "a"}, None, {"x": None, "y": None}, {"x": 2, "y": "b"}]

CASES = {
    # name: (array, type that comes back or None for the same)
    "bool": (pa.array([True, None, False]), None),
    **{str(k): (integers(k), None) for k in (pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(),
                                             pa.uint16(), pa.uint32(), pa.uint64())},
    "float16": (pa.array([np.float16(1.5), None, np.float16(-2)], pa.float16()), pa.float32()),
    "float32": (pa.array([1.5, None, -0.0, float("inf"), 3e38], pa.float32()), None),
    "float64": (pa.array([1.1, None, -0.0, float("-inf"), 1e308]), None),
    "decimal32": (pa.array([D("1.23"), None, D("-9999.99")], pa.decimal32(6, 2)), pa.decimal128(6, 2)),
    "decimal64": (pa.array([D("1.23"), None, D("-99999999.99")], pa.decimal64(10, 2)), pa.decimal128(10, 2)),
    "decimal128_4": (pa.array([D("1.2"), None, D("-9.9")], pa.decimal128(4, 1)), None),
    "decimal128_38": (pa.array([D("1" * 28 + "." + "2" * 10), None, D("-" + "9" * 28 + "." + "9" * 10)],
                               pa.decimal128(38, 10)), None),
    "utf8": (pa.array(["", None, "ünï 🛬", "x" * 5000, "with\0nul"]), None),
    "large_utf8": (pa.array(["", None, "long" * 50], pa.large_utf8()), pa.utf8()),
    "utf8_view": (pa.array(["", None, "a view of more than twelve bytes"], pa.string_view()), pa.utf8()),
    "binary": (pa.array([b"", None, b"\0\xff\x80"]), None),
    "large_binary": (pa.array([b"", None, b"\0\xff"], pa.large_binary()), pa.binary()),
    "binary_view": (pa.array([b"", None, b"\0" * 40], pa.binary_view()), pa.binary()),
    "fixed_binary": (pa.array([b"abcd", None, b"\0\0\0\0"], pa.binary(4)), pa.binary()),
    "date32": (pa.array([dt.date(1970, 1, 1), None, dt.date(2026, 11, 21), dt.date(1, 1, 1)]), None),
    "date64": (pa.array([dt.date(1970, 1, 1), None, dt.date(2026, 11, 21)], pa.date64()), pa.date32()),
    "time32_s": (pa.array([dt.time(1, 2, 3), None], pa.time32("s")), pa.time64("us")),
    "time32_ms": (pa.array([dt.time(1, 2, 3, 4000), None], pa.time32("ms")), pa.time64("us")),
    "time64_us": (pa.array([dt.time(23, 59, 59, 999999), None, dt.time(0)], pa.time64("us")), None),
    "time64_ns": (pa.array([1, None, 86_399_999_999_999], pa.time64("ns")), None),
    "timestamp_s": (pa.array([dt.datetime(2026, 1, 2, 3, 4, 5), None], pa.timestamp("s")), None),
    "timestamp_ms": (pa.array([dt.datetime(2026, 1, 2, 3, 4, 5, 6000), None], pa.timestamp("ms")), None),
    "timestamp_us": (pa.array(US, pa.timestamp("us")), None),
    "timestamp_ns": (NS, None),
    "timestamp_us_utc": (pa.array([u.replace(tzinfo=UTC) if u else None for u in US], pa.timestamp("us", "UTC")),
                         None),
    "timestamp_ms_utc": (pa.array([0, None, 1_700_000_000_123], pa.timestamp("ms", "UTC")),
                         pa.timestamp("us", "UTC")),
    "duration_us": (pa.array([dt.timedelta(days=40, microseconds=5), None, dt.timedelta(0)], pa.duration("us")),
                    pa.month_day_nano_interval()),
    "interval": (pa.array([pa.MonthDayNano([1, 2, 3000]), None, pa.MonthDayNano([0, -1, 0])]), None),
    "dictionary_int8": (dictionary(pa.utf8(), pa.int8()), pa.utf8()),
    "dictionary_int32": (dictionary(pa.utf8()), pa.utf8()),
    "dictionary_of_int": (pa.array([5, None, 6, 5]).dictionary_encode(), pa.int64()),
    "run_end": (pa.RunEndEncodedArray.from_arrays([2, 3, 5], pa.array([7, None, 9])), pa.int64()),
    "list": (pa.array([[1, 2], None, [], [None]], pa.list_(pa.int32())), None),
    "large_list": (pa.array([[1, 2], None, []], pa.large_list(pa.int64())), pa.list_(pa.int64())),
    "list_view": (pa.array([[1, 2], None, []], pa.list_view(pa.int64())), pa.list_(pa.int64())),
    "fixed_list": (pa.array([[1.0, 2.0, 3.0], None, [4.0, None, 6.0]], pa.list_(pa.float32(), 3)), None),
    "list_of_list": (pa.array([[[1], []], None, [None, [2, 3]]], pa.list_(pa.list_(pa.int64()))), None),
    "list_of_text": (pa.array([["a", None], [], None], pa.list_(pa.utf8())), None),
    "struct": (pa.array(POINTS, POINT), None),
    "list_of_struct": (pa.array([POINTS, None, []], pa.list_(POINT)), None),
    "map": (pa.array([[("a", 1), ("b", None)], None, []], pa.map_(pa.utf8(), pa.int64())), None),
    "struct_of_all": (pa.array([{"l": [1], "m": [("k", 1.5)], "s": {"d": D("1.50")}}, None],
                               pa.struct([("l", pa.list_(pa.int64())), ("m", pa.map_(pa.utf8(), pa.float64())),
                                          ("s", pa.struct([("d", pa.decimal128(9, 2))]))])), None),
    "uuid": (pa.array([uuid.UUID(int=5).bytes, None], pa.uuid()), pa.string()),
    "null": (pa.nulls(3), "any"),
}


def plain(value):
    """A value without the differences of encodings."""
    if isinstance(value, pa.MonthDayNano):
        return ("interval", value.months, value.days, value.nanoseconds)
    if isinstance(value, dt.timedelta):
        return ("interval", 0, 0, (value // dt.timedelta(microseconds=1)) * 1000)
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, list):
        return [plain(v) for v in value]
    if isinstance(value, np.floating):
        return float(value)
    return value


def values(column):
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    if isinstance(column, pa.ExtensionArray):
        column = column.storage
    if pa.types.is_run_end_encoded(column.type):
        import pyarrow.compute as pc
        column = pc.run_end_decode(column)
    if column.type in (pa.timestamp("ns"), pa.time64("ns")):
        column = column.cast(pa.int64())
    return [plain(v) for v in column.to_pylist()]


def durations_as_one_interval(sent, got):
    """DuckDB splits nothing, but days of an interval may carry what micros did."""
    day = 86_400_000_000_000
    join = lambda v: v if v is None else (v[1], v[2] * day + v[3])
    return [join(v) for v in sent], [join(v) for v in got]


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("protocol", ["flight", "http"])
def test_round_trip(server, name, protocol):
    array, back = CASES[name]
    table = pa.table({"n": pa.array(range(len(array)), pa.int32()), "x": array})
    target = f"types_{protocol}_{name}".replace("[", "_").replace("]", "")
    with server.flight() as client:
        if protocol == "flight":
            put(client, target, table)
        else:
            reply = server.ingest(target, table)
            assert reply.status == 200, reply.body
        sql = f"SELECT * FROM {target} ORDER BY n"
        over_flight = client.do_get(flight.Ticket(sql)).read_all()
    over_http = server.query(sql).table
    assert over_flight.schema == over_http.schema
    for got in (over_flight, over_http):
        sent_values, got_values = values(array), values(got["x"])
        if name == "uuid":  # text by default: many clients read no extension types
            sent_values = [value and str(uuid.UUID(bytes=value)) for value in sent_values]
        if name.startswith("duration"):
            sent_values, got_values = durations_as_one_interval(sent_values, got_values)
        assert got_values == sent_values
        if back != "any":
            expected = back or array.type
            assert got.schema.field("x").type.equals(expected), \
                f"{got.schema.field('x').type} came back for {array.type}, expected {expected}"


def test_all_types_in_one_table(server):
    length = 3
    columns = {}
    for name, (array, _) in CASES.items():
        column = array if len(array) >= length else pa.concat_arrays([array, pa.nulls(length - len(array),
                                                                                      array.type)])
        columns[name] = column.slice(0, length)
    table = pa.table(columns)
    reply = server.ingest("all_types", table)
    assert reply.status == 200, reply.body
    with server.flight() as client:
        got = client.do_get(flight.Ticket("SELECT * FROM all_types")).read_all()
    assert got.num_rows == length and got.schema.names == list(columns)


EXACT = [
    # A type DuckDB holds with less precision: accepted when every value fits, else refused by name.
    ("timestamp_ns_utc", pa.timestamp("ns", "UTC"), [1_000, 2_000], [1_000, 2_001]),
    ("duration_ns", pa.duration("ns"), [1_000, 5_000], [1]),
    ("duration_s", pa.duration("s"), [1, 86_400], [9_223_372_036_854_775_807]),
]


@pytest.mark.parametrize("name, kind, fits, does_not", EXACT, ids=[case[0] for case in EXACT])
def test_less_precision_is_refused_by_value_not_by_type(server, name, kind, fits, does_not):
    good = server.ingest(f"exact_{name}", pa.table({"x": pa.array(fits, kind)}))
    assert good.status == 200, good.body
    bad = server.ingest(f"exact_{name}", pa.table({"x": pa.array(does_not, kind)}))
    assert bad.status in (400, 409), bad.body
    assert "x" in bad.json["message"]
    assert server.value(f"SELECT count(*) FROM exact_{name}") == len(fits)


def test_month_day_nano_with_odd_nanoseconds_is_refused(server):
    reply = server.ingest("odd_nanos", pa.table({"x": pa.array([pa.MonthDayNano([0, 0, 1])])}))
    assert reply.status in (400, 409) and "x" in reply.json["message"]


def test_a_decimal_that_does_not_fit_is_refused_by_name(server):
    array = pa.array([D("1" * 50)], pa.decimal256(60, 0))
    reply = server.ingest("too_wide", pa.table({"wide_one": array}))
    assert (reply.status, reply.code) in ((400, "UNSUPPORTED_TYPE"), (409, "SCHEMA_MISMATCH"))
    assert "wide_one" in reply.json["message"]


def test_sliced_and_offset_batches(server):
    base = pa.table({"n": pa.array(range(1000), pa.int32()), "s": [f"v{i}" if i % 3 else None for i in range(1000)],
                     "b": [i % 2 == 0 for i in range(1000)], "l": [[i] * (i % 4) for i in range(1000)]})
    with server.flight() as client:
        put(client, "sliced", base.slice(13, 777), chunk_rows=101)
        got = client.do_get(flight.Ticket("SELECT * FROM sliced ORDER BY n")).read_all()
    assert got.to_pylist() == base.slice(13, 777).to_pylist()
