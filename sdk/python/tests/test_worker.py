"""A worker against a server that keeps the protocol, and against one that has a bad day."""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Running
from fake_server import PATIENCE_S, FakeServer, Work, problem, refused

from fleetprompt import ApiError, Attempt, Canceled, Failed, Retry, Worker

Run = Callable[[Worker], Running]


@pytest.fixture
def worker(server: FakeServer) -> Worker:
    worker = Worker(server.url, "fp_key", name="w-1", version="1.4.0", labels={"region": "eu"})

    @worker.performs("echo.*")
    def echo(input: Any) -> Any:
        return input

    return worker


def test_it_says_who_it_is_and_reports_what_the_handler_returned(
    server: FakeServer, worker: Worker, running: Run
) -> None:
    work = server.add("echo.this", {"company": "Ä"})
    running(worker)
    assert server.outcome(work) == {
        "id": "work.0.1.1",
        "status": "succeeded",
        "output": {"company": "Ä"},
    }
    asked = server.requests["take"][0]
    about = {"name": "w-1", "version": "1.4.0", "labels": {"region": "eu"}, "slots": 10}
    assert asked["worker"] == about
    assert asked["performs"] == ["echo.*"]
    assert (asked["limit"], asked["holding"]) == (10, [])
    assert server.headers["take"][0]["authorization"] == "Bearer fp_key"


def test_each_way_to_end_is_reported_as_what_it_is(
    server: FakeServer, worker: Worker, running: Run, caplog: pytest.LogCaptureFixture
) -> None:
    @worker.performs("end.failed")
    def fail(input: Any) -> None:
        raise Failed("no such customer", code="customer_unknown")

    @worker.performs("end.retry")
    def retry(input: Any, attempt: Attempt) -> int:
        if attempt.attempt == 1:
            raise Retry("later", code="busy", delay=5)
        return attempt.attempt

    @worker.performs("end.raised")
    def break_once(input: Any, attempt: Attempt) -> int:
        attempt.log("about to divide")
        return 1 // (attempt.attempt - 1)

    works = [server.add(f"end.{how}") for how in ("failed", "retry", "raised")]
    with caplog.at_level(logging.INFO, "fleetprompt.worker"):
        running(worker)
        for work in works:
            server.outcome(work)
    failed, retried, raised = ([*work.outcomes] for work in works)
    assert failed[0]["error"] == {"code": "customer_unknown", "message": "no such customer"}
    assert [each["status"] for each in retried] == ["retry", "succeeded"]
    assert retried[0]["error"] == {"code": "busy", "message": "later"}
    assert (retried[0]["delay"], retried[1]["output"]) == ("5000ms", 2)
    message = "integer division or modulo by zero"
    assert raised[0]["error"] == {"code": "error", "message": message}
    assert raised[0]["logs"] == ["about to divide"]
    record = next(each for each in caplog.records if each.exc_info)
    assert record.__dict__["attempt_name"] == "end.raised"
    assert record.__dict__["run_id"] == "run_01h455vb4pex5vsknk084sn02q"


def test_it_never_holds_more_than_its_slots_and_takes_again_when_one_is_free(
    server: FakeServer, running: Run
) -> None:
    worker = Worker(server.url, slots=2)
    may_end, both, at_it, most = threading.Semaphore(0), threading.Event(), [0], [0]
    lock = threading.Lock()

    @worker.performs("*")
    def count(input: Any) -> None:
        with lock:
            at_it[0] += 1
            most[0] = max(most[0], at_it[0])
            if at_it[0] == 2:
                both.set()
        assert may_end.acquire(timeout=PATIENCE_S)
        with lock:
            at_it[0] -= 1

    works = [server.add("any.thing") for _ in range(7)]
    running(worker)
    assert both.wait(PATIENCE_S)
    may_end.release()
    server.wait_until(lambda: server.requests["take"][-1]["limit"] == 1)
    may_end.release(6)
    for work in works:
        server.outcome(work)
    assert most[0] == 2
    assert all(0 < each["limit"] <= 2 for each in server.requests["take"])


def test_what_takes_longer_than_its_lease_is_kept_with_its_progress(
    hasty_server: FakeServer, running: Run
) -> None:
    server = hasty_server
    worker = Worker(server.url)
    may_end = threading.Event()

    @worker.performs("slow.*")
    def slow(input: Any, attempt: Attempt) -> str:
        attempt.progress({"done": 1})
        assert may_end.wait(PATIENCE_S)
        return "done"

    works = [server.add("slow.one"), server.add("slow.two")]
    running(worker)
    server.wait_until(lambda: len(server.requests["heartbeat"]) >= 5)
    assert [work.progress for work in works] == [{"done": 1}, {"done": 1}]
    assert len(server.requests["heartbeat"][-1]["attempts"]) == 2
    may_end.set()
    assert [server.outcome(work)["output"] for work in works] == ["done", "done"]
    assert [work.delivery for work in works] == [1, 1]


