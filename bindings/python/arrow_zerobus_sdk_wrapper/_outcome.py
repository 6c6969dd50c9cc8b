"""Answers that serve code with and without `await`.

Published code of this package calls the same methods both ways, also inside a running event loop:
`result = await wrapper.send_batch(batch)` and `result = wrapper.send_batch(batch)`.
"""

from __future__ import annotations

import asyncio
import collections.abc
import concurrent.futures
import sys
from typing import Any

from ._result import TransmissionResult


class Outcome(collections.abc.Coroutine):
    """A call that has begun. Awaited, it lets the event loop go on; used or dropped without
    `await`, it blocks until the call is over, as a plain call would."""

    def __init__(self, future: concurrent.futures.Future[Any]):
        self._future = future
        self._claimed = False  # somebody waited: nothing to make up for when dropped
        self._steps: collections.abc.Coroutine | None = None

    def _answer(self) -> Any:
        self._claimed = True
        return self._future.result()

    async def _arrival(self) -> Any:
        self._claimed = True
        # A caller that is cancelled does not stop a call that has begun.
        await asyncio.wait([asyncio.wrap_future(self._future)])
        return self._answer()

    def __await__(self):
        return self._arrival().__await__()

    # A coroutine too, for asyncio.create_task() and asyncio.run().

    def send(self, value: Any) -> Any:
        if self._steps is None:
            self._steps = self._arrival()
        return self._steps.send(value)

    def throw(self, *error: Any) -> Any:
        if self._steps is None:
            self._steps = self._arrival()
        return self._steps.throw(*error)

    def close(self) -> None:
        if self._steps is not None:
            self._steps.close()

    def __del__(self) -> None:
        if self.__dict__.get("_claimed", True) or sys.is_finalizing():
            return
        self._answer()  # what it raises is reported as unraisable: there is no caller left


class SendOutcome(Outcome, TransmissionResult):
    """The result of a send, there when first asked for."""

    def __getattr__(self, name: str) -> Any:
        # Only what _take() sets can be missing, and only until it has run.
        if not name.startswith("_") or name.startswith("__") or "_success" in self.__dict__:
            raise AttributeError(name)
        self._take(self._answer())
        return self.__dict__[name]

    async def _arrival(self) -> TransmissionResult:
        self._take(await super()._arrival())
        return self

    def __repr__(self) -> str:
        if not self._future.done():
            return "<TransmissionResult: under way>"
        return TransmissionResult.__repr__(self)
