"""A worker for the scenario that the workers of every language are tested with.

It performs `scenario.*` for the server of `FLEETPROMPT_URL` with `FLEETPROMPT_KEY`, says `ready`,
and ends at SIGTERM.
"""

from __future__ import annotations

import os
import threading
import time
from typing import Any

from fleetprompt import Attempt, Canceled, Failed, Retry, Worker

slots = int(os.environ.get("WORKER_SLOTS", "4"))
worker = Worker(name=os.environ.get("WORKER_NAME", "python"), slots=slots)
meeting = threading.Condition()
present: set[str] = set()


@worker.performs("scenario.echo")
def echo(input: Any) -> Any:
    return input


@worker.performs("scenario.fail")
def fail(input: Any) -> None:
    raise Failed("as asked", code=input["code"])


@worker.performs("scenario.retry")
def retry(input: Any, attempt: Attempt) -> Any:
    if attempt.attempt < input["succeed_at"]:
        raise Retry("not yet", code="busy", delay=input.get("delay"))
    return {"attempt": attempt.attempt}


@worker.performs("scenario.raise")
def break_once(input: Any, attempt: Attempt) -> Any:
    if attempt.attempt == 1:
        raise ValueError("broken")
    return {"attempt": attempt.attempt}


@worker.performs("scenario.slow")
def sleep(input: Any, attempt: Attempt) -> Any:
    ends_at = time.monotonic() + input["ms"] / 1000
    while (remaining_s := ends_at - time.monotonic()) > 0:
        if attempt.canceled.wait(min(0.02, remaining_s)):
            raise Canceled
    return {"slept": input["ms"]}


@worker.performs("scenario.large")
def write_much(input: Any) -> Any:
    return {"text": "x" * input["bytes"]}


@worker.performs("scenario.log")
def tell(input: Any, attempt: Attempt) -> Any:
    attempt.log("one")
    attempt.log("two")
    attempt.progress({"done": 1})
    return {"ok": True}


@worker.performs("scenario.together")
def meet(input: Any, attempt: Attempt) -> Any:
    """Ends when `of` attempts are being made, so that their outcomes are reported together."""
    with meeting:
        present.add(attempt.id)
        meeting.notify_all()
        meeting.wait_for(lambda: len(present) >= input["of"])
    output: Any = {"number": input["number"], "delivery": attempt.delivery}
    for _ in range(input.get("levels", 0)):
        output = [output]
    return output


@worker.performs("scenario.notify")
def notify(input: Any, attempt: Attempt) -> Any:
    return {"key": attempt.idempotency_key, "delivery": attempt.delivery}


if __name__ == "__main__":
    worker.run(on_ready=lambda: print("ready", flush=True))
