"""Clients of an Arrowport server, blocking and asyncio."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from types import TracebackType
from typing import Any

import pyarrow as pa

from . import _native
from ._executor import Executor
from ._native import Ack, Receipt

Settings = Mapping[str, object]


def _settings(values: Settings | None) -> dict[str, str]:
    """Stream settings as the wire has them: text, booleans in lower case, lists by commas."""
    def text(value):
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, (list, tuple)):
            return ",".join(map(str, value))
        return str(value)
    return {name: text(value) for name, value in (values or {}).items()}


def _is_read_once(data) -> bool:
    """Readers and iterators give their rows once; tables and relations each time they are
    asked."""
    return hasattr(data, "__next__")


def _as_arrow(data):
    """What the extension takes: a list of batches becomes a table, anything else stays."""
    if isinstance(data, (list, tuple)):
        if not data:
            raise ValueError("nothing to send: no batch, no schema")
        return pa.Table.from_batches([pa.record_batch(batch) for batch in data])
    return data


class QueryResult:
    """Rows of a query, as they come. One thread at a time reads them, once.

    Iterate over it for record batches, take `read_all()` for a table, or hand it to any library
    that takes `__arrow_c_stream__` (`polars.from_arrow(result)`). It stays valid after its
    client is closed.
    """

    def __init__(self, rows: _native.QueryRows):
        self._rows = rows
        self._schema: pa.Schema | None = None

    @property
    def schema(self) -> pa.Schema:
        """Of every batch."""
        if self._schema is None:
            self._schema = pa.schema(_SchemaCapsule(self._rows.schema()))
        return self._schema

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        return self

    def __next__(self) -> pa.RecordBatch:
        batch = self._rows.next()
        if batch is None:
            raise StopIteration
        return pa.record_batch(batch)

    def read_all(self) -> pa.Table:
        """What is left, as one table."""
        return pa.Table.from_batches(list(self), self.schema)

    def close(self) -> None:
        """Gives up what was not read."""
        self._rows.close()

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        return self._rows.__arrow_c_stream__(requested_schema)


class _SchemaCapsule:
    def __init__(self, capsule):
        self._capsule = capsule

    def __arrow_c_schema__(self):
        return self._capsule


class Writer:
    """A long-lived upload in which every batch is durable on its own.

    Thread-safe, but order among threads is theirs to keep. A context manager: leaving it in
    order waits until every batch is durable; leaving it by an exception does too, and then
    raises that exception.
    """

    def __init__(self, native: _native.Writer):
        self._native = native

    def write(self, batch: Any) -> int:
        """Sends a batch and returns its offset (from 0) without waiting for its
        acknowledgement; waits while too much is unacknowledged."""
        return self._native.write(batch)

    def flush(self) -> None:
        """Waits until every batch written before is durable."""
        self._native.flush()

    def close(self) -> Receipt:
        """Ends the upload once every batch is durable. A second call gives the same receipt."""
        return self._native.close()

    @property
    def acknowledged_offset(self) -> int:
        """Offset of the last durable batch, -1 before the first."""
        return self._native.acknowledged_offset

    @property
    def producer_last_sequence(self) -> int | None:
        """What the server had applied for this producer when the writer was opened."""
        return self._native.producer_last_sequence

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        if kind is None:
            self.close()
            return
        try:
            self.close()
        except Exception:  # the exception that is on its way says more
            pass


class Client:
    """A client of an Arrowport server. Thread-safe; waiting releases the interpreter lock.

    Args:
        url: "http://", "https://", "grpc://", "grpc+tls://" or just "host[:port]"; port 8888
            unless given. The constructor does not wait for the server.
        user, password: basic credentials on every call.
        token: a bearer token; wins over `user`.
        tls_ca_file, tls_cert_file, tls_key_file: PEM files.
        call_timeout_ms: for a call as a whole; None: as long as it takes.
        retry_max_attempts, retry_base_delay_ms, retry_max_delay_ms: retriable failures are
            tried again after random waits up to min(max, base * 2 ** n).
    """

    def __init__(self, url: str = "http://127.0.0.1:8888", *, user: str = "", password: str = "",
                 token: str = "", tls_ca_file: str = "", tls_cert_file: str = "",
                 tls_key_file: str = "", call_timeout_ms: int | None = None,
                 retry_max_attempts: int = 5, retry_base_delay_ms: int = 100,
                 retry_max_delay_ms: int = 30_000):
        self._native: _native.Client | None = _native.Client(
            url, user=user, password=password, token=token, tls_ca_file=tls_ca_file,
            tls_cert_file=tls_cert_file, tls_key_file=tls_key_file,
            call_timeout_ms=call_timeout_ms, attempts_max=retry_max_attempts,
            delay_base_ms=retry_base_delay_ms, delay_max_ms=retry_max_delay_ms)

    def _open(self) -> _native.Client:
        native = self._native
        if native is None:
            raise ValueError("the client is closed")
        return native

    def send(self, stream: str, data: Any, *, idempotency_key: str = "", producer: str = "",
             sequence: int | None = None, settings: Settings | None = None) -> Receipt:
        """Lands the data as one transaction: once this returns it is durable and the next query
        sees it.

        Retriable failures are retried under one idempotency key (yours, or a random one), so
        the rows are applied once whatever got lost.

        Args:
            stream: where it goes; by default the table of that name.
            data: a batch, table, data frame, relation or list of batches. It must give the same
                rows each time it is asked. A reader (anything with `__next__`) is read once,
                and then only a failure before its first batch is retried.
            idempotency_key: makes a repeat of yours harmless, also after a crash.
            producer, sequence: instead of a key.
            settings: of the stream, for this upload: {"target_table": "sales.events"},
                {"mode": "overwrite"}, {"delta_options.partition_by": ["date"]}.
        """
        data = _as_arrow(data)
        return self._open().send(stream, data, reopen=not _is_read_once(data),
                                 idempotency_key=idempotency_key, producer=producer,
                                 sequence=sequence, settings=_settings(settings))

    def open_writer(self, stream: str, schema: Any, *, producer: str = "",
                    sequence: int | None = None, settings: Settings | None = None,
                    unacknowledged_batches_max: int = 1000,
                    unacknowledged_bytes_max: int = 256 << 20,
                    on_ack: Callable[[Ack], object] | None = None) -> Writer:
        """Opens an upload in which every batch is durable on its own.

        Args:
            schema: of every batch; anything with `__arrow_c_schema__`.
            producer, sequence: of the first batch: repeats are recognised.
            unacknowledged_batches_max, unacknowledged_bytes_max: `write` waits beyond these.
            on_ack: called from the writer's own thread, in order; must not call the writer.
        """
        return Writer(self._open().open_writer(
            stream, schema, producer=producer, sequence=sequence, settings=_settings(settings),
            unacknowledged_batches_max=unacknowledged_batches_max,
            unacknowledged_bytes_max=unacknowledged_bytes_max, on_ack=on_ack))

    def query(self, sql: str, *, flight_sql: bool = False) -> QueryResult:
        """Runs a statement; rows come as they are made.

        Args:
            flight_sql: ask as a Flight SQL client does, for servers other than Arrowport.
        """
        return QueryResult(self._open().query(sql, flight_sql=flight_sql))

    def ping(self) -> None:
        """Raises UnavailableError unless a server answers."""
        self._open().ping()

    def close(self) -> None:
        """Drops the connection. Writers and results that were opened stay usable."""
        self._native = None

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AsyncQueryResult:
    """As QueryResult, for `async for batch in result`."""

    def __init__(self, result: QueryResult, executor: Executor):
        self._result = result
        self._executor = executor

    @property
    def schema(self) -> pa.Schema:
        """Of every batch."""
        return self._result.schema

    def __aiter__(self) -> AsyncIterator[pa.RecordBatch]:
        return self

    async def __anext__(self) -> pa.RecordBatch:
        batch = await self._executor.run(next, self._result, None)  # None: the end
        if batch is None:
            raise StopAsyncIteration
        return batch

    async def read_all(self) -> pa.Table:
        """What is left, as one table."""
        return await self._executor.run(self._result.read_all)

    async def close(self) -> None:
        """Gives up what was not read."""
        await self._executor.run(self._result.close)


class AsyncWriter:
    """As Writer, with coroutines; an asynchronous context manager."""

    def __init__(self, writer: Writer, executor: Executor):
        self._writer = writer
        self._executor = executor

    async def write(self, batch: Any) -> int:
        """As Writer.write."""
        return await self._executor.run(self._writer.write, batch)

    async def flush(self) -> None:
        """Waits until every batch written before is durable."""
        await self._executor.run(self._writer.flush)

    async def close(self) -> Receipt:
        """Ends the upload once every batch is durable."""
        return await self._executor.run(self._writer.close)

    @property
    def acknowledged_offset(self) -> int:
        """Offset of the last durable batch, -1 before the first."""
        return self._writer.acknowledged_offset

    @property
    def producer_last_sequence(self) -> int | None:
        """What the server had applied for this producer when the writer was opened."""
        return self._writer.producer_last_sequence

    async def __aenter__(self) -> AsyncWriter:
        return self

    async def __aexit__(self, *error: Any) -> None:
        await self._executor.run(self._writer.__exit__, *error)


class AsyncClient:
    """As Client, with coroutines. At most `concurrent_calls` of them run at once; more wait.

    Takes the arguments of Client.
    """

    def __init__(self, url: str = "http://127.0.0.1:8888", *, concurrent_calls: int = 16,
                 **options: Any):
        self._client = Client(url, **options)
        self._executor = Executor(concurrent_calls, "arrowport-client")

    async def send(self, stream: str, data: Any, **options: Any) -> Receipt:
        """As Client.send."""
        return await self._executor.run(self._client.send, stream, data, **options)

    async def open_writer(self, stream: str, schema: Any, **options: Any) -> AsyncWriter:
        """As Client.open_writer."""
        writer = await self._executor.run(self._client.open_writer, stream, schema, **options)
        return AsyncWriter(writer, Executor(2, "arrowport-writer"))

    async def query(self, sql: str, **options: Any) -> AsyncQueryResult:
        """As Client.query."""
        result = await self._executor.run(self._client.query, sql, **options)
        return AsyncQueryResult(result, self._executor)

    async def ping(self) -> None:
        """As Client.ping."""
        await self._executor.run(self._client.ping)

    async def close(self) -> None:
        """As Client.close."""
        self._client.close()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
