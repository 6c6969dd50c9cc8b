"""arrowport.zerobus against the emulator: blocking and asyncio, results, errors, the lock."""

import asyncio
import gc
import json
import subprocess
import sys
import threading
import time

import duckdb
import pyarrow as pa
import pytest

import arrowport
from arrowport import zerobus
from arrowport_testing import poll_until
from conftest import options_for
from zerobus_testing import TABLE, column

MODES = ["proto", "json", "flight"]


def rows(*ids, **columns):
    return pa.record_batch({"id": pa.array(ids, pa.int64()), **columns})


@pytest.fixture
def next_ids(emulator):
    """next_ids(): row ids that the emulator logged since the test began."""
    before = len(emulator.ids())
    return lambda: emulator.ids()[before:]


@pytest.mark.parametrize("mode", MODES)
def test_rows_are_logged_before_a_send_returns(options, next_ids, mode):
    with zerobus.Writer(zerobus.Options(**options(mode=mode))) as writer:
        result = writer.send_batch(rows(1, 2, 3, name=["a", None, "c"]))
        assert sorted(next_ids()) == [1, 2, 3]
    assert result.success and result.error is None
    assert (result.total_rows, result.successful_count, result.failed_count) == (3, 3, 0)
    assert result.successful_rows == [0, 1, 2] and result.failed_rows == []
    assert result.attempts == 1 and result.latency_ms > 0 and result.batch_size_bytes > 24


def as_duckdb_relation(batch):
    return duckdb.from_arrow(pa.Table.from_batches([batch]))


def as_reader(batch):
    return pa.RecordBatchReader.from_batches(batch.schema, [batch.slice(0, 1), batch.slice(1)])


class OnlyCapsules:
    """Data of a library that is not pyarrow."""

    def __init__(self, batch):
        self._batch = batch

    def __arrow_c_array__(self, requested_schema=None):
        return self._batch.__arrow_c_array__(requested_schema)


@pytest.mark.parametrize("form", [as_duckdb_relation, as_reader, OnlyCapsules,
                                  lambda batch: pa.Table.from_batches([batch, batch])],
                         ids=["duckdb", "reader", "capsules", "chunked table"])
def test_any_arrow_data_goes_in(options, next_ids, form):
    with zerobus.Writer(**rename(options())) as writer:
        result = writer.send_batch(form(rows(11, 12, name=["x", "y"])))
    assert result.success, result.error
    assert set(next_ids()) == {11, 12}


def rename(keywords):
    """Keywords of Writer(options=endpoint, table=...)."""
    keywords = dict(keywords)
    return {"options": keywords.pop("endpoint"), **keywords}


def test_polars_goes_in(options, next_ids):
    polars = pytest.importorskip("polars")
    with zerobus.Writer(**rename(options())) as writer:
        assert writer.send_batch(polars.DataFrame({"id": [21], "name": ["p"]})).success
    assert next_ids() == [21]


def test_memory_is_shared_not_copied(options):
    values = pa.array(range(200_000), pa.int64())
    batch = pa.record_batch({"id": values})
    seen = []

    class Observer:
        def on_batch(self, batch):
            seen.append(pa.record_batch(batch).column(0).buffers()[1].address)

    with zerobus.Writer(zerobus.Options(**options(observer=Observer()))) as writer:
        assert writer.send_batch(batch).success
    assert seen == [values.buffers()[1].address]


def test_no_arrow_data_is_a_type_error(options):
    with zerobus.Writer(**rename(options())) as writer:
        for data in (3, None, [1, 2], "rows"):
            with pytest.raises(TypeError, match="__arrow_c_"):
                writer.send_batch(data)


