"""The real server under test, and the data sent to it: shared by e2e, fault, compat, benchmarks.

Nothing here knows how the server works inside; everything goes through its command line,
its ports and the files it leaves behind.
"""

import base64
import contextlib
import glob
import http.client
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import urllib.parse
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.flight as flight
import pyarrow.ipc
import pyarrow.parquet as pq

SOURCE_DIR = Path(__file__).resolve().parents[2]
STREAM_TYPE = "application/vnd.apache.arrow.stream"
FILE_TYPE = "application/vnd.apache.arrow.file"
PARQUET_TYPE = "application/vnd.apache.parquet"
START_SECONDS = 30


def binary():
    """The program under test: ARROWPORT_BINARY, else the build folder's."""
    named = os.environ.get("ARROWPORT_BINARY")
    build = Path(os.environ.get("ARROWPORT_BUILD_DIR", SOURCE_DIR / "build" / "release"))
    for path in [Path(named)] if named else [build / "arrowport", build / "src/cli/arrowport"]:
        if path.is_file():
            return str(path)
    raise FileNotFoundError(f"no arrowport program (ARROWPORT_BINARY={named}, build folder {build})")


def poll_until(condition, seconds=10, what="the condition", interval=0.005):
    """The first true value of `condition`; AssertionError after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not come true within {seconds} s")
        time.sleep(interval)  # poll


def clean_environment(extra=None):
    """The caller's environment without any setting of the server."""
    environment = {k: v for k, v in os.environ.items()
                   if not k.startswith("ARROWPORT_") or k == "ARROWPORT_BINARY"}
    environment.update(extra or {})
    return environment


def run_cli(*arguments, cwd=None, env=None, stdin=None, seconds=60):
    """Runs one command of the program to its end; the CompletedProcess, output as text."""
    return subprocess.run([binary(), *map(str, arguments)], cwd=cwd, env=clean_environment(env),
                          input=stdin, capture_output=True, timeout=seconds,
                          text=not isinstance(stdin, bytes))


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@dataclass
class Reply:
    status: int
    headers: dict  # lower-case names
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def code(self):
        """The stable error code of a failure."""
        return self.json["code"]

    @property
    def table(self):
        return pa.ipc.open_stream(self.body).read_all()


MEMORY_BYTES_MAX = 12 << 30


def child_of_test(command):
    """The command of a process that dies with the test, and if it runs away does not take the machine.

    Not by `preexec_fn`: Python then forks, and a fork beside gRPC's threads may never reach its exec.
    """
    return ["setpriv", "--pdeathsig", "KILL", "prlimit", f"--data={MEMORY_BYTES_MAX}", *map(str, command)]


