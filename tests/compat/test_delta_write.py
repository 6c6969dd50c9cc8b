"""Delta tables written by this library, judged by foreign readers: deltalake and DuckDB's delta
extension, installed by tools/setup_compat."""

import datetime as dt
import decimal
import json
import math
import os
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet
import pytest

from delta_rows import PARTITION_VALUES, UTC, every_type

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("ARROWPORT_BUILD_DIR", ROOT / "build/release"))
PROGRAM = BUILD / "tests/compat/delta_land"
sys.path.append(str(ROOT / ".deps/compat/delta"))  # tools/setup_compat

deltalake = pytest.importorskip("deltalake")
duckdb = pytest.importorskip("duckdb")


def find_extension():
    """The delta extension of its Python package."""
    try:
        import duckdb_extension_delta
    except ImportError:
        pytest.skip("duckdb-extension-delta is not installed", allow_module_level=True)
    folder = Path(list(duckdb_extension_delta.__path__)[0])
    found = sorted(folder.rglob("*.duckdb_extension"))
    if not found:
        pytest.skip("duckdb-extension-delta holds no extension", allow_module_level=True)
    return found[0]


EXTENSION = find_extension()

if not PROGRAM.exists():
    pytest.skip(f"{PROGRAM} is not built", allow_module_level=True)


