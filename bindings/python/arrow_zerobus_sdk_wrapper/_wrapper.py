"""ZerobusWrapper over arrowport.zerobus.Writer."""

from __future__ import annotations

import asyncio
import concurrent.futures
import warnings
from collections.abc import Callable
from typing import Any

from arrowport import zerobus

from ._configuration import WrapperConfiguration
from ._debug_files import DebugFiles
from ._outcome import Outcome, SendOutcome

_CONCURRENT_SENDS = 16


class ZerobusWrapper:
    """Sends record batches into one table. Thread-safe.

    `ZerobusWrapper(configuration)`, or the arguments of WrapperConfiguration as keywords. Every
    operation may be awaited or called plainly; without a running event loop it is over when the
    call returns. A context manager, asynchronous or not, that shuts down.

    Raises ConfigurationError.
    """

    def __init__(self, configuration: WrapperConfiguration | None = None, **keywords: Any):
        if configuration is None:
            configuration = WrapperConfiguration(**keywords)
        elif keywords:
            raise TypeError("a configuration takes no further keywords")
        configuration.validate()
        if configuration.observability_enabled:
            warnings.warn("export of telemetry is not built yet: read statistics() instead",
                          RuntimeWarning, stacklevel=2)
        self._configuration = configuration
        self._debug_files = DebugFiles.of(configuration)
        options: dict[str, Any] = {}
        if self._debug_files is not None:
            options["observer"] = self._debug_files
        self._writer = zerobus.Writer(configuration.writer_options(), **options)
        self._senders = concurrent.futures.ThreadPoolExecutor(_CONCURRENT_SENDS,
                                                              "zerobus-send")
        # Of its own, so that senders that wait for room cannot hold up the end.
        self._control = concurrent.futures.ThreadPoolExecutor(1, "zerobus-control")

    @property
    def configuration(self) -> WrapperConfiguration:
        """As the wrapper was made."""
        return self._configuration

    def send_batch(self, batch: Any, descriptor: bytes | None = None) -> SendOutcome:
        """Sends a batch; the answer is a TransmissionResult, or awaited gives one.

        Args:
            batch: anything with the Arrow PyCapsule interface.
            descriptor: a serialized DescriptorProto to encode against.
        """
        return self._begin(SendOutcome, self._senders, self._writer.send_batch, batch, descriptor)

    def flush(self) -> Outcome:
        """Waits until everything sent before is durable and debug files are on disk."""
        return self._begin(Outcome, self._control, self._flush)

    def shutdown(self) -> Outcome:
        """Flushes, ends the connections and closes the debug files. Idempotent."""
        return self._begin(Outcome, self._control, self._shutdown)

    def statistics(self) -> zerobus.WriterStatistics:
        """Counters since the wrapper was made."""
        return self._writer.statistics()

    def _flush(self) -> None:
        try:
            self._writer.flush()
        finally:
            if self._debug_files is not None:
                self._debug_files.flush()

    def _shutdown(self) -> None:
        try:
            self._writer.shutdown()
        finally:
            if self._debug_files is not None:
                self._debug_files.close()

    @staticmethod
    def _begin(kind: type[Any], executor: concurrent.futures.Executor,
               function: Callable[..., Any], *arguments: Any) -> Any:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            future: concurrent.futures.Future[Any] = concurrent.futures.Future()
            future.set_result(function(*arguments))
            outcome = kind(future)
            outcome._claimed = True
            return outcome
        return kind(executor.submit(function, *arguments))

    async def __aenter__(self) -> ZerobusWrapper:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            await self.shutdown()
        except zerobus.ZerobusError:
            if kind is None:  # else the exception that is on its way says more
                raise

    def __enter__(self) -> ZerobusWrapper:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            self._shutdown()
        except zerobus.ZerobusError:
            if kind is None:
                raise
