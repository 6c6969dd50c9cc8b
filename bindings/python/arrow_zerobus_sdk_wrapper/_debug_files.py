"""Debug files: what is sent, as Arrow and as protobuf, in rotated files.

Under the output folder: zerobus/arrow/<table>.arrow (an Arrow IPC stream),
zerobus/proto/<table>.proto (length-delimited messages: a varint size before each) and
zerobus/descriptors/<table>.pb. Dots and slashes of the table name become underscores. A rotated
file has the suffix _YYYYMMDD_HHMMSS_<sequence>.
"""

from __future__ import annotations

import datetime
import os
import re
import threading
from pathlib import Path
from typing import Any

import pyarrow as pa

from ._configuration import WrapperConfiguration


class _RotatedFile:
    """One open file of a table and its rotated predecessors. Not thread-safe."""

    def __init__(self, folder: Path, stem: str, extension: str, bytes_max: int | None,
                 retained_max: int | None):
        self._path = folder / f"{stem}{extension}"
        self._rotated = re.compile(
            re.escape(stem) + r"_\d{8}_\d{6}_(\d+)" + re.escape(extension), re.ASCII)
        self._bytes_max = bytes_max
        self._retained_max = retained_max
        self._sequence = max((number for _, number, _ in self._predecessors()), default=0)
        self.file: Any = None

    def open(self) -> Any:
        """A new, empty file; what stood under its name is rotated."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        if self._path.exists():
            self._rotate()
        self.file = open(self._path, "wb")
        return self.file

    def is_full_with(self, more_bytes: int) -> bool:
        """Whether so much more would exceed the size; a file holds at least one write."""
        size = self.file.tell()
        return self._bytes_max is not None and size > 0 and size + more_bytes > self._bytes_max

    def close(self) -> None:
        if self.file is not None:
            self.file.close()
            self.file = None

    def _predecessors(self) -> list[tuple[str, int, Path]]:
        if not self._path.parent.is_dir():
            return []
        found = []
        for path in self._path.parent.iterdir():
            if match := self._rotated.fullmatch(path.name):
                found.append((path.name, int(match[1]), path))
        return sorted(found, key=lambda entry: entry[1])

    def _rotate(self) -> None:
        self._sequence += 1
        time = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%d_%H%M%S")
        name = f"{self._path.stem}_{time}_{self._sequence}{self._path.suffix}"
        self._path.rename(self._path.with_name(name))
        if self._retained_max is not None:
            for _, _, path in self._predecessors()[:-self._retained_max]:
                path.unlink(missing_ok=True)


class DebugFiles:
    """An arrowport.zerobus.Observer that writes the files. Thread-safe.

    A write that fails never fails the send: it is counted, and the file is begun anew.
    """

    def __init__(self, configuration: WrapperConfiguration):
        folder = Path(configuration.debug_output_dir) / "zerobus"
        stem = re.sub(r"[./\\]", "_", configuration.table_name)
        limits = (configuration.debug_max_file_size, configuration.debug_max_files_retained)
        self._lock = threading.Lock()
        self._arrow = (_RotatedFile(folder / "arrow", stem, ".arrow", *limits)
                       if configuration.debug_arrow_enabled else None)
        self._proto = (_RotatedFile(folder / "proto", stem, ".proto", *limits)
                       if configuration.debug_protobuf_enabled else None)
        self._descriptor_path = folder / "descriptors" / f"{stem}.pb"
        self._stream: pa.ipc.RecordBatchStreamWriter | None = None
        self._schema: pa.Schema | None = None
        self._descriptor: bytes | None = None
        self.write_errors = 0
        """Writes that failed."""
        self._interval_seconds = configuration.debug_flush_interval_secs
        self._ended = threading.Event()
        # A daemon: it must not keep a process alive whose wrapper was never shut down.
        self._flusher = threading.Thread(target=self._flush_regularly, daemon=True,
                                         name="zerobus-debug-files")
        self._flusher.start()

    @classmethod
    def of(cls, configuration: WrapperConfiguration) -> DebugFiles | None:
        """None when no format is on."""
        if configuration.debug_arrow_enabled or configuration.debug_protobuf_enabled:
            return cls(configuration)
        return None

    def on_batch(self, batch: Any) -> None:
        """A batch as it was given to the wrapper."""
        if self._arrow is None:
            return
        batch = pa.record_batch(batch)
        with self._lock:
            try:
                self._write_batch(batch)
            except (OSError, pa.ArrowException):
                self._count_error()

    def on_records(self, records: bytes, rows: int) -> None:
        """Encoded rows, length-delimited."""
        if self._proto is None:
            return
        with self._lock:
            try:
                if self._proto.file is None:
                    self._proto.open()
                if self._proto.is_full_with(len(records)):
                    self._proto.close()
                    self._proto.open()
                self._proto.file.write(records)
            except OSError:
                self._count_error()

    def on_descriptor(self, descriptor: bytes) -> None:
        """The descriptor of the messages; written when it is another one than before."""
        if self._proto is None:
            return
        with self._lock:
            if descriptor == self._descriptor:
                return
            try:
                # Messages of two descriptors cannot be told apart: a file holds one kind.
                self._proto.close()
                self._descriptor_path.parent.mkdir(parents=True, exist_ok=True)
                partial = self._descriptor_path.with_suffix(".partial")
                partial.write_bytes(descriptor)
                os.replace(partial, self._descriptor_path)
                self._descriptor = descriptor
            except OSError:
                self._count_error()

    def flush(self) -> None:
        """Ends the files with their marks; the next write begins new ones."""
        with self._lock:
            self._end_files()

    def close(self) -> None:
        """As flush, and ends the regular flushing. Idempotent."""
        self._ended.set()
        self._flusher.join()
        self.flush()

    def _write_batch(self, batch: pa.RecordBatch) -> None:
        if self._stream is not None and (
                not batch.schema.equals(self._schema, check_metadata=True)
                or self._arrow.is_full_with(batch.nbytes)):
            self._end_stream()
        if self._stream is None:
            self._stream = pa.ipc.new_stream(self._arrow.open(), batch.schema)
            self._schema = batch.schema
        self._stream.write_batch(batch)

    def _end_stream(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()
        self._arrow.close()

    def _end_files(self) -> None:
        try:
            if self._arrow is not None:
                self._end_stream()
            if self._proto is not None:
                self._proto.close()
        except (OSError, pa.ArrowException):
            self._count_error()

    def _count_error(self) -> None:
        self.write_errors += 1
        self._stream = None
        for file in (self._arrow, self._proto):
            try:
                if file is not None:
                    file.close()
            except OSError:
                file.file = None

    def _flush_regularly(self) -> None:
        while not self._ended.wait(self._interval_seconds):
            with self._lock:
                for file in (self._arrow, self._proto):
                    try:
                        if file is not None and file.file is not None:
                            file.file.flush()
                    except OSError:
                        self._count_error()