class Table:
    def __init__(self, folder):
        self.path = folder / "table"
        self.folder = folder
        self.files = 0

    def put(self, table, batch_rows=None):
        """The Arrow stream file of `table`."""
        path = self.folder / f"input-{self.files}.arrows"
        self.files += 1
        with pa.ipc.new_stream(path, table.schema) as writer:
            writer.write_table(table, max_chunksize=batch_rows)
        return path

    def start(self, *words):
        return subprocess.Popen([PROGRAM, self.path, *map(str, words)], stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True)

    def run(self, *words, fails=None):
        """Runs a script; its steps as objects. `fails`: the error of its last step."""
        done = subprocess.run([PROGRAM, self.path, *map(str, words)], capture_output=True,
                              text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        steps = [json.loads(line) for line in done.stdout.splitlines()]
        errors = [step["error"] for step in steps if step["error"]]
        assert errors == ([fails] if fails else []), done.stderr
        return steps

    def deltalake(self, version=None):
        return deltalake.DeltaTable(self.path, version=version).to_pyarrow_table()

    def duckdb(self, query="SELECT * FROM {}"):
        connection = duckdb.connect(config={"allow_unsigned_extensions": "true"})
        connection.execute(f"LOAD '{EXTENSION}'")
        connection.execute("SET TimeZone = 'UTC'")
        scan = f"delta_scan('{self.path}')"
        return connection.execute(query.format(scan)).to_arrow_table()

    def adds(self):
        """The live add actions by the log, for a table without removes."""
        actions = []
        for commit in sorted((self.path / "_delta_log").glob("*.json")):
            for line in commit.read_text().splitlines():
                action = json.loads(line)
                if "add" in action:
                    actions.append(action["add"])
        return actions


@pytest.fixture
def table(tmp_path):
    return Table(tmp_path)


def canonical(value):
    if isinstance(value, dict):
        return tuple(sorted((key, canonical(item)) for key, item in value.items()))
    if isinstance(value, (list, tuple)):
        return tuple(canonical(item) for item in value)
    if isinstance(value, float):
        return "NaN" if math.isnan(value) else value + 0.0
    if isinstance(value, dt.datetime) and value.tzinfo:
        return value.astimezone(dt.timezone.utc).isoformat()
    return value


def multiset(rows):
    names = sorted(rows.column_names)
    listed = [tuple(canonical(row[name]) for name in names) for row in rows.to_pylist()]
    return names, sorted(listed, key=repr)


def judge(table, expected, readers=("deltalake", "duckdb")):
    for reader in readers:
        assert multiset(getattr(table, reader)()) == multiset(expected), reader


def test_every_type(table):
    rows = pa.concat_tables([every_type(0), every_type(1)])
    table.run(f"append={table.put(every_type(0))}", f"append={table.put(every_type(1))}")
    judge(table, rows)


def test_layouts_that_become_plain_types(table):
    rows = pa.table({
        "u8": pa.array([255, None], pa.uint8()), "u16": pa.array([65535, None], pa.uint16()),
        "u32": pa.array([2**32 - 1, None], pa.uint32()),
        "dict": pa.array(["x", None]).dictionary_encode(),
        "large": pa.array(["x", None], pa.large_string()), "view": pa.array(["x", None], pa.string_view()),
        "ms": pa.array([1, None], pa.timestamp("ms", "Europe/Berlin")),
        "d32": pa.array([decimal.Decimal("1.5"), None], pa.decimal32(5, 1)),
        "fixed": pa.array([[1, 2], None], pa.list_(pa.int64(), 2)),
    })
    table.run(f"append={table.put(rows)}")
    judge(table, pa.table({
        "u8": pa.array([255, None], pa.int16()), "u16": [65535, None], "u32": [2**32 - 1, None],
        "dict": ["x", None], "large": ["x", None], "view": ["x", None],
        "ms": pa.array([dt.datetime(1970, 1, 1, 0, 0, 0, 1000, UTC), None]),
        "d32": [decimal.Decimal("1.5"), None], "fixed": [[1, 2], None]}))


def test_timestamps_without_zone(table):
    rows = pa.table({"t": pa.array([dt.datetime(1969, 12, 31, 23, 59, 59, 999999), None])})
    table.run(f"append={table.put(rows)}")
    judge(table, rows)
    protocol = deltalake.DeltaTable(table.path).protocol()
    assert (protocol.min_reader_version, protocol.min_writer_version) == (3, 7)


@pytest.mark.parametrize("codec", ["snappy", "zstd", "zstd:9", "gzip", "lz4", "none"])
@pytest.mark.parametrize("encoding", ["packed", "plain"])
def test_codecs(table, codec, encoding):
    rows = pa.table({"id": pa.array(range(5000)), "s": [f"value {i % 7}" for i in range(5000)]})
    words = [f"compression={codec}", "groups=2000", f"append={table.put(rows, 700)}"]
    table.run(*(["plain"] if encoding == "plain" else []), *words)
    judge(table, rows)


def test_required_columns(table):
    inner = pa.struct([pa.field("x", pa.int64(), nullable=False), pa.field("y", pa.int64())])
    schema = pa.schema([pa.field("id", pa.int64(), nullable=False),
                        pa.field("maybe", inner), pa.field("sure", inner, nullable=False),
                        pa.field("list", pa.list_(pa.field("element", pa.int64(), nullable=False)))])
    rows = pa.Table.from_pylist(
        [{"id": 1, "maybe": None, "sure": {"x": 1, "y": None}, "list": [1, 2]},
         {"id": 2, "maybe": {"x": 5, "y": 6}, "sure": {"x": 2, "y": 3}, "list": None}], schema)
    table.run(f"append={table.put(rows)}")
    judge(table, rows)
    assert check_statistics(table, unbounded=("list",)) > 5
    loose = pa.schema([pa.field("id", pa.int64()), *list(schema)[1:]])
    bad = rows.set_column(0, loose.field(0), pa.array([None, 3], pa.int64()))
    table.run(f"append={table.put(bad)}", fails="CONSTRAINT_VIOLATION")


@pytest.mark.parametrize("kind", PARTITION_VALUES)
def test_partition_values(table, kind):
    type_, values = PARTITION_VALUES[kind]
    rows = pa.table({"p": pa.array(values * 2, type_), "id": pa.array(range(2 * len(values)))})
    table.run("partition=p", f"append={table.put(rows)}")
    readers = ("deltalake", "duckdb")
    if kind == "dec":  # deltalake reads "-0.001" as "0.0-1"
        readers = ("duckdb",)
    if kind == "s":
        column = pa.array([value or None for value in values * 2], type_)
        rows = rows.set_column(0, "p", column)
    judge(table, rows, readers)


def test_two_partition_columns_and_part_overwrite(table):
    rows = pa.table({"day": ["a", "b", "a", "b"], "n": pa.array([1, 1, 2, None], pa.int32()),
                     "id": [1, 2, 3, 4]})
    table.run("partition=day,n", f"append={table.put(rows)}")
    judge(table, rows)
    more = pa.table({"day": ["b"], "n": pa.array([7], pa.int32()), "id": [9]})
    table.run("where=day=b", f"overwrite={table.put(more)}")
    judge(table, pa.concat_tables([rows.filter([True, False, True, False]), more]))


def test_schema_growth(table):
    first = pa.table({"id": [1], "s": pa.array([{"a": 1}])})
    second = pa.table({"id": [2], "s": pa.array([{"b": "x"}]), "extra": [1.5]})
    table.run("mode=merge", f"append={table.put(first)}", f"append={table.put(second)}")
    judge(table, pa.Table.from_pylist(
        [{"id": 1, "s": {"a": 1, "b": None}, "extra": None},
         {"id": 2, "s": {"a": None, "b": "x"}, "extra": 1.5}]))


def test_widened_types(table):
    first = pa.table({"n": pa.array([1], pa.int32()), "f": pa.array([1.5], pa.float32())})
    second = pa.table({"n": pa.array([2**40]), "f": pa.array([1e300])})
    table.run("mode=merge", "widen", f"append={table.put(first)}", f"append={table.put(second)}")
    judge(table, pa.table({"n": [1, 2**40], "f": [1.5, 1e300]}), readers=("duckdb",))


def test_overwrite_with_another_schema_and_time_travel(table):
    first, second = pa.table({"id": [1, 2]}), pa.table({"name": ["x"]})
    table.run(f"append={table.put(first)}", "mode=overwrite", f"overwrite={table.put(second)}")
    judge(table, second)
    assert multiset(table.deltalake(version=0)) == multiset(first)


def test_change_feed_of_appends_and_overwrites(table):
    first, second = pa.table({"id": [1, 2]}), pa.table({"id": [3]})
    table.run("property=delta.enableChangeDataFeed=true", f"append={table.put(first)}",
              f"append={table.put(second)}", f"overwrite={table.put(second)}")
    judge(table, second)
    feed = pa.table(deltalake.DeltaTable(table.path).load_cdf(starting_version=0).read_all())
    changes = sorted(zip(feed["_commit_version"].to_pylist(), feed["_change_type"].to_pylist(),
                         feed["id"].to_pylist()))
    assert changes == [(0, "insert", 1), (0, "insert", 2), (1, "insert", 3), (2, "delete", 1),
                       (2, "delete", 2), (2, "delete", 3), (2, "insert", 3)]


@pytest.mark.parametrize("properties", [
    [], ["property=delta.checkpointPolicy=v2"], ["property=delta.enableInCommitTimestamps=true"]])
def test_checkpoints(table, properties):
    rows = pa.table({"p": ["a", "b"], "id": [1, 2]})
    path = table.put(rows)
    table.run(*properties, "partition=p", f"loop={path}:12", f"overwrite={path}", "checkpoint",
              f"append={path}")
    for commit in range(12):
        (table.path / "_delta_log" / f"{commit:020}.json").unlink()
    # deltalake does not read tables with the feature v2Checkpoint.
    readers = ("duckdb",) if "v2" in str(properties) else ("deltalake", "duckdb")
    judge(table, pa.concat_tables([rows, rows]), readers)
    words = (table.path / "_delta_log" / "_last_checkpoint").read_text()
    assert json.loads(words)["version"] == 12


def test_a_table_of_deltalake_goes_on(table):
    rows = pa.table({"p": ["a", None], "id": [1, 2]})
    deltalake.write_deltalake(table.path, rows, partition_by=["p"])
    table.run(f"append={table.put(rows)}", "checkpoint")
    deltalake.write_deltalake(table.path, rows, mode="append")
    table.run(f"append={table.put(rows)}")
    judge(table, pa.concat_tables([rows] * 4))


def test_a_newer_feature_is_refused_by_name(table):
    rows = pa.table({"id": [1, 2]})
    deltalake.write_deltalake(table.path, rows)
    log = table.path / "_delta_log" / f"{1:020}.json"
    log.write_text(json.dumps({"protocol": {
        "minReaderVersion": 1, "minWriterVersion": 7, "writerFeatures": ["appendOnly", "rowTracking"]}}))
    table.run(f"append={table.put(rows)}", fails="NOT_BUILT")


# ---- statistics tell the truth ---------------------------------------------------------------


def leaves(value, path=()):
    if isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, (*path, key))
    else:
        yield path, value