class Server:
    """One `arrowport serve` on free ports with its storage in `folder`.

    Restarting keeps the storage. Use as a context manager: what still runs is killed.
    """

    def __init__(self, folder, *arguments, db="landing.duckdb", config=None, env=None,
                 ports=("--port", "0", "--flight-port", "0"), faults=None, prefix=()):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.db = db if db in (None, ":memory:") else self.folder / db
        self.arguments = list(arguments)
        self.config = config
        self.env = dict(env or {})
        self.ports = list(ports)
        self.faults = faults
        self.prefix = list(prefix)  # e.g. unshare, prlimit, taskset
        self.process = None
        self.ready = None
        self.starts = 0
        self.start_seconds = None

    # Life.

    def command(self):
        command = [*self.prefix, binary(), "serve", *self.ports,
                   "--ready-file", str(self.ready_path)]
        if self.db is not None:
            command += ["--db", str(self.db)]
        if self.config is not None:
            path = self.folder / "settings.yaml"
            path.write_text(self.config)
            command += ["--config", str(path)]
        return command + list(map(str, self.arguments))

    @property
    def ready_path(self):
        return self.folder / f"ready-{self.starts}.json"

    @property
    def log_path(self):
        return self.folder / "server.log"

    def spawn(self):
        """Starts the process without waiting for it."""
        assert self.process is None, "it runs already"
        self.starts += 1
        environment = clean_environment({"HOME": str(self.folder), **self.env})
        if self.faults:
            environment["ARROWPORT_TEST_FAULTS"] = self.faults
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(child_of_test(self.command()), cwd=self.folder, env=environment,
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.spawned_at = time.monotonic()
        return self

    def start(self, seconds=START_SECONDS):
        self.spawn()

        def up():
            if self.process.poll() is not None:
                raise AssertionError(f"the server ended with {self.process.returncode}:\n{self.log()[-4000:]}")
            try:
                return json.loads(self.ready_path.read_text())
            except (FileNotFoundError, json.JSONDecodeError):
                return None

        self.ready = poll_until(up, seconds, "readiness", interval=0.002)
        self.start_seconds = time.monotonic() - self.spawned_at
        return self

    def signal(self, number):
        self.process.send_signal(number)

    def wait(self, seconds=40):
        """The exit code, once it ends by itself."""
        code = self.process.wait(seconds)
        self.process = None
        return code

    def kill9(self):
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                self.process.kill()
            self.wait()

    def stop(self, seconds=40):
        """SIGTERM, and the exit code."""
        self.signal(signal.SIGTERM)
        return self.wait(seconds)

    def restart(self, faults=None):
        self.kill9()
        self.faults = faults
        return self.start()

    @property
    def alive(self):
        return self.process is not None and self.process.poll() is None

    def __enter__(self):
        return self if self.process else self.start()

    def __exit__(self, *_):
        self.kill9()

    # What it says about itself.

    @property
    def pid(self):
        return self.process.pid

    @property
    def http_port(self):
        return self.ready["http"][0]

    @property
    def flight_port(self):
        return self.ready["flight"][-1]

    @property
    def url(self):
        return f"http://127.0.0.1:{self.http_port}"

    @property
    def grpc(self):
        return f"grpc://127.0.0.1:{self.flight_port}"

    def log(self):
        try:
            return self.log_path.read_text(errors="replace")
        except FileNotFoundError:
            return ""

    def status_bytes(self, field):
        """VmRSS, VmHWM ... of the process now."""
        for line in Path(f"/proc/{self.server_pid}/status").read_text().splitlines():
            if line.startswith(field + ":"):
                return int(line.split()[1]) * (1024 if "kB" in line else 1)
        raise KeyError(field)

    @property
    def server_pid(self):
        return self.ready["pid"] if self.ready else self.process.pid

    def rss_bytes(self):
        return self.status_bytes("VmRSS")

    def reset_peak(self):
        Path(f"/proc/{self.server_pid}/clear_refs").write_text("5")

    def peak_rss_bytes(self):
        return self.status_bytes("VmHWM")

    def thread_count(self):
        return self.status_bytes("Threads")

    @property
    def wal_path(self):
        return Path(str(self.db) + ".wal")

    # HTTP.

    def connect(self, timeout=60):
        return http.client.HTTPConnection("127.0.0.1", self.http_port, timeout=timeout)

    def request(self, method, path, body=None, headers=None, timeout=60, connection=None):
        """One request; on a connection of its own unless one is given."""
        own = connection or self.connect(timeout)
        try:
            own.request(method, path, body=body, headers=headers or {})
            response = own.getresponse()
            names = {name.lower(): value for name, value in response.getheaders()}
            return Reply(response.status, names, response.read())
        finally:
            if connection is None:
                own.close()

    def get(self, path, **kwargs):
        return self.request("GET", path, **kwargs)

    def post(self, path, body=b"", content_type=None, headers=None, **kwargs):
        headers = dict(headers or {})
        if content_type:
            headers["Content-Type"] = content_type
        return self.request("POST", path, body=body, headers=headers, **kwargs)

    def ingest(self, stream, data, key=None, parameters=None, headers=None, **kwargs):
        """POST /ingest of a table (or bytes) as an Arrow stream."""
        body = data if isinstance(data, (bytes, bytearray)) else ipc_stream(data)
        headers = dict(headers or {})
        if key:
            headers["Idempotency-Key"] = key
        path = "/ingest/" + urllib.parse.quote(stream, safe="")
        if parameters:
            path += "?" + urllib.parse.urlencode(parameters)
        return self.post(path, body, kwargs.pop("content_type", STREAM_TYPE), headers, **kwargs)

    def query(self, sql, accept=STREAM_TYPE, **kwargs):
        return self.post("/query", sql.encode(), "text/plain", {"Accept": accept, **kwargs})

    def rows(self, sql):
        """The result as a list of tuples; a failure is an AssertionError."""
        reply = self.query(sql)
        assert reply.status == 200, reply.body
        return [tuple(row.values()) for row in reply.table.to_pylist()]

    def value(self, sql):
        return self.rows(sql)[0][0]

    def metrics(self):
        """{name{labels}: value} of GET /metrics."""
        return parse_metrics(self.get("/metrics").body.decode())

    def run_sql(self, sql):
        reply = self.query(sql)
        assert reply.status == 200, reply.body
        return reply

    # Flight.

    def flight(self, port=None, **kwargs):
        return flight.FlightClient(f"grpc://127.0.0.1:{port or self.flight_port}", **kwargs)


def parse_metrics(text):
    samples = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            name, value = line.rsplit(" ", 1)
            samples[name] = float(value)
    return samples


# Flight uploads.


def command(stream=None, **options):
    """The JSON command descriptor of an upload."""
    if stream is not None:
        options = {"stream_name": stream, **options}
    return flight.FlightDescriptor.for_command(json.dumps(options))


def read_ack(reader):
    """The next acknowledgement as a dict, None at the end."""
    buffer = reader.read()
    return None if buffer is None else json.loads(buffer.to_pybytes())


def put(client, descriptor, data, chunk_rows=None, offsets=False, options=None):
    """Uploads a table (or a list of batches); all acknowledgements in order.

    The last one is the summary. A refusal is raised as pyarrow's exception.
    """
    if isinstance(descriptor, str):
        descriptor = command(descriptor)
    if isinstance(data, pa.Table):
        schema, batches = data.schema, data.to_batches(max_chunksize=chunk_rows)
    else:
        schema, batches = data[0].schema, data
    writer, reader = client.do_put(descriptor, schema, options)
    acks = []
    try:
        for number, batch in enumerate(batches):
            if offsets:
                writer.write_with_metadata(batch, json.dumps({"offset_id": number}).encode())
            else:
                writer.write_batch(batch)
        writer.done_writing()
        while (ack := read_ack(reader)) is not None:
            acks.append(ack)
    except (pa.ArrowException, StopIteration, OSError):
        writer.close()  # raises what the server said
        raise
    writer.close()
    return acks


FLIGHT_CODES = [  # most derived first
    (flight.FlightUnauthenticatedError, "UNAUTHENTICATED"),
    (flight.FlightUnauthorizedError, "PERMISSION_DENIED"),
    (flight.FlightUnavailableError, "UNAVAILABLE"),
    (flight.FlightTimedOutError, "DEADLINE_EXCEEDED"),
    (flight.FlightCancelledError, "CANCELLED"),
    (pa.ArrowCancelled, "CANCELLED"),
    (flight.FlightInternalError, "INTERNAL"),
    (pa.ArrowNotImplementedError, "UNIMPLEMENTED"),
    (pa.ArrowKeyError, "NOT_FOUND"),
    (pa.ArrowCapacityError, "RESOURCE_EXHAUSTED"),
]


def flight_code(error):
    """The gRPC status behind an exception of pyarrow.

    pyarrow has no class for ALREADY_EXISTS and RESOURCE_EXHAUSTED without Arrow's own
    trailers: there its message names the gRPC code.
    """
    text = str(error).lower()
    for name in ("resource exhausted", "already exists", "resource_exhausted", "already_exists"):
        if name in text and "grpc" in text:
            return name.upper().replace(" ", "_")
    for kind, name in FLIGHT_CODES:
        if isinstance(error, kind):
            return name
    if isinstance(error, pa.ArrowInvalid):
        return "INVALID_ARGUMENT"
    return type(error).__name__


# Data.


def bench_batch(rows, first=0, seed=7):
    """The documented benchmark schema, 37 bytes a row, no nulls."""
    random = np.random.default_rng(seed)
    return pa.record_batch({
        "id": np.arange(first, first + rows, dtype=np.int64),
        "timestamp": np.arange(first, first + rows, dtype=np.int64) * 1000 + 1_700_000_000_000,
        "value": random.standard_normal(rows),
        "category": pa.array(np.array(["A", "B", "C", "D"])[random.integers(0, 4, rows)], pa.utf8()),
        "metric": random.random(rows) * 100,
    })


def bench_table(rows, first=0, seed=7):
    return pa.Table.from_batches([bench_batch(rows, first, seed)])


def ipc_stream(data, compression=None, chunk_rows=None, end_marker=True):
    """An Arrow IPC stream of a table or batch; without its end marker if so wished."""
    if isinstance(data, pa.RecordBatch):
        data = pa.Table.from_batches([data])
    sink = io.BytesIO()
    options = pa.ipc.IpcWriteOptions(compression=compression)
    with pa.ipc.new_stream(sink, data.schema, options=options) as writer:
        writer.write_table(data, max_chunksize=chunk_rows)
    body = sink.getvalue()
    return body if end_marker else body[:-8]


def ipc_file(table, compression=None):
    sink = io.BytesIO()
    options = pa.ipc.IpcWriteOptions(compression=compression)
    with pa.ipc.new_file(sink, table.schema, options=options) as writer:
        writer.write_table(table)
    return sink.getvalue()


def parquet_bytes(table):
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


def json_body(table, config=None, schema=None, end_marker=True):
    """The body of POST /stream."""
    document = {}
    if config is not None:
        document["config"] = config
    batch = {"data": base64.b64encode(ipc_stream(table, end_marker=end_marker)).decode()}
    declared = schema if schema is not None else table.schema
    batch["arrow_schema"] = base64.b64encode(declared.serialize().to_pybytes()).decode()
    document["batch"] = batch
    return json.dumps(document).encode()


def chunked(parts):
    """An iterable body: http.client then sends it chunked."""
    return iter(parts)


class Ledger:
    """What writers sent and what was acknowledged: the oracle of exactly-once.

    Rows of a keyed request: `key`, `row` (0, 1, ...) and `payload` (a hash of both), so a
    lost, doubled or torn request shows in the table by itself.
    """

    SCHEMA = pa.schema([("key", pa.utf8()), ("row", pa.int64()), ("payload", pa.uint64())])

    def __init__(self):
        self._lock = threading.Lock()
        self.sent = {}  # key -> rows
        self.acknowledged = set()
        self._judged = {}  # key -> what it looked like when it was right, which takes long to tell

    @classmethod
    def batch(cls, key, rows):
        row = np.arange(rows, dtype=np.uint64)
        seed = np.uint64(int.from_bytes(key.encode()[-8:], "little"))
        with np.errstate(over="ignore"):
            payload = (row + seed) * np.uint64(0x9E3779B97F4A7C15)
        return pa.record_batch([pa.array([key], pa.utf8()).take(pa.array(np.zeros(rows, np.int32))),
                                row.astype(np.int64), payload], schema=cls.SCHEMA)

    @classmethod
    def checksum(cls, key, rows):
        payload = cls.batch(key, rows).column("payload").to_numpy()
        low = payload & np.uint64(0xFFFFFFFF)
        return (int((payload >> np.uint64(32)).sum()) << 32) + int(low.sum())

    def send(self, key, rows):
        with self._lock:
            self.sent[key] = rows
        return self.batch(key, rows)

    def acknowledge(self, key):
        with self._lock:
            self.acknowledged.add(key)

    def snapshot(self):
        with self._lock:
            return dict(self.sent), set(self.acknowledged)

    def verify(self, storage, table, acknowledged=None, schema="main"):
        """Reads a copy of the closed file with the Python `duckdb`, or a folder of Delta tables with
        deltalake; AssertionError on any loss, double or tear. Returns the number of keys found."""
        sent, acked = self.snapshot()
        if acknowledged is not None:
            acked = acknowledged
        with judged(storage, table) as connection:
            found = connection.execute(
                f'SELECT key, count(*), sum("row")::BIGINT, min("row"), max("row"), '
                f'sum(payload::HUGEINT)::VARCHAR FROM "{schema}"."{table}" GROUP BY key').fetchall()
        found = {row[0]: row[1:] for row in found}
        missing = acked - found.keys()
        assert not missing, f"{len(missing)} acknowledged requests lost, e.g. {sorted(missing)[:3]}"
        unknown = found.keys() - sent.keys()
        assert not unknown, f"rows nobody sent: {sorted(unknown)[:3]}"
        for key, looks in found.items():
            if self._judged.get(key) == looks:
                continue
            count, total, least, most, checksum = looks
            rows = sent[key]
            shape = (count, total, least, most)
            assert shape == (rows, rows * (rows - 1) // 2, 0, rows - 1), f"{key}: {shape}, sent {rows} rows"
            assert checksum == str(self.checksum(key, rows)), f"{key}: payload differs"
            self._judged[key] = looks
        return len(found)


@contextlib.contextmanager
def offline_copy(database_file):
    """A Python `duckdb` connection to a copy of the file and its logs; the original stays as it is.

    A death during a checkpoint leaves a second log beside the first: all files count.
    """
    source = Path(database_file)
    with tempfile.TemporaryDirectory(prefix="arrowport-judge-") as folder:
        copy = Path(folder) / source.name
        for path in source.parent.glob(glob.escape(source.name) + "*"):
            if path.is_file():
                shutil.copyfile(path, Path(folder) / path.name)
        connection = duckdb.connect(str(copy))
        try:
            yield connection
        finally:
            connection.close()


def delta_table(root, name):
    """A table below the folder of Delta tables, opened by deltalake."""
    import deltalake
    return deltalake.DeltaTable(str(Path(root, *name.split("."))))


@contextlib.contextmanager
def judged(storage, table):
    """A connection that shows `table` of a database file, or of a folder of Delta tables."""
    if not Path(storage).is_dir():
        with offline_copy(storage) as connection:
            yield connection
        return
    with duckdb.connect() as connection:
        connection.register(table, delta_table(storage, table).to_pyarrow_table())
        yield connection


def user_table_exists(database_file, table):
    """Whether the closed file holds a table of that name."""
    with offline_copy(database_file) as connection:
        return bool(connection.execute(
            "SELECT count(*) FROM duckdb_tables() WHERE table_name = ?", [table]).fetchone()[0])


class RawConnection:
    """A socket to the server, for requests no client library would send."""

    def __init__(self, port, timeout=30):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, data):
        self.socket.sendall(data if isinstance(data, bytes) else data.encode())
        return self

    def reply(self):
        """The next HTTP response, read to its end."""
        response = http.client.HTTPResponse(self.socket)
        response.begin()
        names = {name.lower(): value for name, value in response.getheaders()}
        return Reply(response.status, names, response.read())

    def closed_within(self, seconds):
        """True when the peer ends the connection in that time, whatever it says before."""
        deadline = time.monotonic() + seconds
        try:
            while (left := deadline - time.monotonic()) > 0:
                self.socket.settimeout(left)
                if not self.socket.recv(65536):
                    return True
        except TimeoutError:
            return False
        except ConnectionError:
            return True
        return False

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def in_parallel(functions):
    """Runs callables in a thread each; their results, exceptions as values."""
    results = [None] * len(functions)

    def run(index):
        try:
            results[index] = functions[index]()
        except BaseException as error:  # handed to the caller, not lost in the thread
            results[index] = error

    threads = [threading.Thread(target=run, args=(i,)) for i in range(len(functions))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def percentile(values, percent):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


HTTP2_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
