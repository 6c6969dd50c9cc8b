"""Arrow record batches into Databricks tables by Zerobus.

    from arrowport import zerobus

    options = (zerobus.Options(endpoint, "main.sales.orders")
               .with_credentials(client_id, client_secret)
               .with_unity_catalog(workspace_url))
    with zerobus.Writer(options) as writer:
        result = writer.send_batch(batch)
        if not result.success:
            ...

`AsyncWriter` has the same operations as coroutines. Batches come from anything that speaks the
Arrow PyCapsule interface, without a copy; conversion and waiting release the interpreter lock.

The guarantee is at least once: rows that were durable but not acknowledged when a connection
broke are sent again, and only those may appear twice.
"""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
import dataclasses
import logging
import os
import re
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Protocol

import pyarrow as pa

from . import _native
from ._errors import (CLASS_OF_KIND, ClosedError, ConfigurationError, ConnectionError,
                      ConversionError, ProtocolError, RetryExhausted, SchemaError,
                      TokenRefreshError, TransmissionError, ZerobusError)
from ._errors import ZerobusAuthenticationError as AuthenticationError
from ._executor import Executor
from ._native import TelemetryStatistics, WriterStatistics

__all__ = [
    "AsyncWriter", "AuthenticationError", "Client", "ClosedError", "ConfigurationError",
    "ConnectionError", "ConversionError", "DebugFiles", "ErrorStatistics", "Observer", "Options",
    "PendingSend", "ProtocolError", "RetryExhausted", "SchemaError", "Telemetry",
    "TelemetryStatistics", "TokenRefreshError", "TransmissionError", "TransmissionResult",
    "Writer", "WriterStatistics", "ZerobusError",
]

_CREDENTIALS = re.compile(r"//[^/]*@")
_telemetry_log = logging.getLogger("arrowport.zerobus.telemetry")

class Client(_native.ZerobusClient):
    """What several writers share when it is given as their `client`: threads, cached tokens and,
    with `connection_per_stream=False`, connections. Thread-safe; lives as long as its writers."""


class Telemetry(_native.ZerobusTelemetry):
    """OpenTelemetry metrics and traces of the writers that have it among their Options, exported
    by OTLP/HTTP. Thread-safe; a collector that is down or slow never delays or fails a send.

    Attributes of rows, credentials and headers are never exported. Problems go to the logger
    "arrowport.zerobus.telemetry", once when they begin and once when they end.

    Args:
        endpoint: http(s) URL to which /v1/metrics and /v1/traces are appended; None: files alone.
        headers: more request headers.
        output_dir: JSON lines in <output_dir>/otlp, also or instead.
        interval_ms: between exports.
        timeout_ms: of one export.
        flush_timeout_ms: how long flush(), close() and a writer's shutdown() wait.
        service_name, resource_attributes: what the metrics and traces are of.
        queued_spans_max: spans that wait; beyond it new ones are dropped and counted.
        log_level: "debug", "info", "warning", "error" or "off".
    """

    def __init__(self, endpoint: str | None = "http://localhost:4318", *,
                 headers: Mapping[str, str] | None = None,
                 output_dir: str | os.PathLike[str] | None = None, interval_ms: int = 5_000,
                 timeout_ms: int = 10_000, flush_timeout_ms: int = 2_000,
                 service_name: str = "arrowport-zerobus",
                 resource_attributes: Mapping[str, str] | None = None,
                 queued_spans_max: int = 8_192, tls_ca_file: str | None = None,
                 log_level: Literal["debug", "info", "warning", "error", "off"] = "info"):
        super().__init__(
            endpoint=endpoint or "", headers=dict(headers or {}),
            output_dir="" if output_dir is None else os.fspath(output_dir),
            interval_ms=interval_ms, timeout_ms=timeout_ms, flush_timeout_ms=flush_timeout_ms,
            service_name=service_name, resource_attributes=dict(resource_attributes or {}),
            queued_spans_max=queued_spans_max, tls_ca_file=tls_ca_file or "",
            log_level=log_level, log=_log_telemetry)
        _open_watchers.add(self)

    def flush(self) -> None:
        """Exports now. Raises TransmissionError or ConnectionError when that failed, ClosedError
        after `flush_timeout_ms`."""
        super().flush()

    def close(self) -> None:
        """A last export, then nothing more. Idempotent. Raises as flush()."""
        super().close()

    def statistics(self) -> TelemetryStatistics:
        """Counters since it was made."""
        return super().statistics()


def _log_telemetry(level: str, text: str) -> None:
    _telemetry_log.log(logging.getLevelNamesMapping()[level.upper()], "%s", text)