def column_at(rows, path):
    column = rows.column(path[0])
    for name in path[1:]:
        column = pa.chunked_array([pa.compute.struct_field(chunk, name) for chunk in column.chunks])
    return column.to_pylist()


def bound_of(text, value):
    """A bound as a reader takes it, comparable with `value`."""
    if isinstance(value, dt.datetime):
        return dt.datetime.fromisoformat(text.replace("Z", "+00:00"))
    if isinstance(value, dt.date):
        return dt.date.fromisoformat(text)
    return float(text) if isinstance(value, float) else text


def test_statistics_bound_what_is_read_back(table):
    words = ["a" * 31 + "é", "a" * 40, "z" * 32 + "\x7f\x7fb", "z" * 100, "m" * 32 + "\U0010FFFF" * 40,
             "\U0010FFFF" * 50, "short", "ü" * 33]
    times = [dt.datetime(1969, 12, 31, 23, 59, 59, 999999, UTC), dt.datetime(2024, 1, 1, 0, 0, 0, 1, UTC),
             dt.datetime(1900, 1, 1, 0, 0, 0, 999999, UTC)]
    decimals = [decimal.Decimal("-12345678901234567.89"), decimal.Decimal("0.01")]
    parts = []
    for i in range(40):
        parts.append(pa.table({
            "n": pa.array([i * 1000, None, 2**53 + i]), "word": [words[i % 8], words[i * 3 % 8], None],
            "t": pa.array([times[i % 3], times[i * 2 % 3], None], pa.timestamp("us", "UTC")),
            "x": pa.array([[-0.0, 0.0, None], [float("nan"), 1.0, 2.0], [1e-300, -1e300, 0.1],
                           [float("inf"), 1.0, None]][i % 4]),
            "f": pa.array([0.1, None, 0.3], pa.float32()),
            "d": pa.array([decimals[i % 2], None, decimals[0]], pa.decimal128(20, 2)),
            "s": pa.array([{"a": i, "b": None}, None, {"a": -i, "b": "q" * i}],
                          pa.struct([("a", pa.int64()), ("b", pa.string())])),
            "l": pa.array([[1], None, []], pa.list_(pa.int64())),
            "flag": pa.array([True, None, False])}))
    for i in range(0, 40, 5):
        table.run("groups=6", f"append={table.put(pa.concat_tables(parts[i:i + 5]))}")
    judge(table, pa.concat_tables(parts))
    assert check_statistics(table, unbounded=("l",)) > 1000


