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
from ._native import WriterStatistics

__all__ = [
    "AsyncWriter", "AuthenticationError", "Client", "ClosedError", "ConfigurationError",
    "ConnectionError", "ConversionError", "ErrorStatistics", "Observer", "Options", "PendingSend",
    "ProtocolError", "RetryExhausted", "SchemaError", "TokenRefreshError", "TransmissionError",
    "TransmissionResult", "Writer", "WriterStatistics", "ZerobusError",
]

class Client(_native.ZerobusClient):
    """What several writers share when it is given as their `client`: threads, cached tokens and,
    with `connection_per_stream=False`, connections. Thread-safe; lives as long as its writers."""


class Observer(Protocol):
    """Sees what a writer converts. Methods may be left out; they run on the sender's thread, with
    the interpreter lock, so they cost throughput; what they raise is reported, not passed on."""

    def on_batch(self, batch: Any) -> None:
        """A batch (with `__arrow_c_array__`) was given to the writer; once, not on retry."""

    def on_descriptor(self, descriptor: bytes) -> None:
        """The serialized descriptor (Flight: the schema message) of a new stream."""

    def on_records(self, records: bytes, rows: int) -> None:
        """Encoded rows, length-delimited: a varint size before each message."""


@dataclasses.dataclass(frozen=True)
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
        zerobus_writer_disabled: convert and show rows to the observer, send nothing.
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
    cast_to_table: bool | None = None
    zerobus_writer_disabled: bool | None = None
    on_durable: Callable[[int, int], object] | None = None
    on_failed: Callable[[int, int, ZerobusError], object] | None = None
    observer: Observer | None = None
    client: Client | None = None

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


def _end_writers():
    """At exit: threads of writers that were not shut down must be gone before the interpreter."""
    for writer in list(_open_writers):
        writer.abandon()
    _native.end_retired_writers()


atexit.register(_end_writers)


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