class DebugFiles(_native.ZerobusDebugFiles):
    """Files of what a writer is given and what it encodes; docs/formats/zerobus-debug.md describes
    them. For the Options of one writer. What cannot be written is left out and counted.

    Args:
        table: as in the writer's Options.
        output_dir: made when missing.
        mode: as in the writer's Options; only "proto" has protobuf files.
        max_file_size: bytes at which a file is rotated; None: never.
        max_files_retained: rotated files kept per format and table; None: all.

    Raises ConfigurationError, also when another writer has this table's files open.
    """

    def __init__(self, table: str, output_dir: str | os.PathLike[str], *,
                 mode: Literal["proto", "json", "flight"] = "proto", arrow: bool = True,
                 protobuf: bool = True, flush_interval_ms: int = 5_000,
                 max_file_size: int | None = None, max_files_retained: int | None = 10):
        super().__init__(table=table, output_dir=os.fspath(output_dir), mode=mode, arrow=arrow,
                         protobuf=protobuf, flush_interval_ms=flush_interval_ms,
                         max_file_size=max_file_size, max_files_retained=max_files_retained)
        _open_watchers.add(self)

    def close(self) -> None:
        """Writes everything and ends the files. Idempotent. Raises what the last writes failed
        with."""
        super().close()


_open_watchers: weakref.WeakSet[Telemetry | DebugFiles] = weakref.WeakSet()


class Observer(Protocol):
    """Sees what a writer converts. Methods may be left out; they run on the sender's thread, with
    the interpreter lock, so they cost throughput; what they raise is reported, not passed on."""

    def on_batch(self, batch: Any) -> None:
        """A batch (with `__arrow_c_array__`) was given to the writer; once, not on retry."""

    def on_descriptor(self, descriptor: bytes) -> None:
        """The serialized descriptor (Flight: the schema message) of a new stream."""

    def on_records(self, records: bytes, rows: int) -> None:
        """Encoded rows, length-delimited: a varint size before each message."""


@dataclasses.dataclass(frozen=True, repr=False)
class Options:
    """Everything that can be set on a writer. None leaves the library's default.

    Attributes:
        endpoint: [https://|http://]host[:port]; https without a scheme.
        table: catalog.schema.table.
        mode: "proto" (protobuf over gRPC, the default), "json" (over gRPC) or "flight".
        header_provider: called before every connection for more request headers, as a mapping
            or pairs; with an `authorization` of its own no token is fetched.
        subject_token: federation instead of id and secret: called for the other identity
            provider's token, as text or (text, seconds since 1970 at which it expires).
        on_durable: on_durable(first_offset, last_offset), in order, each offset once.
        on_failed: on_failed(first_offset, last_offset, error). Both run on the client's callback
            thread; they may send, but not shut the writer down.
        rejected_requests: "fail", or "bisect": find the rows the service refuses for good.
        back_pressure: "block" or "fail" while too much is in flight.
        unsupported_types: columns of time, duration, interval and union types, which no table has:
            "refuse" (the default), "integers" (counts of their unit) or "text" (ISO 8601).
        zerobus_writer_disabled: convert and show rows to the observer, send nothing.
        telemetry: metrics and traces; may be shared by writers.
        debug_files: files of what is sent; of this writer alone.
    """

    endpoint: str
    table: str
    unity_catalog_url: str | None = None
    client_id: str | None = None
    client_secret: str | None = dataclasses.field(default=None, repr=False)
    workspace_id: str | None = None
    application_name: str | None = None
    header_provider: Callable[[], Mapping[str, str] | Sequence[tuple[str, str]]] | None = None
    subject_token: Callable[[], str | tuple[str, float | None]] | None = None
    federation_client_id: str | None = None
    federation_identity: str | None = None
    tls_ca_file: str | None = None
    tls_cert_file: str | None = None
    tls_key_file: str | None = None
    tls_server_name: str | None = None
    grpc_proxy: str | None = dataclasses.field(default=None, repr=False)
    https_proxy: str | None = dataclasses.field(default=None, repr=False)
    http_proxy: str | None = dataclasses.field(default=None, repr=False)
    no_grpc_proxy: str | None = None
    no_proxy: str | None = None
    mode: Literal["proto", "json", "flight"] | None = None
    max_inflight_requests: int | None = None
    max_inflight_batches: int | None = None
    max_inflight_bytes: int | None = None
    max_request_bytes: int | None = None
    recovery: bool | None = None
    recovery_retries: int | None = None
    recovery_timeout_ms: int | None = None
    recovery_backoff_base_ms: int | None = None
    recovery_backoff_max_ms: int | None = None
    connection_timeout_ms: int | None = None
    server_lack_of_ack_timeout_ms: int | None = None
    flush_timeout_ms: int | None = None
    stream_paused_max_wait_ms: int | None = None
    callback_max_wait_ms: int | None = None
    ipc_compression: Literal["zstd", "lz4", "none"] | None = None
    token_cache: bool | None = None
    token_refresh_buffer_s: int | None = None
    connection_per_stream: bool | None = None
    rejected_requests: Literal["fail", "bisect"] | None = None
    bisect_rejections_max: int | None = None
    back_pressure: Literal["block", "fail"] | None = None
    retry_max_attempts: int | None = None
    retry_base_delay_ms: int | None = None
    retry_max_delay_ms: int | None = None
    circuit_breaker: bool | None = None
    circuit_breaker_failed_rows_ratio_max: float | None = None
    circuit_breaker_window_ms: int | None = None
    circuit_breaker_rows_min: int | None = None
    schema_change: Literal["new_stream", "refuse"] | None = None
    null_elements: Literal["fail_row", "drop"] | None = None
    unsupported_types: Literal["refuse", "integers", "text"] | None = None
    cast_to_table: bool | None = None
    zerobus_writer_disabled: bool | None = None
    on_durable: Callable[[int, int], object] | None = None
    on_failed: Callable[[int, int, ZerobusError], object] | None = None
    observer: Observer | None = None
    telemetry: Telemetry | None = None
    debug_files: DebugFiles | None = None
    client: Client | None = None

    def __repr__(self) -> str:
        # Only what is set, and no secret: a URL may hold one, though such a URL is refused.
        shown = []
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.repr and value is not None:
                value = _CREDENTIALS.sub("//***@", value) if isinstance(value, str) else value
                shown.append(f"{field.name}={value!r}")
        return f"Options({', '.join(shown)})"

    def with_credentials(self, client_id: str, client_secret: str) -> Options:
        """The same with an OAuth client."""
        return dataclasses.replace(self, client_id=client_id, client_secret=client_secret)

    def with_unity_catalog(self, url: str) -> Options:
        """The same with the workspace that issues tokens and knows the table."""
        return dataclasses.replace(self, unity_catalog_url=url)

    def with_mode(self, mode: Literal["proto", "json", "flight"]) -> Options:
        """The same in another mode."""
        return dataclasses.replace(self, mode=mode)