def check_statistics(table, unbounded):
    """Every null count and bound against the file it is about; how many comparisons."""
    checked = 0
    for add in table.adds():
        rows = pa.parquet.read_table(table.path / add["path"])
        stats = json.loads(add["stats"], parse_float=decimal.Decimal)
        assert stats["numRecords"] == rows.num_rows
        for path, count in leaves(stats["nullCount"]):
            assert count == sum(v is None for v in column_at(rows, path)), path
        for section, holds in (("minValues", lambda b, v: b <= v), ("maxValues", lambda b, v: b >= v)):
            for path, text in leaves(stats[section]):
                assert path[0] not in unbounded
                values = [v for v in column_at(rows, path) if v is not None]
                assert not any(isinstance(v, float) and math.isnan(v) for v in values), path
                for value in values:
                    assert holds(bound_of(text, value), value), (path, text, value)
                    checked += 1
    return checked


def test_readers_find_each_row_through_the_statistics(table):
    words = [c * n for c in "ab\u00fc\U0010FFFF\x7f" for n in (1, 31, 32, 33, 64, 65, 200)]
    for word in words:
        table.run(f"append={table.put(pa.table({'w': [word], 'n': [len(word)]}))}")
    for word in words:
        hex_text = word.encode().hex()
        count = table.duckdb(f"SELECT count(*) c FROM {{}} WHERE w = decode(from_hex('{hex_text}'))")
        assert count["c"].to_pylist() == [1], word
        # Not to_pyarrow_dataset: that takes a missing bound for NULL and drops the file.
        engine = deltalake.QueryBuilder().register("t", deltalake.DeltaTable(table.path))
        found = pa.table(engine.execute(f"SELECT n FROM t WHERE w = '{word}'").read_all())
        assert found.num_rows == 1, word


