"""TransmissionResult as existing code knows it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from arrowport import zerobus

_LABELS = {
    "ConfigurationError": "Configuration error",
    "AuthenticationError": "Authentication error",
    "ConnectionError": "Connection error",
    "ConversionError": "Conversion error",
    "SchemaError": "Schema error",
    "TransmissionError": "Transmission error",
    "ProtocolError": "Protocol error",
    "RetryExhausted": "Retry exhausted",
    "TokenRefreshError": "Token refresh error",
    "ClosedError": "Closed",
}


class _RowError:
    """Class and text of one failure."""

    __slots__ = ("name", "text")

    def __init__(self, name: str, text: str):
        self.name = name
        self.text = f"{_LABELS[name]}: {text}"

    @classmethod
    def of_text(cls, text: str) -> _RowError:
        """Of "ConversionError: why"; without a known class in front it is a conversion error."""
        name, colon, rest = text.partition(":")
        if colon and name in _LABELS:
            return cls(name, rest.strip())
        return cls("ConversionError", text)

    @classmethod
    def of_exception(cls, error: zerobus.ZerobusError) -> _RowError:
        name = type(error).__name__
        return cls(name if name in _LABELS else "TransmissionError", str(error))


class TransmissionResult:
    """What became of the rows of one batch.

    `success`: no failed rows and no error. `error`: text of the batch-level failure or None.
    `failed_rows`: [(index, text)]. `successful_rows`: [index]. `total_rows == successful_count +
    failed_count` of every result that a wrapper makes.
    """

    def __init__(self, success: bool, *, error: str | None = None, attempts: int = 1,
                 latency_ms: int | None = None, batch_size_bytes: int = 0,
                 failed_rows: Sequence[tuple[int, str]] | None = None,
                 successful_rows: Sequence[int] | None = None, total_rows: int = 0,
                 successful_count: int = 0, failed_count: int = 0, message: str | None = None):
        self._success = success
        self._error = None if error is None else _RowError.of_text(error)
        self._attempts = attempts
        self._latency_ms = latency_ms
        self._batch_size_bytes = batch_size_bytes
        self._failed = [(index, _RowError.of_text(text)) for index, text in failed_rows or ()]
        self._successful_rows = list(successful_rows or ())
        self._total_rows = total_rows
        self._successful_count = successful_count
        self._failed_count = failed_count

    def _take(self, result: zerobus.TransmissionResult) -> None:
        """Becomes what the writer said."""
        errors: dict[int, _RowError] = {}

        def shared(error):
            return errors.setdefault(id(error), _RowError.of_exception(error))

        failed = result.failed_rows  # keeps the errors alive, so their ids differ
        self._success = result.success
        self._error = None if result.error is None else _RowError.of_exception(result.error)
        self._attempts = result.attempts
        self._latency_ms = round(result.latency_ms)
        self._batch_size_bytes = result.batch_size_bytes
        self._failed = [(index, shared(error)) for index, error in failed]
        self._successful_rows = result.successful_rows
        self._total_rows = result.total_rows
        self._successful_count = result.successful_count
        self._failed_count = result.failed_count

    @property
    def success(self) -> bool:
        """No failed rows and no batch-level error."""
        return self._success

    @property
    def error(self) -> str | None:
        """Text of the batch-level failure."""
        return None if self._error is None else self._error.text

    @property
    def attempts(self) -> int:
        """How often the rows, or what was left of them, were sent."""
        return self._attempts

    @property
    def latency_ms(self) -> int | None:
        """From the call to the last acknowledgement."""
        return self._latency_ms

    @property
    def batch_size_bytes(self) -> int:
        """Arrow memory of the batch."""
        return self._batch_size_bytes

    @property
    def failed_rows(self) -> list[tuple[int, str]]:
        """(index in the batch, text), ascending."""
        return [(index, error.text) for index, error in self._failed]

    @property
    def successful_rows(self) -> list[int]:
        """Indices of durable rows, ascending."""
        return self._successful_rows

    @property
    def total_rows(self) -> int:
        """Rows of the batch."""
        return self._total_rows

    @property
    def successful_count(self) -> int:
        """Durable rows."""
        return self._successful_count

    @property
    def failed_count(self) -> int:
        """Rows that are not durable."""
        return self._failed_count

    def is_partial_success(self) -> bool:
        """Some rows failed and some are durable."""
        return self.has_failed_rows() and self.has_successful_rows()

    def has_failed_rows(self) -> bool:
        """At least one row failed."""
        return bool(self._failed)

    def has_successful_rows(self) -> bool:
        """At least one row is durable."""
        return bool(self._successful_rows)

    def get_failed_row_indices(self) -> list[int]:
        """In order of index."""
        return [index for index, _ in self._failed]

    def get_successful_row_indices(self) -> list[int]:
        """In order of index."""
        return list(self._successful_rows)

    def get_failed_row_indices_by_error_type(self, error_type: str) -> list[int]:
        """Of one class of error: "ConversionError", "TransmissionError" ..."""
        return [index for index, error in self._failed if error.name == error_type]

    def group_errors_by_type(self) -> dict[str, list[int]]:
        """{class of the error: indices of its rows}."""
        groups: dict[str, list[int]] = {}
        for index, error in self._failed:
            groups.setdefault(error.name, []).append(index)
        return groups

    def get_error_statistics(self) -> dict[str, Any]:
        """total_rows, successful_count, failed_count, success_rate, failure_rate (0.0 to 1.0) and
        error_type_counts."""
        total = self.total_rows
        rate = self.successful_count / total if total else (0.0 if self._error else 1.0)
        return {
            "total_rows": total, "successful_count": self.successful_count,
            "failed_count": self.failed_count, "success_rate": rate,
            "failure_rate": self.failed_count / total if total else 1.0 - rate,
            "error_type_counts": {name: len(rows)
                                  for name, rows in self.group_errors_by_type().items()},
        }

    def get_error_messages(self) -> list[str]:
        """One text per failed row, in order of index."""
        return [error.text for _, error in self._failed]

    def extract_failed_batch(self, original_batch: Any) -> pa.RecordBatch | None:
        """The rows of the batch that was sent that failed; None when there are none."""
        return _rows_of(original_batch, self.get_failed_row_indices())

    def extract_successful_batch(self, original_batch: Any) -> pa.RecordBatch | None:
        """The rows of the batch that was sent that are durable; None when there are none."""
        return _rows_of(original_batch, self._successful_rows)

    def __repr__(self) -> str:
        return (f"<TransmissionResult: {'success' if self.success else 'failure'}, "
                f"{self.successful_count} of {self.total_rows} rows, {self.attempts} attempts>")


def _rows_of(data: Any, indices: Sequence[int]) -> pa.RecordBatch | None:
    batch = pa.record_batch(data)
    rows = [index for index in indices if 0 <= index < batch.num_rows]
    if not rows:
        return None
    if rows[-1] - rows[0] + 1 == len(rows) and all(b - a == 1 for a, b in zip(rows, rows[1:])):
        return batch.slice(rows[0], len(rows))
    return batch.take(pa.array(rows, pa.int64()))