@dataclasses.dataclass(frozen=True)
class ErrorStatistics:
    """Counts of one result; rates are of its rows."""

    total_rows: int
    successful_count: int
    failed_count: int
    success_rate: float
    failure_rate: float
    error_type_counts: dict[str, int]


class TransmissionResult:
    """What became of the rows of one batch. Immutable.

    Every row is either failed or successful (durable), so `total_rows == successful_count +
    failed_count` in every case. A batch-level failure puts each row that is not durable into
    `failed_rows` with that error.
    """

    __slots__ = ("_native",)

    def __init__(self, native: _native.TransmissionResult):
        self._native = native

    @property
    def success(self) -> bool:
        """No failed rows and no batch-level error. An empty batch is a success."""
        return self._native.success

    @property
    def error(self) -> ZerobusError | None:
        """The batch-level failure, or None."""
        return self._native.error

    @property
    def attempts(self) -> int:
        """How often the rows, or what was left of them, were handed to a stream."""
        return self._native.attempts

    @property
    def latency_ms(self) -> float:
        """From the call to the last acknowledgement."""
        return self._native.latency_ms

    @property
    def batch_size_bytes(self) -> int:
        """Arrow memory of the batch."""
        return self._native.batch_size_bytes

    @property
    def total_rows(self) -> int:
        """Rows of the batch."""
        return self._native.total_rows

    @property
    def successful_count(self) -> int:
        """Durable rows."""
        return self._native.successful_count

    @property
    def failed_count(self) -> int:
        """Rows that are not durable."""
        return self._native.failed_count

    @property
    def failed_rows(self) -> list[tuple[int, ZerobusError]]:
        """(index in the batch, error), ascending. Rows that failed together share the error."""
        return self._native.failed_rows

    @property
    def successful_rows(self) -> list[int]:
        """Indices of durable rows, ascending; made on each call."""
        return self._native.successful_rows

    def is_partial_success(self) -> bool:
        """Some rows failed and some are durable."""
        return self.failed_count > 0 and self.successful_count > 0

    def has_failed_rows(self) -> bool:
        """At least one row failed."""
        return self.failed_count > 0

    def has_successful_rows(self) -> bool:
        """At least one row is durable."""
        return self.successful_count > 0

    def get_failed_row_indices(self) -> list[int]:
        """Ascending."""
        return self._native.failed_row_indices()

    def get_successful_row_indices(self) -> list[int]:
        """Ascending."""
        return self._native.successful_rows

    def get_failed_row_indices_by_error_type(
            self, error_type: str | type[ZerobusError]) -> list[int]:
        """Of one class of error, given as class or by its name ("ConversionError")."""
        name = error_type if isinstance(error_type, str) else error_type.__name__
        return self.group_errors_by_type().get(name, [])

    def group_errors_by_type(self) -> dict[str, list[int]]:
        """{name of the error class: indices of rows, ascending}."""
        return {CLASS_OF_KIND[kind].__name__: rows
                for kind, rows in self._native.rows_by_kind().items()}

    def get_error_statistics(self) -> ErrorStatistics:
        """Counts and rates."""
        total, failed = self.total_rows, self.failed_count
        failure_rate = failed / total if total else 0.0
        return ErrorStatistics(total, total - failed, failed, 1.0 - failure_rate, failure_rate, {
            name: len(rows) for name, rows in self.group_errors_by_type().items()})

    def get_error_messages(self) -> list[str]:
        """One text per failed row, in order of index."""
        return [str(error) for _, error in self.failed_rows]

    def extract_failed_batch(self, batch: Any) -> pa.RecordBatch | None:
        """The rows of `batch`, the batch that was sent, that failed; None when there are none."""
        rows = self._native.extract_failed_batch(batch)
        return None if rows is None else pa.record_batch(rows)

    def extract_successful_batch(self, batch: Any) -> pa.RecordBatch | None:
        """The rows of `batch`, the batch that was sent, that are durable; None without any."""
        rows = self._native.extract_successful_batch(batch)
        return None if rows is None else pa.record_batch(rows)

    def __repr__(self) -> str:
        state = "success" if self.success else f"{self.failed_count} failed"
        return f"<TransmissionResult: {state}, {self.total_rows} rows, {self.attempts} attempts>"