def test_bad_rows_fail_alone(options, next_ids):
    batch = rows(1, None, 3, None, 5, name=list("abcde"))
    with zerobus.Writer(**rename(options())) as writer:
        result = writer.send_batch(batch)
    assert not result.success and result.error is None and result.is_partial_success()
    assert result.get_failed_row_indices() == [1, 3] and result.successful_rows == [0, 2, 4]
    assert sorted(next_ids()) == [1, 3, 5]
    (index, error), (_, second) = result.failed_rows
    assert index == 1 and isinstance(error, zerobus.ConversionError) and "id" in str(error)
    assert isinstance(second, arrowport.Error) and not error.retriable
    assert result.group_errors_by_type() == {"ConversionError": [1, 3]}
    assert result.get_failed_row_indices_by_error_type(zerobus.ConversionError) == [1, 3]
    assert result.get_failed_row_indices_by_error_type("TransmissionError") == []
    assert result.extract_failed_batch(batch).equals(batch.take([1, 3]))
    assert result.extract_successful_batch(batch).equals(batch.take([0, 2, 4]))
    statistics = result.get_error_statistics()
    assert (statistics.success_rate, statistics.error_type_counts) == (
        pytest.approx(0.6), {"ConversionError": 2})


def test_an_empty_batch_is_a_success(options):
    with zerobus.Writer(**rename(options())) as writer:
        result = writer.send_batch(rows())
    assert result.success and result.total_rows == 0 and result.successful_rows == []


def test_submit_pipelines_and_acknowledges_in_order(options, next_ids):
    durable = []
    with zerobus.Writer(zerobus.Options(**options(
            on_durable=lambda first, last: durable.append((first, last))))) as writer:
        pending = [writer.submit(rows(100 + n)) for n in range(50)]
        assert [send.first_offset for send in pending] == list(range(50))
        assert all(send.result(20).success for send in pending)
        writer.flush()
        writer.wait_for_offset(49)
    assert next_ids() == list(range(100, 150))
    covered = [offset for first, last in durable for offset in range(first, last + 1)]
    assert covered == list(range(50))


@pytest.mark.parametrize("mode", MODES)
def test_asyncio(options, next_ids, run, mode):
    async def main():
        async with zerobus.AsyncWriter(zerobus.Options(**options(mode=mode))) as writer:
            results = await asyncio.gather(*(writer.send_batch(rows(n)) for n in range(40)))
            pending = [await writer.submit(rows(40 + n)) for n in range(40)]
            results += await asyncio.gather(*pending)
            await writer.flush()
            return results

    assert all(result.success for result in run(main))
    assert sorted(next_ids()) == list(range(80))


def test_the_event_loop_runs_while_a_send_waits(make_emulator, run):
    emulator = make_emulator(script={"acks": {"delay_ms": 300}})

    async def main():
        ticks = 0
        async with zerobus.AsyncWriter(zerobus.Options(**options_for(emulator))) as writer:
            send = asyncio.create_task(writer.send_batch(rows(1)))
            while not send.done():
                await asyncio.sleep(0.005)
                ticks += 1
            return ticks, await send

    ticks, result = run(main)
    assert result.success and ticks > 20


def test_waiting_does_not_grow_threads(make_emulator, run):
    emulator = make_emulator(script={"acks": {"delay_ms": 200}})

    async def main():
        async with zerobus.AsyncWriter(zerobus.Options(**options_for(emulator)),
                                       concurrent_sends=4) as writer:
            await writer.send_batch(rows(0))
            pending = [await writer.submit(rows(n)) for n in range(300)]
            threads = threading.active_count()
            results = await asyncio.gather(*pending)
            return threads, results

    before = threading.active_count()
    threads, results = run(main)
    assert all(result.success for result in results)
    assert threads - before <= 6


def test_a_blocked_send_lets_other_threads_run(make_emulator):
    emulator = make_emulator(script={"acks": {"delay_ms": 400}})
    counted = 0
    with zerobus.Writer(zerobus.Options(**options_for(emulator))) as writer:
        sender = threading.Thread(target=writer.send_batch, args=(rows(1),))
        sender.start()
        while sender.is_alive():
            counted += 1
            sender.join(0.002)
    assert counted > 50


def test_a_lost_connection_is_recovered(make_emulator):
    emulator = make_emulator(script={"faults": [
        {"point": "after_log", "action": {"type": "tcp_reset"}, "connection": 1}]})
    with zerobus.Writer(zerobus.Options(**options_for(emulator))) as writer:
        assert writer.send_batch(rows(1, 2)).success
        assert writer.statistics().reconnects_after_failure >= 1
    assert set(emulator.ids()) == {1, 2}