def test_a_filter_on_booleans_finds_their_rows(table):
    for flags in ([True, None], [False], [False, True], [None], []):
        table.run(f"append={table.put(pa.table({'flag': pa.array(flags, pa.bool_())}))}")
    dataset = deltalake.DeltaTable(table.path).to_pyarrow_dataset()
    for flag, count in ((True, 2), (False, 2)):
        assert dataset.to_table(filter=pa.compute.field("flag") == flag).num_rows == count
        found = table.duckdb(f"SELECT count(*) n FROM {{}} WHERE flag = {flag}")
        assert found["n"].to_pylist() == [count]


def test_statistics_columns_follow_the_property(table):
    rows = pa.table({f"c{i}": [i] for i in range(40)})
    table.run(f"append={table.put(rows)}")
    stats = json.loads(table.adds()[0]["stats"])
    assert list(stats["minValues"]) == [f"c{i}" for i in range(32)]


# ---- other writers, crashes ------------------------------------------------------------------


def test_two_processes_and_deltalake_append_at_once(table):
    rows = pa.table({"who": ["ours"], "n": [1]})
    path = table.put(rows)
    table.run("property=delta.checkpointInterval=10", f"append={path}")
    ours = [table.start(f"key={name}-", f"loop={path}:60") for name in "ab"]
    theirs = 0
    for i in range(25):
        deltalake.write_deltalake(table.path, pa.table({"who": ["theirs"], "n": [i]}), mode="append")
        theirs += 1
    for process in ours:
        out, err = process.communicate(timeout=120)
        steps = [json.loads(line) for line in out.splitlines()]
        assert [step["error"] for step in steps if step["error"]] == [], err
    counted = table.duckdb("SELECT who, count(*) n FROM {} GROUP BY who ORDER BY who").to_pylist()
    assert counted == [{"who": "ours", "n": 121}, {"who": "theirs", "n": theirs}]
    assert deltalake.DeltaTable(table.path).to_pyarrow_table().num_rows == 121 + theirs


@pytest.mark.parametrize("point", [
    "delta.commit.after_files", "delta.commit.before_log", "store.before_link", "store.after_link",
    "delta.commit.after_log", "delta.checkpoint.before_file", "delta.checkpoint.before_hint"])
@pytest.mark.parametrize("fault", ["kill", "error", "nospace"])
def test_each_request_is_there_once_after_a_fault(table, point, fault):
    rows = pa.table({"id": [1, 2, 3]})
    path = table.put(rows)
    table.run("property=delta.checkpointInterval=5", "sync", f"append={path}")
    passes = 2 if "checkpoint" in point else 3
    process = table.start("sync", f"faults={point}={fault}@{passes}", f"loop={path}:14")
    out, _ = process.communicate(timeout=60)
    assert process.returncode == (-signal.SIGKILL if fault == "kill" else 0)
    steps = [json.loads(line) for line in out.splitlines()]
    if fault != "kill":
        assert sum(bool(step["error"]) for step in steps) <= 1
    count = len(table.deltalake())
    done = sum(step["step"].startswith("loop") and not step["error"] for step in steps)
    assert count >= 3 + 3 * done
    judge(table, pa.concat_tables([rows] * (count // 3)))
    # A repeat of all of it finds what is there by its keys.
    table.run("sync", f"loop={path}:14", "checkpoint")
    judge(table, pa.concat_tables([rows] * 15))
    live = set(deltalake.DeltaTable(table.path).file_uris())
    on_disk = [p for p in table.path.glob("*.parquet")]
    assert len(on_disk) <= len(live) + (1 if fault == "kill" else 0)


def test_a_killed_clean_up_leaves_a_readable_log(table):
    rows = pa.table({"id": [1]})
    path = table.put(rows)
    table.run("property=delta.logRetentionDuration=interval 1 days", f"append={path}",
              *[f"append={path}"] * 20, "checkpoint", *[f"append={path}"] * 5)
    log = table.path / "_delta_log"
    old = dt.datetime.now().timestamp() - 10 * 24 * 3600
    for version in range(23):
        os.utime(log / f"{version:020}.json", (old, old))
    process = table.start("faults=delta.cleanup.before_remove=kill@6", "cleanup")
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    left = sorted(int(commit.stem) for commit in log.glob("*.json"))
    assert left == list(range(5, 26))
    judge(table, pa.concat_tables([rows] * 26))
    assert table.run("cleanup")[0]["version"] == 15
    left = sorted(int(commit.stem) for commit in log.glob("*.json"))
    assert left == list(range(20, 26))
    judge(table, pa.concat_tables([rows] * 26))
