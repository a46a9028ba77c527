"""Where an `AsyncWorker` differs: its attempts are tasks, and calling one off cancels its task."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from conftest import Running
from fake_server import PATIENCE_S, FakeServer

from fleetprompt import AsyncWorker, Attempt, Worker

Run = Callable[[AsyncWorker], Running]


@pytest.fixture
def worker(server: FakeServer) -> AsyncWorker:
    return AsyncWorker(server.url, slots=100)


def test_attempts_are_made_at_the_same_time_in_one_loop(
    server: FakeServer, worker: AsyncWorker, running: Run
) -> None:
    there: list[Any] = []

    @worker.performs("meet.*")
    async def meet(input: Any) -> int:
        there.append(input)
        while len(there) < 40:
            await asyncio.sleep(0)
        return len(there)

    works = [server.add("meet.here", n) for n in range(40)]
    running(worker)
    assert [server.outcome(work)["output"] for work in works] == [40] * 40


def test_what_is_called_off_is_canceled_and_cleans_up(
    server: FakeServer, worker: AsyncWorker, running: Run
) -> None:
    @worker.performs("slow.*")
    async def slow(input: Any, attempt: Attempt) -> None:
        try:
            await asyncio.sleep(PATIENCE_S)
        finally:
            attempt.log("cleaned up")

    work = server.add("slow.one")
    running(worker)
    server.wait_until(lambda: any(take["holding"] for take in server.requests["take"]))
    server.cancel(work)
    assert server.outcome(work) == {"id": work.id, "status": "canceled", "logs": ["cleaned up"]}


def test_at_the_end_of_its_grace_tasks_are_canceled_and_nothing_is_said(
    server: FakeServer, worker: AsyncWorker, running: Run
) -> None:
    worker.grace = 0.01
    canceled: list[bool] = []

    @worker.performs("slow.*")
    async def slow(input: Any) -> None:
        try:
            await asyncio.sleep(PATIENCE_S)
        except asyncio.CancelledError:
            canceled.append(True)
            raise

    work = server.add("slow.one")
    run = running(worker)
    server.wait_until(lambda: any(take["holding"] for take in server.requests["take"]))
    run.stop()
    assert run.error is None
    assert canceled == [True]
    assert work.outcomes == []


def test_each_kind_of_worker_takes_its_kind_of_function() -> None:
    with pytest.raises(TypeError, match="use Worker"):
        AsyncWorker().performs("a.b")(lambda input: input)

    async def asynchronous(input: Any) -> None: ...

    with pytest.raises(TypeError, match="use AsyncWorker"):
        Worker().performs("a.b")(asynchronous)
