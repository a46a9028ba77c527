"""A fixed number of threads that make attempts for an event loop.

They are daemons: a handler that never ends cannot keep the process from ending. That is why this
is not `concurrent.futures`, whose threads are waited for.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class Threads:
    def __init__(self, count: int, name: str) -> None:
        self._calls: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._count = count
        for number in range(count):
            threading.Thread(target=self._work, name=f"{name}-{number}", daemon=True).start()

    async def run(self, call: Callable[[], T]) -> T:
        """Waits for what `call` returns; it must not raise."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()

        def answered(result: T) -> None:
            if not future.done():
                future.set_result(result)

        def in_thread() -> None:
            result = call()
            # A loop that has ended waits for nothing.
            if not loop.is_closed():
                loop.call_soon_threadsafe(answered, result)

        self._calls.put(in_thread)
        return await future

    def close(self) -> None:
        for _ in range(self._count):
            self._calls.put(None)

    def _work(self) -> None:
        while call := self._calls.get():
            try:
                call()
            except RuntimeError:
                # The loop was closed between the question and the call.
                return
