"""arrow_zerobus_sdk_wrapper: existing code runs, awaited or not, against the emulator."""

import asyncio
import threading

import pyarrow as pa
import pytest

import arrow_zerobus_sdk_wrapper as sdk
from arrow_zerobus_sdk_wrapper import TransmissionResult, WrapperConfiguration, ZerobusWrapper
from zerobus_testing import CLIENT, TABLE


def keywords(emulator, **changes):
    return {"endpoint": emulator.grpc_url, "table_name": TABLE, "client_id": CLIENT[0],
            "client_secret": CLIENT[1], "unity_catalog_url": emulator.http_url, **changes}


def rows(*ids):
    return pa.record_batch({"id": pa.array(ids, pa.int64())})


def test_awaited(emulator, run):
    async def main():
        wrapper = ZerobusWrapper(**keywords(emulator))
        result = await wrapper.send_batch(rows(1, 2))
        await wrapper.flush()
        await wrapper.shutdown()
        await wrapper.shutdown()
        return result

    result = run(main)
    assert isinstance(result, TransmissionResult) and result.success
    assert result.failed_rows == [] and result.successful_rows == [0, 1] and result.error is None
    assert isinstance(result.latency_ms, int) and result.attempts == 1


def test_called_plainly_inside_a_running_loop(emulator, run):
    before = len(emulator.ids())

    async def main():
        wrapper = ZerobusWrapper(**keywords(emulator))
        result = wrapper.send_batch(rows(31, 32))
        assert result.success and result.total_rows == 2
        wrapper.send_batch(rows(33))  # dropped: over when the statement ends
        assert emulator.ids()[before:] == [31, 32, 33]
        wrapper.flush()
        wrapper.shutdown()
        result = wrapper.send_batch(rows(34))
        assert not result.success and "Closed" in result.error

    run(main)


def test_without_a_loop(emulator):
    with ZerobusWrapper(WrapperConfiguration(**keywords(emulator))) as wrapper:
        result = wrapper.send_batch(rows(41, 42))
        assert result.success
        assert asyncio.run(wrapper.send_batch(rows(43))).success  # a coroutine, too
        wrapper.flush()


def test_asynchronous_context_and_many_tasks(emulator, run):
    before = len(emulator.ids())

    async def main():
        async with ZerobusWrapper(**keywords(emulator)) as wrapper:
            tasks = [asyncio.create_task(wrapper.send_batch(rows(n))) for n in range(30)]
            gathered = await asyncio.gather(*(wrapper.send_batch(rows(30 + n)) for n in range(30)))
            return [await task for task in tasks] + gathered

    assert all(result.success for result in run(main))
    assert sorted(emulator.ids()[before:]) == list(range(60))


def test_threads(emulator):
    results = []
    with ZerobusWrapper(**keywords(emulator)) as wrapper:
        threads = [threading.Thread(target=lambda n=n: results.append(wrapper.send_batch(rows(n))))
                   for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(results) == 8 and all(result.success for result in results)


def test_bad_rows(emulator):
    batch = pa.record_batch({"id": pa.array([1, None, 3], pa.int64())})
    with ZerobusWrapper(**keywords(emulator)) as wrapper:
        result = wrapper.send_batch(batch)
    assert not result.success and result.is_partial_success() and result.error is None
    assert [index for index, _ in result.failed_rows] == [1]
    assert result.failed_rows[0][1].startswith("Conversion error: ")
    assert result.get_failed_row_indices_by_error_type("ConversionError") == [1]
    assert result.extract_failed_batch(batch).num_rows == 1
    assert result.extract_successful_batch(batch).column("id").to_pylist() == [1, 3]
    statistics = result.get_error_statistics()
    assert statistics["failed_count"] == 1 and statistics["error_type_counts"] == {
        "ConversionError": 1}


def test_a_failed_send_is_a_result_with_an_error(emulator):
    with ZerobusWrapper(**keywords(emulator, client_secret="wrong",
                                   retry_max_attempts=1)) as wrapper:
        result = wrapper.send_batch(rows(1, 2))
    assert not result.success and result.error.startswith("Authentication error")
    assert result.failed_count == 2 and result.successful_count == 0 and "wrong" not in result.error


def test_writer_disabled_needs_no_service(tmp_path):
    with ZerobusWrapper(endpoint="http://127.0.0.1:1", table_name="my_table", debug_enabled=True,
                        debug_output_dir=str(tmp_path), zerobus_writer_disabled=True) as wrapper:
        result = wrapper.send_batch(rows(1, 2, 3))
        assert result.success and result.successful_count == 3
    stream = pa.ipc.open_stream(tmp_path / "zerobus/arrow/my_table.arrow")
    assert stream.read_all().column("id").to_pylist() == [1, 2, 3]
    assert (tmp_path / "zerobus/proto/my_table.proto").stat().st_size > 0


def test_debug_files_of_what_was_sent(emulator, tmp_path):
    with ZerobusWrapper(**keywords(emulator, debug_enabled=True,
                                   debug_output_dir=tmp_path)) as wrapper:
        assert wrapper.send_batch(rows(1, 2)).success
    stem = TABLE.replace(".", "_")
    stream = pa.ipc.open_stream(tmp_path / f"zerobus/arrow/{stem}.arrow")
    assert stream.read_all().column("id").to_pylist() == [1, 2]
    assert b"\x0a\x02id" in (tmp_path / f"zerobus/descriptors/{stem}.pb").read_bytes()
    assert (tmp_path / f"zerobus/proto/{stem}.proto").read_bytes() == b"\x02\x08\x01\x02\x08\x02"


def test_a_result_can_be_made_by_hand():
    result = TransmissionResult(success=False, error="TransmissionError: gone", failed_rows=[
        (1, "ConversionError: bad"), (3, "TransmissionError: gone")], successful_rows=[0, 2],
        total_rows=4, successful_count=2, failed_count=2)
    assert result.error == "Transmission error: gone"
    assert result.group_errors_by_type() == {"ConversionError": [1], "TransmissionError": [3]}
    assert result.get_error_messages() == ["Conversion error: bad", "Transmission error: gone"]
    assert result.get_error_statistics()["success_rate"] == 0.5


def test_misuse_is_told():
    with pytest.raises(TypeError):
        ZerobusWrapper(WrapperConfiguration("http://x", "a.b.c"), client_id="x")
    with pytest.raises(sdk.ConfigurationError, match="client_id"):
        ZerobusWrapper(endpoint="http://x", table_name="a.b.c")