@pytest.mark.parametrize("changes, kind", [
    ({"table": "two.parts"}, "table"), ({"mode": "avro"}, "mode"), ({"recovery": 1}, "recovery"),
    ({"client_secret": b"x"}, "client_secret"), ({"max_inflight_bytes": "many"}, "max_inflight"),
    ({"on_durable": 7}, "on_durable"), ({"client": object()}, "client")])
def test_wrong_options_are_named(options, changes, kind):
    with pytest.raises(zerobus.ConfigurationError, match=kind):
        zerobus.Writer(zerobus.Options(**options(**changes)))


def test_an_unknown_option_is_refused(options):
    with pytest.raises(TypeError, match="tabel"):
        zerobus.Writer(**rename(options()), tabel="x")


def test_failures_of_the_service_are_typed(options, emulator):
    with zerobus.Writer(zerobus.Options(**options(table="main.web.nothing",
                                                  retry_max_attempts=1))) as writer:
        result = writer.send_batch(rows(1))
    assert not result.success and result.failed_count == 1
    assert isinstance(result.error, zerobus.ZerobusError) and not result.error.retryable
    with zerobus.Writer(zerobus.Options(**options(client_secret="wrong",
                                                  retry_max_attempts=1))) as writer:
        result = writer.send_batch(rows(1))
    assert isinstance(result.error, zerobus.AuthenticationError)
    assert "wrong" not in str(result.error) + repr(writer.options)


def test_no_service(tmp_path):
    options = zerobus.Options("http://127.0.0.1:1", TABLE, client_id="a", client_secret="b",
                              unity_catalog_url="http://127.0.0.1:1", recovery_retries=0,
                              retry_max_attempts=1)
    with zerobus.Writer(options) as writer:
        result = writer.send_batch(rows(1, 2))
    assert not result.success and result.get_failed_row_indices() == [0, 1]
    assert result.error.kind in ("Connection", "TokenRefresh", "RetryExhausted")


def test_a_header_provider_is_asked_and_its_failure_told(options):
    def fails():
        raise RuntimeError("no headers today")

    writer = zerobus.Writer(zerobus.Options(**options(header_provider=fails, recovery_retries=0,
                                                      retry_max_attempts=1)))
    result = writer.send_batch(rows(1))
    assert not result.success and "no headers today" in str(result.error)
    asked = []

    def provides():
        asked.append(1)
        return {"x-extra": "1"}

    with zerobus.Writer(zerobus.Options(**options(header_provider=provides))) as writer:
        assert writer.send_batch(rows(1)).success
    assert asked


def test_writers_share_a_client(options, emulator):
    minted = emulator.counters().get("mints", 0)
    client = zerobus.Client()
    for n in range(3):
        with zerobus.Writer(zerobus.Options(**options(client=client))) as writer:
            assert writer.send_batch(rows(n)).success
    assert emulator.counters().get("mints", 0) - minted <= 2  # one for rows, one for the table's columns


def test_shutdown_is_idempotent_and_final(options):
    writer = zerobus.Writer(**rename(options()))
    assert writer.send_batch(rows(1)).success
    writer.shutdown()
    writer.shutdown()
    result = writer.send_batch(rows(2))
    assert isinstance(result.error, zerobus.ClosedError) and result.failed_count == 1
    with pytest.raises(zerobus.ClosedError):
        writer.submit(rows(3))


def test_a_writer_dropped_in_its_own_callback_goes_quietly(options):
    done = threading.Event()
    holder = [zerobus.Writer(**rename(options()))]

    def drop(_):
        holder.clear()
        gc.collect()
        done.set()

    pending = holder[0].submit(rows(1))
    pending.add_done_callback(drop)
    assert done.wait(20) and pending.result(0).success
    zerobus.Writer(**rename(options())).shutdown()


