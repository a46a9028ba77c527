"""`Worker` and `AsyncWorker`: handlers by name, performed until it is stopped.

A `Worker` has plain functions and makes each attempt in a thread; an `AsyncWorker` has coroutine
functions and makes each attempt in a task of its own event loop. Everything else is one code.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import signal
import socket
import threading
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

from ._duty import Duty, Identity, Make
from ._handlers import Handlers, name_of, perform, perform_async
from ._threads import Threads
from .attempt import Attempt
from .client import AsyncClient
from .outcomes import Outcome

SLOTS = 10
GRACE_S = 30.0

F = TypeVar("F", bound=Callable[..., Any])
A = TypeVar("A", bound=Callable[..., Coroutine[Any, Any, Any]])


class BaseWorker:
    """What both kinds of worker have.

    `slots` is how many attempts it makes at a time. `labels` decide with `performs` what it may
    take. `grace` is how many seconds it has after `stop()` to finish and report what it is at.
    """

    def __init__(
        self,
        url: str | None = None,
        key: str | None = None,
        *,
        name: str | None = None,
        version: str | None = None,
        labels: Mapping[str, str] | None = None,
        slots: int = SLOTS,
        grace: float = GRACE_S,
    ) -> None:
        if slots < 1:
            raise ValueError("a worker needs a slot at least")
        self.url, self.key = url, key
        self.name = (name or f"{socket.gethostname()}-{os.getpid()}")[:255]
        self.version, self.labels = version, dict(labels or {})
        self.slots, self.grace = slots, grace
        self.handlers = Handlers()
        self._lock = threading.Lock()
        self._stopped = False
        self._stop_duty: Callable[[], None] | None = None

    def stop(self) -> None:
        """From any thread: takes no more, finishes what it has, and `run()` returns."""
        with self._lock:
            self._stopped = True
            if self._stop_duty is not None:
                self._stop_duty()

    def _add(self, patterns: tuple[str, ...], function: Callable[..., Any]) -> None:
        if not patterns:
            raise ValueError("say what it performs: @worker.performs('mail.send')")
        for pattern in patterns:
            self.handlers.add(pattern, function)

    async def _serve(self, make: Make, *, cancels_work: bool, on_ready: Callable[[], None]) -> None:
        performs = self.handlers.patterns
        if not performs:
            raise ValueError("it performs nothing: decorate a function with @worker.performs")
        identity = Identity(self.name, self.version, self.labels, self.slots, performs)
        async with AsyncClient(self.url, self.key) as client:
            duty = Duty(identity, make, client, grace_s=self.grace, cancels_work=cancels_work)
            with self._stopping(duty), stopped_by_signals(duty):
                await duty.serve(on_ready)

    @contextmanager
    def _stopping(self, duty: Duty) -> Iterator[None]:
        loop = asyncio.get_running_loop()

        def stop() -> None:
            loop.call_soon_threadsafe(duty.stop)

        with self._lock:
            self._stop_duty = stop
            if self._stopped:
                stop()
        try:
            yield
        finally:
            with self._lock:
                self._stop_duty, self._stopped = None, False


class Worker(BaseWorker):
    """Performs plain functions in threads."""

    def performs(self, *patterns: str) -> Callable[[F], F]:
        """For a function of the input, or of the input and the attempt."""

        def add(function: F) -> F:
            if inspect.iscoroutinefunction(function):
                raise TypeError(f"{name_of(function)} is a coroutine function: use AsyncWorker")
            self._add(patterns, function)
            return function

        return add

    def run(self, *, on_ready: Callable[[], None] = lambda: None) -> None:
        """Works until `stop()`, SIGINT or SIGTERM; raises `ApiError` if the server refuses it."""
        asyncio.run(self._run(on_ready))

    async def _run(self, on_ready: Callable[[], None]) -> None:
        threads = Threads(self.slots, f"{self.name}-attempt")

        async def make(attempt: Attempt) -> Outcome:
            return await threads.run(lambda: perform(self.handlers, attempt))

        try:
            await self._serve(make, cancels_work=False, on_ready=on_ready)
        finally:
            threads.close()


class AsyncWorker(BaseWorker):
    """Performs coroutine functions in tasks, which are canceled when an attempt is."""

    def performs(self, *patterns: str) -> Callable[[A], A]:
        """For a coroutine function of the input, or of the input and the attempt."""

        def add(function: A) -> A:
            if not inspect.iscoroutinefunction(function):
                raise TypeError(f"{name_of(function)} is a plain function: use Worker")
            self._add(patterns, function)
            return function

        return add

    async def run(self, *, on_ready: Callable[[], None] = lambda: None) -> None:
        """Works until `stop()`, SIGINT or SIGTERM; raises `ApiError` if the server refuses it."""

        async def make(attempt: Attempt) -> Outcome:
            return await perform_async(self.handlers, attempt)

        await self._serve(make, cancels_work=True, on_ready=on_ready)


@contextmanager
def stopped_by_signals(duty: Duty) -> Iterator[None]:
    """Only the main thread hears signals. A second one ends the grace."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()

    def stop(*_: object) -> None:
        loop.call_soon_threadsafe(duty.stop)

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