class PendingSend:
    """A batch that was accepted and is under way. Can be awaited any number of times."""

    __slots__ = ("first_offset", "last_offset", "_future")

    def __init__(self, first_offset: int, last_offset: int,
                 future: concurrent.futures.Future[TransmissionResult]):
        self.first_offset = first_offset
        """First logical offset of its requests; above `last_offset` when it needed none."""
        self.last_offset = last_offset
        self._future = future

    def result(self, timeout: float | None = None) -> TransmissionResult:
        """Waits until every row is durable or failed; TimeoutError after `timeout` seconds."""
        return self._future.result(timeout)

    def done(self) -> bool:
        """Whether result() returns at once."""
        return self._future.done()

    def add_done_callback(self, function: Callable[[PendingSend], object]) -> None:
        """Calls function(self) when done, on the client's callback thread, or now."""
        self._future.add_done_callback(lambda _: function(self))

    def __await__(self):
        # Cancelling one waiter must not cancel the others: the future is shielded.
        return asyncio.shield(asyncio.wrap_future(self._future)).__await__()


def _deliver(future, result, error):
    if error is None:
        future.set_result(TransmissionResult(result))
    else:
        future.set_exception(error)


_open_writers: weakref.WeakSet[_native.ZerobusWriter] = weakref.WeakSet()


def _end_threads():
    """At exit: threads of what was not shut down must be gone before the interpreter."""
    for writer in list(_open_writers):
        writer.abandon()
    for watcher in list(_open_watchers):
        try:
            watcher.close()
        except ZerobusError:
            pass  # nobody is left to be told
    _native.end_retired()


atexit.register(_end_threads)


def _options(options: Options | str, table: str | None, changes: dict[str, Any]) -> Options:
    if isinstance(options, Options):
        if table is not None:
            raise TypeError("a table is part of Options")
        return dataclasses.replace(options, **changes)
    if table is None:
        raise TypeError("an endpoint needs a table beside it")
    return Options(options, table, **changes)