def test_an_exception_in_a_callback_is_reported_not_lost(options, monkeypatch):
    reported = []
    monkeypatch.setattr(sys, "unraisablehook", lambda report: reported.append(report.exc_value))

    def fails(first, last):
        raise ValueError("mine")

    with zerobus.Writer(zerobus.Options(**options(on_durable=fails))) as writer:
        assert writer.send_batch(rows(1)).success
    assert [str(error) for error in reported] == ["mine"]


EXIT = """
import json, sys, pyarrow as pa
from arrowport import zerobus
options = json.loads(sys.argv[1])
writer = zerobus.Writer(zerobus.Options(**options, on_durable=lambda first, last: None))
for n in range(20):
    writer.submit(pa.record_batch({"id": pa.array([n], pa.int64())}))
print("end of main")
"""


def test_a_process_ends_with_rows_under_way(make_emulator):
    emulator = make_emulator(script={"acks": {"delay_ms": 60_000}})
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", EXIT, json.dumps(options_for(emulator))],
                          capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout, done.stderr) == (0, "end of main\n", "")
    assert time.monotonic() - began < 20


def test_unacknowledged_rows_come_back(make_emulator):
    emulator = make_emulator(script={"faults": [
        {"point": "before_log", "action": {"type": "status"}}]})
    with pytest.raises(zerobus.ZerobusError):
        with zerobus.Writer(zerobus.Options(**options_for(
                emulator, recovery_retries=1, retry_max_attempts=1))) as writer:
            pending = writer.submit(rows(1, 2, 3))
            result = pending.result(20)
            assert result.failed_count == 3 and result.error is not None
            poll_until(lambda: not pending._future.running(), 5)
            (offset, batch), = writer.take_unacknowledged()
            assert offset == 0 and batch.column("id").to_pylist() == [1, 2, 3]
            writer.flush()
    assert emulator.ids() == []


def test_python_adds_little_to_a_send(options):
    """The time of a call against the time inside the library, which every result tells."""
    batch = pa.record_batch({"id": pa.array(range(10_000), pa.int64()),
                             "name": [f"name {n}" for n in range(10_000)]})
    with zerobus.Writer(zerobus.Options(**options())) as writer:
        writer.send_batch(batch)
        outside = inside = 0.0
        for _ in range(20):
            began = time.perf_counter()
            result = writer.send_batch(batch)
            outside += time.perf_counter() - began
            assert result.success
            inside += result.latency_ms / 1000
    print(f"python/library time of a 10,000 row send: {outside / inside:.3f}")
    assert outside < 1.1 * inside


UNSUPPORTED = {
    "clock": pa.array([3_661_000_000, None], pa.time64("us")),
    "took": pa.array([1_500, -1], pa.duration("ms"))}


@pytest.mark.parametrize("mode", ["proto", "json", "flight"])
@pytest.mark.parametrize("cast, kind", [("text", ("STRING", "string")),
                                        ("integers", ("LONG", "long"))])
def test_types_that_no_table_has(make_emulator, mode, cast, kind):
    columns = [column("id", "LONG", "long", 0, nullable=False), column("clock", *kind, 1),
               column("took", *kind, 2)]
    emulator = make_emulator(tables={TABLE: {"columns": columns}})
    batch = pa.record_batch({"id": pa.array([1, 2], pa.int64()), **UNSUPPORTED})
    with zerobus.Writer(zerobus.Options(**options_for(emulator, mode=mode))) as writer:
        refused = writer.send_batch(batch)
        assert not refused.success and "clock" in str(refused.error)
    with zerobus.Writer(zerobus.Options(
            **options_for(emulator, mode=mode, unsupported_types=cast))) as writer:
        assert writer.send_batch(batch).success
        # So large that it is converted in parts.
        rows = 800_000
        large = pa.record_batch({"id": pa.array(range(rows), pa.int64()),
                                 "clock": pa.array([1] * rows, pa.time64("us"))})
        assert writer.send_batch(large).successful_count == rows
    assert emulator.ids()[:2] == [1, 2] and len(emulator.ids()) == rows + 2