@pytest.mark.parametrize(("kind", "slots"), [("server", 2), ("hasty_server", 1)])
def test_what_nobody_wants_any_more_is_called_off(
    request: pytest.FixtureRequest, kind: str, slots: int, running: Run
) -> None:
    server: FakeServer = request.getfixturevalue(kind)
    worker = Worker(server.url, slots=slots)

    @worker.performs("slow.*")
    def slow(input: Any, attempt: Attempt) -> None:
        assert attempt.canceled.wait(PATIENCE_S)
        attempt.stop_if_canceled()

    work = server.add("slow.one")
    running(worker)
    server.wait_until(lambda: work.lease_ends_at)
    if slots == 2:
        # It hears of it from its next take; with one slot it takes nothing, and asks by heartbeats.
        server.wait_until(lambda: any(take["holding"] for take in server.requests["take"]))
    server.cancel(work)
    assert server.outcome(work) == {"id": work.id, "status": "canceled"}


def test_what_is_done_although_it_was_called_off_is_reported_as_done(
    server: FakeServer, worker: Worker, running: Run
) -> None:
    @worker.performs("slow.*")
    def slow(input: Any, attempt: Attempt) -> str:
        assert attempt.canceled.wait(PATIENCE_S)
        return "sent already"

    work = server.add("slow.one")
    running(worker)
    server.wait_until(lambda: any(take["holding"] for take in server.requests["take"]))
    server.cancel(work)
    assert server.outcome(work)["output"] == "sent already"


def test_while_a_handler_stops_slowly_the_server_is_not_asked_all_the_time(
    server: FakeServer, worker: Worker, running: Run
) -> None:
    told, may_end = threading.Event(), threading.Event()

    @worker.performs("slow.*")
    def slow(input: Any, attempt: Attempt) -> None:
        assert attempt.canceled.wait(PATIENCE_S)
        told.set()
        assert may_end.wait(PATIENCE_S)
        raise Canceled

    work = server.add("slow.one")
    running(worker)
    server.wait_until(lambda: any(take["holding"] for take in server.requests["take"]))
    server.cancel(work)
    assert told.wait(PATIENCE_S)
    for number in range(3):
        server.outcome(server.add("echo.this", number))
    assert len(server.requests["take"]) <= 6
    may_end.set()
    assert server.outcome(work)["status"] == "canceled"


def test_of_what_was_lost_nothing_is_reported(hasty_server: FakeServer, running: Run) -> None:
    server = hasty_server
    worker = Worker(server.url, slots=1)
    told = []

    @worker.performs("slow.*")
    def slow(input: Any, attempt: Attempt) -> str:
        if attempt.delivery == 1:
            assert attempt.canceled.wait(PATIENCE_S)
            told.append(attempt.id)
        return "done"

    work = server.add("slow.one")
    running(worker)
    server.wait_until(lambda: work.lease_ends_at)
    server.lose(work)
    assert server.outcome(work)["id"] == "work.0.1.2"
    assert told == ["work.0.1.1"]
    reported = [each["id"] for report in server.requests["report"] for each in report["outcomes"]]
    assert reported == ["work.0.1.2"]


def test_an_outcome_whose_answer_got_lost_is_reported_until_there_is_one(
    server: FakeServer, worker: Worker, running: Run
) -> None:
    server.disturb("report", (503, "unavailable", 0), "drop", "drop_answer", (429, "busy", 0))
    work = server.add("echo.this", 1)
    run = running(worker)
    server.wait_until(lambda: len(server.requests["report"]) == 5)
    run.stop()
    assert len(work.outcomes) == 1
    assert len(server.requests["report"]) == 5


def test_an_outcome_that_is_being_recorded_is_asked_after(
    server: FakeServer, worker: Worker, running: Run
) -> None:
    record = server._record
    answers = iter([{"id": "", "status": "refused", "error": {"code": "attempt_reported"}}])
    server._record = lambda entry: next(answers, None) or record(entry)  # type: ignore[method-assign]
    assert server.outcome(start(server, worker, running))["output"] == 1
    assert len(server.requests["report"]) == 2


def test_what_is_refused_is_dropped(server: FakeServer, worker: Worker, running: Run) -> None:
    at_it, may_end = threading.Event(), threading.Event()

    @worker.performs("slow.*")
    def slow(input: Any, attempt: Attempt) -> str:
        at_it.set()
        assert may_end.wait(PATIENCE_S)
        return f"by delivery {attempt.delivery}"

    work = server.add("slow.one")
    running(worker)
    assert at_it.wait(PATIENCE_S)
    server.lose(work)
    may_end.set()
    assert server.outcome(work)["output"] == "by delivery 2"


