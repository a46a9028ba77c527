"""Handlers without a server: `perform` makes one attempt as the worker would, and says what the
worker would report.

```python
outcome = perform(worker, "lead.score", {"company": "Acme"})
assert outcome.output == {"score": 87}
```
"""

from __future__ import annotations

import asyncio
import json
from typing import Any, Literal

from ._handlers import perform as perform_in_thread
from ._handlers import perform_async as perform_in_task
from .attempt import Attempt
from .outcomes import Outcome
from .worker import AsyncWorker, Worker

__all__ = ["Outcome", "attempt_of", "perform", "perform_async"]


def perform(
    worker: Worker | AsyncWorker,
    name: str,
    input: Any = None,
    *,
    kind: Literal["function", "directive"] = "function",
    attempt: int = 1,
    delivery: int = 1,
    canceled: bool = False,
    **fields: Any,
) -> Outcome:
    """One attempt at `name`; `fields` are any others of `Attempt`, like `idempotency_key`.

    With `canceled`, nobody wants it any more from the beginning.
    """
    made = attempt_of(name, input, kind=kind, attempt=attempt, delivery=delivery, **fields)
    if canceled:
        made.canceled.set()
    if isinstance(worker, AsyncWorker):
        return asyncio.run(perform_in_task(worker.handlers, made))
    return perform_in_thread(worker.handlers, made)


async def perform_async(
    worker: AsyncWorker,
    name: str,
    input: Any = None,
    *,
    kind: Literal["function", "directive"] = "function",
    attempt: int = 1,
    delivery: int = 1,
    canceled: bool = False,
    **fields: Any,
) -> Outcome:
    """`perform`, inside an event loop; with `canceled`, the task is canceled once it waits."""
    made = attempt_of(name, input, kind=kind, attempt=attempt, delivery=delivery, **fields)
    work = asyncio.ensure_future(perform_in_task(worker.handlers, made))
    if canceled:
        # One turn of the loop, so that the handler has begun.
        await asyncio.sleep(0)
        made.canceled.set()
        work.cancel()
    return await work


def attempt_of(name: str, input: Any = None, **fields: Any) -> Attempt:
    """An attempt as a server would hand it out; the input is what it is after JSON."""
    run_id = fields.get("run_id", "run_01h455vb4pex5vsknk084sn02q")
    taken = {
        "id": f"{run_id}.0.0.sig_01h455vb4pex5vsknk084sn02r.1.9f86d081884c7d65",
        "kind": "function",
        "name": name,
        "input": json.loads(json.dumps(input)),
        "idempotency_key": f"{run_id}:step",
        "attempt": 1,
        "delivery": 1,
        "tenant": "test",
        "run_id": run_id,
        "workflow": "test",
        "step": "step",
        "lease_ms": 15_000,
    }
    return Attempt(**{**taken, **fields})
