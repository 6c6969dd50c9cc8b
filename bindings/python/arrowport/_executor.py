"""Threads for the asynchronous classes: a bounded pool of their own, never a thread per call."""

from __future__ import annotations

import asyncio
import concurrent.futures
import functools


class Executor:
    """Runs blocking calls of one object off the event loop.

    The results arrive through loop.call_soon_threadsafe. A caller that is cancelled does not
    stop a call that has begun. Threads start when needed and end with their last owner.
    """

    def __init__(self, threads: int, name: str):
        self._threads = concurrent.futures.ThreadPoolExecutor(threads, thread_name_prefix=name)

    async def run(self, function, *arguments, **keywords):
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(
            self._threads, functools.partial(function, *arguments, **keywords))