class Writer:
    """Sends batches into one table. Thread-safe: conversion of several threads runs in parallel.

    `Writer(options)` or `Writer(endpoint, table, client_id=..., ...)` with the fields of Options.
    It opens no connection: the first batch does. A context manager that shuts down. Without
    shutdown() the end of the object gives up what is not durable yet.
    """

    def __init__(self, options: Options | str, table: str | None = None, **changes: Any):
        self.options = _options(options, table, changes)
        fields = dataclasses.fields(self.options)
        self._native = _native.ZerobusWriter(
            {field.name: getattr(self.options, field.name) for field in fields})
        _open_writers.add(self._native)

    def send_batch(self, batch: Any, descriptor: bytes | None = None) -> TransmissionResult:
        """Converts, sends and waits until every row is durable or failed.

        Rows that cannot be converted are in `failed_rows` and never stop others. When the stream
        fails in a way that may pass, the rows that are not durable are sent again, at most
        `retry_max_attempts` times in all. Failures of the service are in the result; only a
        batch that is no Arrow data raises.

        Args:
            batch: a record batch; a table or data frame counts as one batch.
            descriptor: a serialized DescriptorProto to encode against, instead of the one made
                from the table's columns. Only in mode "proto".
        """
        return TransmissionResult(self._native.send_batch(batch, descriptor))

    def submit(self, batch: Any, descriptor: bytes | None = None) -> PendingSend:
        """Converts and accepts the batch and returns while it is under way; waits (or raises
        TransmissionError, by `back_pressure`) while too much is in flight.

        The stream recovers as ever, but rows of a stream that failed for good are not sent
        again: they are in the result and in `take_unacknowledged()`.
        """
        future: concurrent.futures.Future[TransmissionResult] = concurrent.futures.Future()
        future.set_running_or_notify_cancel()
        offsets = self._native.submit(
            batch, descriptor, lambda result, error: _deliver(future, result, error))
        return PendingSend(*offsets, future)

    def flush(self) -> None:
        """Waits until everything accepted before is durable, at most `flush_timeout_ms`. Raises
        the stream's error when it failed with rows not durable, ClosedError after the time."""
        self._native.flush()

    def wait_for_offset(self, offset: int) -> None:
        """Waits until the request of this logical offset, and all before it, are settled."""
        self._native.wait_for_offset(offset)

    def shutdown(self) -> None:
        """Takes no more batches, flushes, ends the connections, waits for the callbacks.
        Bounded and idempotent; succeeds when every row is durable."""
        self._native.shutdown()

    close = shutdown

    def take_unacknowledged(self) -> list[tuple[int, pa.RecordBatch]]:
        """(offset, rows) submitted and not durable when their stream failed or closed, in order.
        A second call gives only what came since."""
        return [(offset, pa.record_batch(batch))
                for offset, batch in self._native.take_unacknowledged()]

    def statistics(self) -> WriterStatistics:
        """Counters since the writer was made."""
        return self._native.statistics()

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.shutdown()
            return
        try:
            self.shutdown()
        except ZerobusError:  # the exception that is on its way says more
            pass


class AsyncWriter:
    """As Writer, with coroutines; an asynchronous context manager that shuts down.

    At most `concurrent_sends` batches are converted or sent by `send_batch` at once; more wait.
    `submit` holds a thread only while it converts, and so keeps any number under way.
    """

    def __init__(self, options: Options | str, table: str | None = None, *,
                 concurrent_sends: int = 16, **changes: Any):
        self._writer = Writer(options, table, **changes)
        self._senders = Executor(concurrent_sends, "zerobus-send")
        # Of its own, so that senders that wait for room cannot hold up the end.
        self._control = Executor(1, "zerobus-control")

    @property
    def options(self) -> Options:
        """As the writer was made."""
        return self._writer.options

    async def send_batch(self, batch: Any, descriptor: bytes | None = None) -> TransmissionResult:
        """As Writer.send_batch. A caller that is cancelled does not stop the send."""
        return await self._senders.run(self._writer.send_batch, batch, descriptor)

    async def submit(self, batch: Any, descriptor: bytes | None = None) -> PendingSend:
        """As Writer.submit; await the answer for the result."""
        return await self._senders.run(self._writer.submit, batch, descriptor)

    async def flush(self) -> None:
        """As Writer.flush."""
        await self._control.run(self._writer.flush)

    async def wait_for_offset(self, offset: int) -> None:
        """As Writer.wait_for_offset."""
        await self._control.run(self._writer.wait_for_offset, offset)

    async def shutdown(self) -> None:
        """As Writer.shutdown."""
        await self._control.run(self._writer.shutdown)

    close = shutdown

    def take_unacknowledged(self) -> list[tuple[int, pa.RecordBatch]]:
        """As Writer.take_unacknowledged."""
        return self._writer.take_unacknowledged()

    def statistics(self) -> WriterStatistics:
        """As Writer.statistics."""
        return self._writer.statistics()

    async def __aenter__(self) -> AsyncWriter:
        return self

    async def __aexit__(self, *error: Any) -> None:
        await self._control.run(self._writer.__exit__, *error)
