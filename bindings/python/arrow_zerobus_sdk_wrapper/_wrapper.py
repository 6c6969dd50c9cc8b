"""ZerobusWrapper over arrowport.zerobus.Writer."""

from __future__ import annotations

import asyncio
import concurrent.futures
import warnings
from collections.abc import Callable
from typing import Any

from arrowport import zerobus

from ._configuration import WrapperConfiguration
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
        self._configuration = configuration
        self._telemetry: zerobus.Telemetry | None = None
        if configuration.observability_enabled:
            self._telemetry = zerobus.Telemetry(**configuration.telemetry_options())
        self._debug_files = self._open_debug_files(configuration)
        watchers = {"telemetry": self._telemetry, "debug_files": self._debug_files}
        self._writer = zerobus.Writer(
            configuration.writer_options(),
            **{name: watcher for name, watcher in watchers.items() if watcher is not None})
        self._senders = concurrent.futures.ThreadPoolExecutor(_CONCURRENT_SENDS,
                                                              "zerobus-send")
        # Of its own, so that senders that wait for room cannot hold up the end.
        self._control = concurrent.futures.ThreadPoolExecutor(1, "zerobus-control")

    @staticmethod
    def _open_debug_files(configuration: WrapperConfiguration) -> zerobus.DebugFiles | None:
        options = configuration.debug_file_options()
        if options is None:
            return None
        try:
            return zerobus.DebugFiles(**options)
        except zerobus.ConfigurationError as error:
            if configuration.zerobus_writer_disabled:  # the files are all that is asked for
                raise
            warnings.warn(f"no debug files are written: {error}", RuntimeWarning, stacklevel=3)
            return None

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
        """Waits until everything sent before is durable and debug files are whole."""
        return self._begin(Outcome, self._control, self._writer.flush)

    def shutdown(self) -> Outcome:
        """Flushes, ends the connections, exports telemetry for the last time and closes the debug
        files. Idempotent. What these two lack is no failure of the rows and raises nothing."""
        return self._begin(Outcome, self._control, self._shutdown)

    def statistics(self) -> zerobus.WriterStatistics:
        """Counters since the wrapper was made."""
        return self._writer.statistics()

    @property
    def debug_write_errors(self) -> int:
        """What debug files lack because it could not be written."""
        return 0 if self._debug_files is None else self._debug_files.write_errors

    def _shutdown(self) -> None:
        try:
            self._writer.shutdown()
        finally:
            for watcher in (self._telemetry, self._debug_files):
                if watcher is not None:
                    try:
                        watcher.close()
                    except zerobus.ZerobusError:
                        pass  # counted, and told by the log of telemetry

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