def test_one_outcome_that_cannot_be_read_fails_and_keeps_no_other_out(
    server: FakeServer, worker: Worker, running: Run
) -> None:
    carry_out = server._carry_out

    def refusing(what: str, body: Any) -> Any:
        if what == "report" and any(each.get("output") == "deep" for each in body["outcomes"]):
            return server_refusal
        return carry_out(what, body)

    server_refusal = refused(400, "too_deep")
    server._carry_out = refusing  # type: ignore[method-assign]
    works = [server.add("echo.this", text) for text in ("flat", "deep", "flat")]
    running(worker)
    flat, deep, _ = (server.outcome(work) for work in works)
    assert flat["output"] == "flat"
    assert deep["status"] == "failed"
    assert deep["error"] == {
        "code": "too_deep",
        "message": "the outcome was refused: it is too_deep",
    }


@pytest.mark.parametrize(
    ("refusals", "status", "code"),
    [
        ([(503, "unavailable"), (409, "attempt_reported")], "succeeded", None),
        ([(400, "too_deep")], "failed", "too_deep"),
    ],
)
def test_of_100_outcomes_the_99_that_are_recorded_are_not_sent_again_with_the_one_that_is_not(
    server: FakeServer,
    running: Run,
    refusals: list[tuple[int, str]],
    status: str,
    code: str | None,
) -> None:
    worker = Worker(server.url, slots=100)
    all_there = threading.Barrier(100)

    @worker.performs("*")
    def meet(input: Any) -> Any:
        all_there.wait(PATIENCE_S)
        return input

    record, left = server._record, list(refusals)
    works: list[Work] = []

    def refusing(entry: Any) -> dict[str, Any]:
        if entry["id"] == works[57].id and left:
            return {"id": entry["id"], "status": "refused", "error": problem(*left.pop(0))}
        return record(entry)

    server._record = refusing  # type: ignore[method-assign]
    works.extend(server.add("meet.here", n) for n in range(100))
    running(worker)
    outcomes = [server.outcome(work) for work in works]
    bad = outcomes.pop(57)
    assert (bad["status"], bad.get("error", {}).get("code")) == (status, code)
    assert [outcome["output"] for outcome in outcomes] == [n for n in range(100) if n != 57]
    sent = [each["id"] for body in server.requests["report"] for each in body["outcomes"]]
    assert sorted(sent) == sorted([work.id for work in works] + [works[57].id] * len(refusals))


def test_outcomes_that_end_during_a_report_are_the_next_report(
    server: FakeServer, running: Run
) -> None:
    worker = Worker(server.url, slots=60)
    all_there = threading.Barrier(50)

    @worker.performs("*")
    def meet(input: Any) -> Any:
        all_there.wait(PATIENCE_S)
        return input

    server.disturb("report", (503, "unavailable", 0))
    works = [server.add("meet.here", n) for n in range(50)]
    running(worker)
    assert [server.outcome(work)["output"] for work in works] == list(range(50))
    assert len(server.requests["report"]) < 25


def test_an_output_that_cannot_be_kept_is_a_failure(
    server: FakeServer, worker: Worker, running: Run
) -> None:
    @worker.performs("output.set")
    def of_set(input: Any) -> Any:
        return {1, 2}

    @worker.performs("output.large")
    def large(input: Any) -> Any:
        return "x" * (1 << 20)

    of_set_work, large_work = server.add("output.set"), server.add("output.large")
    running(worker)
    assert server.outcome(of_set_work)["error"]["code"] == "output_invalid"
    assert server.outcome(large_work)["error"]["code"] == "output_too_large"


@pytest.mark.parametrize(
    "how", ["drop", (503, "unavailable", 0), (500, "internal"), (429, "busy", 0)]
)
def test_it_asks_again_when_it_cannot_take(
    server: FakeServer, worker: Worker, running: Run, how: Any
) -> None:
    server.disturb("take", how, how)
    assert server.outcome(start(server, worker, running))["status"] == "succeeded"


def test_it_lives_through_a_server_that_is_gone_for_a_while(
    server: FakeServer, worker: Worker, running: Run
) -> None:
    at_it, may_end = threading.Event(), threading.Event()

    @worker.performs("slow.*")
    def slow(input: Any) -> str:
        at_it.set()
        assert may_end.wait(PATIENCE_S)
        return "done meanwhile"

    work = server.add("slow.one")
    running(worker)
    assert at_it.wait(PATIENCE_S)
    server.go_away()
    may_end.set()
    server.come_back()
    assert server.outcome(work)["output"] == "done meanwhile"
    assert server.outcome(server.add("echo.this", 1))["output"] == 1


