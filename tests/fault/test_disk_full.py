"""A full disk (cases 8 and 9): clear refusals, nothing acknowledged lost, service again when space is back."""

import os
import subprocess
import threading

import pyarrow as pa
import pytest

from arrowport_testing import Ledger, Server, command, delta_table, flight_code, poll_until, put

BACKENDS = pytest.mark.parametrize("backend", ["duckdb", "delta"])


@pytest.fixture
def small_disk(tmp_path):
    """A folder on a file system of 48 MiB; needs the right to mount."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", folder], capture_output=True,
                             text=True)
    if mounted.returncode != 0:
        pytest.skip(f"cannot mount a small file system here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", folder], check=False)


class Place:
    """Where a backend keeps its tables on the small disk, and how they are named. Without a floor
    only the disk itself refuses."""

    def __init__(self, backend, disk, run, free_space_min=0):
        if backend == "delta":
            pytest.importorskip("deltalake")
        self.backend = backend
        self.settings = {"storage_backend": backend}
        self.prefix = "delta." if backend == "delta" else ""
        self.path = disk / ("lake" if backend == "delta" else "landing.duckdb")
        self.server = Server(run, "--delta-path", disk / "lake", "--set", "delta_options.commit_interval_ms=0",
                             "--set", f"limits.free_space_min={free_space_min}",
                             db=str(disk / "landing.duckdb") if backend == "duckdb" else "landing.duckdb")


def fill(folder, leave=0):
    """Takes all space but `leave` bytes; the file to delete for getting it back."""
    ballast = folder / "ballast"
    status = os.statvfs(folder)
    free = status.f_bavail * status.f_frsize
    with open(ballast, "wb") as file:
        file.write(b"\0" * max(0, free - leave))
    return ballast


@BACKENDS
def test_disk_full_and_back(small_disk, tmp_path, backend):
    ledger = Ledger()
    place = Place(backend, small_disk, tmp_path / "run")
    with place.server as server:
        def send(key, rows=5_000):
            reply = server.ingest("filled", ledger.send(key, rows), key=key, parameters=place.settings)
            if reply.status == 200:
                ledger.acknowledge(key)
            return reply

        for number in range(10):
            assert send(f"before-{number}").status == 200
        ballast = fill(small_disk, leave=1 << 20)
        refused = None
        for number in range(200):
            reply = send(f"during-{number}")
            if reply.status != 200:
                refused = reply
                break
        assert refused is not None, "the disk never filled"
        assert (refused.status, refused.code) == (507, "NO_SPACE"), refused.body
        assert refused.json["retriable"] is True

        def refused_over_flight():
            """For a moment the storage is being reopened, which says nothing of space."""
            with server.flight() as client, pytest.raises((pa.ArrowException, OSError)) as failure:
                put(client, command("filled", idempotency_key="f", **place.settings), [ledger.send("f", 5_000)])
            return failure if "being reopened" not in str(failure.value) else None

        failure = poll_until(refused_over_flight, 15, "a refusal for want of space")
        assert "NO_SPACE" in str(failure.value) or "space" in str(failure.value).lower(), failure.value
        assert flight_code(failure.value) in ("RESOURCE_EXHAUSTED", "ArrowException", "FlightServerError", "OSError")

        # Reads go on, with everything acknowledged.
        def readable():
            reply = server.query(f"SELECT count(DISTINCT key) AS n FROM {place.prefix}filled")
            return reply.status == 200 and reply.table["n"][0].as_py()

        seen = poll_until(readable, 15, "reads on a full disk")
        assert seen >= len(ledger.acknowledged)
        answered = 0
        for _ in range(40):
            answered += bool(readable())
            threading.Event().wait(0.02)
        assert answered >= 30, "the storage is reopened again and again"
        assert server.get("/health/live").status == 200

        # Space returns: the refused key is applied, once.
        ballast.unlink()
        again = poll_until(lambda: (r := send(refused_key(ledger))).status == 200 and r, 20,
                           "ingest after space returned", interval=0.1)
        assert again.json["rows_processed"] == 5_000
        for number in range(5):
            assert send(f"after-{number}").status == 200
        assert server.stop() == 0
    ledger.verify(place.path, "filled")


@BACKENDS
def test_refused_before_the_disk_is_full(small_disk, tmp_path, backend):
    """Below the floor an upload is refused before it is read; a repeat and reads are answered."""
    ledger = Ledger()
    place = Place(backend, small_disk, tmp_path / "run", free_space_min=16 << 20)
    with place.server as server:
        def send(key):
            return server.ingest("kept", ledger.send(key, 1_000), key=key, parameters=place.settings)

        assert send("before").status == 200
        ballast = fill(small_disk, leave=8 << 20)
        refused = send("during")
        assert (refused.status, refused.code) == (507, "NO_SPACE"), refused.body
        assert "limits.free_space_min" in refused.json["message"] and refused.json["retriable"] is True
        for mode in ({"idempotency_key": "f"}, {"commit": "batch", "producer": "p", "sequence": 0}):
            with server.flight() as client, pytest.raises((pa.ArrowException, OSError), match="nearly full"):
                put(client, command("kept", **mode, **place.settings), [ledger.batch("f", 10)])
        again = send("before")
        assert again.status == 200 and again.json["idempotent_replay"] is True
        assert server.value(f"SELECT count(*) FROM {place.prefix}kept") == 1_000
        ballast.unlink()
        assert send("during").status == 200
        assert server.stop() == 0


def refused_key(ledger):
    sent, acknowledged = ledger.snapshot()
    return sorted(key for key in sent.keys() - acknowledged if key.startswith("during"))[0]


@BACKENDS
def test_killed_on_a_full_disk(small_disk, tmp_path, backend):
    ledger = Ledger()
    place = Place(backend, small_disk, tmp_path / "run")
    with place.server as server:
        # A Delta data file is a tenth of what the same rows take in a log.
        fill(small_disk, leave=3 << 20 if backend == "duckdb" else 256 << 10)
        refusals = 0
        for number in range(100):
            key = f"key-{number}"
            reply = server.ingest("filled", ledger.send(key, 2_000), key=key, parameters=place.settings)
            if reply.status == 200:
                ledger.acknowledge(key)
            else:
                refusals += 1
            if refusals == 3:
                break
        assert refusals == 3
        server.kill9()
        (small_disk / "ballast").unlink()
        assert ledger.verify(place.path, "filled") >= len(ledger.acknowledged) if ledger.acknowledged else True
        server.start()
        for key, rows in ledger.snapshot()[0].items():
            assert server.ingest("filled", ledger.batch(key, rows), key=key,
                                 parameters=place.settings).status == 200
            ledger.acknowledge(key)
        assert server.stop() == 0
    ledger.verify(place.path, "filled")


@BACKENDS
def test_a_large_upload_that_does_not_fit(small_disk, tmp_path, backend):
    """The bulk path fills the disk in the middle of one request: nothing of it stays."""
    ledger = Ledger()
    place = Place(backend, small_disk, tmp_path / "run")
    with place.server as server:
        small = server.ingest("large", ledger.send("small", 1_000), key="small", parameters=place.settings)
        assert small.status == 200
        ledger.acknowledge("small")
        big = ledger.batch("big", 6_000_000)
        reply = server.ingest("large", pa.Table.from_batches([big]), key="big", timeout=120,
                              parameters=place.settings)
        assert (reply.status, reply.code) == (507, "NO_SPACE"), reply.body
        rows = poll_until(lambda: server.query(f"SELECT count(*) AS n FROM {place.prefix}large").status == 200 and
                          server.value(f"SELECT count(*) FROM {place.prefix}large"), 20)
        assert rows == 1_000
        # The failed rows gave their space back.
        then = ledger.send("then", 1_000)
        poll_until(lambda: server.ingest("large", then, key="then", parameters=place.settings).status == 200, 20,
                   "ingest after the large upload failed", interval=0.2)
        ledger.acknowledge("then")
        assert server.stop() == 0
    assert ledger.verify(place.path, "large") == 2
    if backend == "delta":
        named = {os.path.basename(path) for path in delta_table(place.path, "large").file_uris()}
        assert {path.name for path in (place.path / "large").glob("*.parquet")} == named
