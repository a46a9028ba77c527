"""A fake server for each test, and workers that are stopped whatever happens."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fake_server import PATIENCE_S, FakeServer

from fleetprompt import AsyncWorker, Worker, _duty


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses of the worker that a test would only wait for."""
    monkeypatch.setattr(_duty, "SHUTDOWN_PAUSE_S", 0.05)
    monkeypatch.setattr(_duty, "PROGRESS_PAUSE_S", 0.05)
    monkeypatch.delenv("FLEETPROMPT_URL", raising=False)
    monkeypatch.delenv("FLEETPROMPT_KEY", raising=False)


@pytest.fixture
def server() -> Iterator[FakeServer]:
    fake = FakeServer()
    yield fake
    fake.go_away()


@pytest.fixture
def hasty_server() -> Iterator[FakeServer]:
    """One whose leases are short."""
    fake = FakeServer(lease_ms=900)
    yield fake
    fake.go_away()


class Running:
    """A worker in a thread of its own, and what it ended with."""

    def __init__(self, worker: Worker | AsyncWorker) -> None:
        self.worker = worker
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            run: Any = self.worker.run()
            if run is not None:
                asyncio.run(run)
        except BaseException as error:
            self.error = error

    def stop(self) -> None:
        self.worker.stop()
        self.join()

    def join(self) -> None:
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive(), "the worker did not stop"


@pytest.fixture
def running() -> Iterator[Callable[[Worker | AsyncWorker], Running]]:
    all_running: list[Running] = []

    def start(worker: Worker | AsyncWorker) -> Running:
        all_running.append(Running(worker))
        return all_running[-1]

    yield start
    for each in all_running:
        # Asked twice, it leaves what it has.
        each.worker.stop()
        each.stop()