def test_it_asks_whoever_serves_after_a_shutdown(
    server: FakeServer, worker: Worker, running: Run
) -> None:
    server.set_stopping(True)
    running(worker)
    server.wait_until(lambda: len(server.requests["take"]) >= 3)
    server.set_stopping(False)
    work = server.add("echo.this", 1)
    assert server.outcome(work)["output"] == 1


def test_a_key_that_is_not_for_this_ends_it(
    server: FakeServer, worker: Worker, running: Run
) -> None:
    server.disturb("take", (403, "forbidden"))
    run = running(worker)
    run.join()
    assert isinstance(run.error, ApiError)
    assert (run.error.status, run.error.code) == (403, "forbidden")


def test_it_finishes_and_reports_what_it_has_before_it_stops(
    server: FakeServer, worker: Worker, running: Run
) -> None:
    at_it, may_end = threading.Event(), threading.Event()

    @worker.performs("slow.*")
    def slow(input: Any) -> str:
        at_it.set()
        assert may_end.wait(PATIENCE_S)
        return "finished"

    work = server.add("slow.one")
    run = running(worker)
    assert at_it.wait(PATIENCE_S)
    worker.stop()
    server.wait_until(lambda: server.requests["take"][-1]["holding"])
    later = server.add("echo.this")
    may_end.set()
    run.join()
    assert run.error is None
    assert work.outcomes[0]["output"] == "finished"
    assert later.outcomes == []


def test_after_its_grace_it_leaves_what_it_has_to_others(
    server: FakeServer, worker: Worker, running: Run, caplog: pytest.LogCaptureFixture
) -> None:
    worker.grace = 0.01
    at_it, told = threading.Event(), threading.Event()

    @worker.performs("slow.*")
    def slow(input: Any, attempt: Attempt) -> None:
        at_it.set()
        assert attempt.canceled.wait(PATIENCE_S)
        told.set()
        raise Canceled

    work = server.add("slow.one")
    run = running(worker)
    assert at_it.wait(PATIENCE_S)
    run.stop()
    assert told.wait(PATIENCE_S)
    assert work.outcomes == []
    assert "left slow.one unfinished" in caplog.text


def test_stopped_before_it_runs_it_does_not_run_long(worker: Worker, running: Run) -> None:
    worker.stop()
    running(worker).join()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_scenario_worker_says_ready_and_ends_at_a_signal(
    server: FakeServer, number: signal.Signals
) -> None:
    works = scenario(server)
    process = subprocess.Popen(
        [sys.executable, Path(__file__).parents[1] / "scenario.py"],
        env={"FLEETPROMPT_URL": server.url, "FLEETPROMPT_KEY": "fp_key", "WORKER_NAME": "snake"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        slow = server.add("scenario.slow", {"ms": 60_000})
        server.wait_until(
            lambda: any(slow.id in take["holding"] for take in server.requests["take"])
        )
        server.cancel(slow)
        assert server.outcome(slow)["status"] == "canceled"
        found = {work.name: plain(server.outcome(work)) for work in works}
        process.send_signal(number)
        assert process.wait(PATIENCE_S) == 0
    finally:
        process.kill()
    assert found == {
        "scenario.echo": ("succeeded", {"a": [1, None]}),
        "scenario.fail": ("failed", {"code": "no_luck", "message": "as asked"}),
        "scenario.retry": ("succeeded", {"attempt": 3}),
        "scenario.raise": ("succeeded", {"attempt": 2}),
        "scenario.slow": ("succeeded", {"slept": 1}),
        "scenario.large": ("succeeded", {"text": "xxx"}),
        "scenario.log": ("succeeded", {"ok": True}),
        "scenario.notify": ("succeeded", {"key": "work.7", "delivery": 1}),
        "scenario.together": ("succeeded", [[{"number": 3, "delivery": 1}]]),
    }
    assert works[6].outcomes[0]["logs"] == ["one", "two"]
    assert works[2].outcomes[0]["delay"] == "1ms"
    assert server.requests["take"][0]["worker"] == {"name": "snake", "slots": 4}


def scenario(server: FakeServer) -> list[Any]:
    return [
        server.add("scenario.echo", {"a": [1, None]}),
        server.add("scenario.fail", {"code": "no_luck"}),
        server.add("scenario.retry", {"succeed_at": 3, "delay": "1ms"}),
        server.add("scenario.raise", {}),
        server.add("scenario.slow", {"ms": 1}),
        server.add("scenario.large", {"bytes": 3}),
        server.add("scenario.log", {}),
        server.add("scenario.notify", {}, kind="directive"),
        server.add("scenario.together", {"number": 3, "of": 1, "levels": 2}),
    ]


def plain(outcome: dict[str, Any]) -> tuple[str, Any]:
    return outcome["status"], outcome.get("output", outcome.get("error"))


def start(server: FakeServer, worker: Worker, running: Run) -> Any:
    work = server.add("echo.this", 1)
    running(worker)
    return work
