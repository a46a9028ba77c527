"""Handlers without a server, by `fleetprompt.testing`: the path that the worker goes as well."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from pydantic import BaseModel

from fleetprompt import AsyncWorker, Attempt, Canceled, Failed, Retry, Worker
from fleetprompt.testing import attempt_of, perform, perform_async


class Lead(BaseModel):
    company: str
    employees: int = 1


class Score(BaseModel):
    score: int


worker = Worker()


@worker.performs("lead.score")
def score(lead: Lead) -> Score:
    return Score(score=min(100, lead.employees))


@worker.performs("lead.all")
def score_all(input: Any) -> dict[str, Any]:
    return {"scores": [Score(score=each) for each in input]}


@worker.performs("lead.*", "other.thing")
def any_lead(input: Any, attempt: Attempt) -> Any:
    return [attempt.name, attempt.attempt, attempt.idempotency_key]


@worker.performs("lead.deep.*")
def deep_lead(input: Any) -> str:
    return "deep"


@worker.performs("end.it")
def end(input: Any, attempt: Attempt) -> Any:
    attempt.stop_if_canceled()
    raise {
        "retry": Retry("later", delay=timedelta(seconds=1.5)),
        "failed": Failed("never"),
        "canceled": Canceled(),
        "other": KeyError("x"),
        "exit": SystemExit(3),
        "delay": ValueError("?"),
    }[input]


def test_models_validate_the_input_and_are_dumped() -> None:
    assert perform(worker, "lead.score", {"company": "Acme", "employees": 87}).output == {
        "score": 87
    }
    assert perform(worker, "lead.all", [1, 2]).output == {"scores": [{"score": 1}, {"score": 2}]}
    refused = perform(worker, "lead.score", {"employees": 87})
    assert (refused.status, refused.code) == ("failed", "input_invalid")
    assert "company" in (refused.message or "")


def test_the_name_counts_before_a_pattern_and_a_longer_pattern_before_a_shorter() -> None:
    outcome = perform(worker, "lead.other", attempt=2, idempotency_key="k")
    assert outcome.output == ["lead.other", 2, "k"]
    assert perform(worker, "other.thing").status == "succeeded"
    assert perform(worker, "lead.deep.down").output == "deep"
    unknown = perform(worker, "mail.send")
    assert (unknown.status, unknown.code) == ("retry", "not_performed")


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("retry", ("retry", "retry", "later", "1500ms")),
        ("failed", ("failed", "failed", "never", None)),
        ("canceled", ("canceled", None, None, None)),
        ("other", ("retry", "error", "'x'", None)),
        ("exit", ("retry", "error", "3", None)),
    ],
)
def test_what_a_handler_raises_is_how_it_ends(how: str, expected: tuple[Any, ...]) -> None:
    outcome = perform(worker, "end.it", how)
    assert (outcome.status, outcome.code, outcome.message, outcome.delay) == expected


def test_a_handler_may_look_whether_it_is_still_wanted() -> None:
    assert perform(worker, "end.it", "other", canceled=True).status == "canceled"


@pytest.mark.parametrize("output", [{1}, float("nan"), b"bytes", object(), "\udc80"])
def test_what_is_not_json_is_no_output(output: Any) -> None:
    odd = Worker()
    odd.performs("odd.one")(lambda input: output)
    assert perform(odd, "odd.one").code == "output_invalid"


def test_logs_and_progress_have_their_limits() -> None:
    attempt = attempt_of("a.b")
    for number in range(200):
        attempt.log(f"{number} " + "x" * 5_000)
    assert len(attempt.logs) == 100
    assert max(map(len, attempt.logs)) == 2_000
    with pytest.raises(ValueError, match="at most 4096"):
        attempt.progress("x" * 4_096)
    assert attempt.heartbeat() == {"id": attempt.id}


def test_a_deadline_is_there_where_the_attempt_may_not_take_as_long_as_it_needs() -> None:
    attempt = attempt_of("a.b", timeout_ms=30_000)
    assert attempt.deadline == attempt.taken_at + timedelta(seconds=30)
    assert attempt_of("a.b").deadline is None


@pytest.mark.parametrize("pattern", ["", "Lead.score", "lead.", "*.score", "lead.s*"])
def test_a_pattern_that_fits_nothing_is_refused_at_once(pattern: str) -> None:
    with pytest.raises(ValueError, match="is no name"):
        Worker().performs(pattern)(lambda input: input)


def test_a_handler_takes_the_input_and_perhaps_the_attempt() -> None:
    with pytest.raises(TypeError, match="must take"):
        Worker().performs("a.b")(lambda: None)
    with pytest.raises(ValueError, match="already"):
        worker.performs("lead.score")(score)
    with pytest.raises(ValueError, match="no duration"):
        Retry("soon", delay="soon")


def test_coroutine_functions_are_performed_and_canceled_without_a_server_too() -> None:
    asynchronous = AsyncWorker()

    @asynchronous.performs("a.b")
    async def answer(input: Any, attempt: Attempt) -> Any:
        await asyncio.sleep(0 if input else 60)
        return input

    assert perform(asynchronous, "a.b", 1).output == 1
    canceled = asyncio.run(perform_async(asynchronous, "a.b", 0, canceled=True))
    assert canceled.status == "canceled"
