"""A worker on duty, from the first take to the last report.

Three loops share what the worker holds: one takes, one keeps, one reports. An attempt is held from
its take until its report is answered, and only an answer lets go of it: whatever the network does,
a finished outcome is reported again and again as long as the process lives. When the process dies,
the leases end and others have the attempts.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from ._transport import Backoff, Request
from .attempt import Attempt
from .client import AsyncClient
from .errors import ApiError, Unreachable
from .outcomes import Outcome, failed

TAKE_WAIT_S = 20
TAKE_LIMIT_MAX = 100
HOLDING_MAX = 1_000
REPORT_OUTCOMES_MAX = 100
REPORT_MAX_BYTES = 10 << 20
SHUTDOWN_PAUSE_S = 1.0
PROGRESS_PAUSE_S = 1.0
ANSWER_TIMEOUT_S = 15.0

log = logging.getLogger("fleetprompt.worker")

NOT_WANTED = (
    "lease_lost",
    "attempt_settled",
    "attempt_not_yours",
    "attempt_id_invalid",
    "unstorable_outcome",
)
"""Codes of outcomes that nothing waits for any more."""

Make = Callable[[Attempt], Awaitable[Outcome]]


@dataclass(frozen=True)
class Identity:
    """Who a worker says it is, and what it performs."""

    name: str
    version: str | None
    labels: dict[str, str]
    slots: int
    performs: list[str]

    def worker(self) -> dict[str, Any]:
        fields = {"name": self.name, "version": self.version, "labels": self.labels}
        return {name: value for name, value in fields.items() if value} | {"slots": self.slots}


@dataclass(eq=False)
class Held:
    """An attempt that this worker has, and its report as soon as it is finished."""

    attempt: Attempt
    beat_at: float
    work: asyncio.Future[Outcome]
    is_lost: bool = False
    report: bytes | None = None
    is_alone: bool = False
    """The server refused a report that it was part of: it is reported by itself."""
    is_replaced: bool = False
    """The server refused its report, which now says just that."""
    report_at: float = 0.0
    """When to report it again, after an answer that said to."""
    backoff: Backoff = field(default_factory=Backoff)

    @property
    def beat_every_s(self) -> float:
        return self.attempt.lease_ms / 3_000


class Duty:
    def __init__(
        self,
        identity: Identity,
        make: Make,
        client: AsyncClient,
        *,
        grace_s: float,
        cancels_work: bool,
    ) -> None:
        self.identity, self.make, self.client = identity, make, client
        self.grace_s, self.cancels_work = grace_s, cancels_work
        self._held: dict[str, Held] = {}
        self._unreported: dict[str, Held] = {}
        self._last_beat_at = 0.0
        self._following: set[asyncio.Task[None]] = set()
        self._stop = asyncio.Event()
        self._hurry = asyncio.Event()
        self._slot_freed = asyncio.Event()
        self._beats_changed = asyncio.Event()
        self._finished = asyncio.Event()
        self._let_go = asyncio.Event()

    async def serve(self, on_ready: Callable[[], None]) -> None:
        taking = asyncio.create_task(self._take(on_ready))
        loops = {asyncio.create_task(self._keep()), asyncio.create_task(self._report())}
        stopping = asyncio.create_task(self._stop.wait())
        try:
            ended = await first_of({taking, stopping, *loops})
            await ended_with({taking})
            if not ended & loops:
                await self._finish()
            for task in ended:
                task.result()
        finally:
            self._abandon()
            await ended_with({taking, stopping, *loops})

    def stop(self) -> None:
        """Takes no more; asked a second time, it does not wait for what is under way either."""
        if self._stop.is_set():
            self._hurry.set()
        self._stop.set()

    # Taking

    async def _take(self, on_ready: Callable[[], None]) -> None:
        backoff = Backoff()
        on_ready()
        while True:
            await self._until_free()
            try:
                answer = await self._ask("take", self._what_is_wanted(), TAKE_WAIT_S)
            except (ApiError, Unreachable) as error:
                await self._bear(error, backoff)
                continue
            backoff.reset()
            for taken in answer["attempts"]:
                self._begin(Attempt.of(taken))
            for id in answer["canceled"]:
                self._call_off(id)
            if answer["shutdown"]:
                await asyncio.sleep(SHUTDOWN_PAUSE_S)

    async def _until_free(self) -> None:
        while self._free() <= 0:
            self._slot_freed.clear()
            await self._slot_freed.wait()

    def _free(self) -> int:
        performing = len(self._held) - len(self._unreported)
        free = self.identity.slots - performing
        return min(free, TAKE_LIMIT_MAX, HOLDING_MAX - len(self._held))

    def _what_is_wanted(self) -> bytes:
        return self._body(
            performs=self.identity.performs,
            limit=self._free(),
            holding=self._wanted(),
            wait=f"{TAKE_WAIT_S}s",
        )

    def _wanted(self) -> list[str]:
        """What is known to be called off is not asked after: it would be answered at once, again
        and again, as long as its handler has not stopped."""
        unfinished = [held.attempt for held in self._held.values() if held.report is None]
        return [attempt.id for attempt in unfinished if not attempt.canceled.is_set()]

    async def _bear(self, error: ApiError | Unreachable, backoff: Backoff) -> None:
        """An answer that stays the same however often it is asked for ends the worker."""
        if isinstance(error, ApiError) and is_lasting(error):
            log.error("the server refuses this worker: %s", error)
            raise error
        delay_s = backoff.next_s(error)
        log.warning("cannot take: %s; asking again in %.1f s", error, delay_s)
        await asyncio.sleep(delay_s)

    def _begin(self, attempt: Attempt) -> None:
        log.debug("began %s", attempt.name, extra=attempt.log_fields())
        work = asyncio.ensure_future(self.make(attempt))
        held = Held(attempt, 0.0, work)
        held.beat_at = monotonic() + held.beat_every_s
        attempt._on_progress = self._progress_caller(held)
        self._held[attempt.id] = held
        self._beats_changed.set()
        following = asyncio.create_task(self._follow(held))
        self._following.add(following)
        following.add_done_callback(self._following.discard)

    async def _follow(self, held: Held) -> None:
        await asyncio.wait({held.work})
        self._slot_freed.set()
        if held.is_lost:
            log.info("stopped what was lost", extra=held.attempt.log_fields())
            self._forget(held)
            return
        outcome = Outcome("canceled") if held.work.cancelled() else held.work.result()
        held.report = outcome.report(held.attempt.id)
        self._unreported[held.attempt.id] = held
        self._finished.set()
        fields = held.attempt.log_fields() | {"status": outcome.status, "code": outcome.code}
        log.info("%s %s", held.attempt.name, outcome.status, extra=fields)

    def _call_off(self, id: str) -> None:
        held = self._held.get(id)
        if held is None or held.report is not None or held.attempt.canceled.is_set():
            return
        held.attempt.canceled.set()
        if self.cancels_work:
            held.work.cancel()

    def _forget(self, held: Held) -> None:
        self._held.pop(held.attempt.id, None)
        self._unreported.pop(held.attempt.id, None)
        self._slot_freed.set()
        self._let_go.set()

    # Keeping

    async def _keep(self) -> None:
        backoff = Backoff(max_s=1.0)
        while True:
            await self._until_beat()
            batch, asked_at = self._ours(), monotonic()
            self._last_beat_at = asked_at
            for held in batch:
                held.beat_at = asked_at + held.beat_every_s
            body = self._body(attempts=[held.attempt.heartbeat() for held in batch])
            try:
                answer = await self._ask("heartbeat", body)
            except (ApiError, Unreachable) as error:
                await self._beat_again(batch, error, backoff)
                continue
            backoff.reset()
            for held, result in zip(batch, answer["results"], strict=False):
                self._kept(held, result)

    def _ours(self) -> list[Held]:
        return [held for held in self._held.values() if not held.is_lost]

    async def _until_beat(self) -> None:
        while True:
            self._beats_changed.clear()
            due_at = min((held.beat_at for held in self._ours()), default=None)
            remaining_s = None if due_at is None else due_at - monotonic()
            if remaining_s is not None and remaining_s <= 0:
                return
            await happens(self._beats_changed, remaining_s)

    async def _beat_again(
        self, batch: Iterable[Held], error: ApiError | Unreachable, backoff: Backoff
    ) -> None:
        delay_s = backoff.next_s(error)
        log.warning("cannot keep attempts: %s; asking again in %.1f s", error, delay_s)
        await asyncio.sleep(delay_s)
        for held in batch:
            held.beat_at = 0.0

    def _kept(self, held: Held, result: dict[str, Any]) -> None:
        if held.report is not None:
            # What becomes of it is in the answer to its report.
            return
        if result["status"] == "refused":
            held.is_lost = True
            fields = held.attempt.log_fields() | {"code": code_of(result)}
            log.warning("lost %s: %s", held.attempt.name, code_of(result), extra=fields)
            self._call_off(held.attempt.id)
            return
        if "lease_ms" in result:
            held.attempt.lease_ms = result["lease_ms"]
        if result.get("cancel_requested"):
            self._call_off(held.attempt.id)

    def _progress_caller(self, held: Held) -> Callable[[], None]:
        loop = asyncio.get_running_loop()

        def call() -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(self._progressed, held)

        return call

    def _progressed(self, held: Held) -> None:
        """People see it soon, however long the lease is, but not more than once a second."""
        soon = max(monotonic(), self._last_beat_at + PROGRESS_PAUSE_S)
        held.beat_at = min(held.beat_at, soon)
        self._beats_changed.set()

    # Reporting

    async def _report(self) -> None:
        backoff = Backoff()
        while True:
            await self._until_finished()
            batch = self._next_batch()
            try:
                answer = await self._ask("report", self._report_body(batch))
            except (ApiError, Unreachable) as error:
                if not self._refused(batch, error):
                    await self._report_again(error, backoff)
                continue
            backoff.reset()
            for held, result in zip(batch, answer["results"], strict=False):
                self._reported(held, result)

    async def _until_finished(self) -> None:
        """Waits for an outcome to report: one that is new, or due again."""
        while True:
            self._finished.clear()
            due_at = min((held.report_at for held in self._unreported.values()), default=None)
            remaining_s = None if due_at is None else due_at - monotonic()
            if remaining_s is not None and remaining_s <= 0:
                return
            await happens(self._finished, remaining_s)

    def _next_batch(self) -> list[Held]:
        """What is finished and due, oldest first, as much as fits into one request."""
        batch: list[Held] = []
        size = 4_096
        now = monotonic()
        for held in self._unreported.values():
            if held.report_at > now:
                continue
            assert held.report is not None
            size += len(held.report) + 1
            if batch and (held.is_alone or size > REPORT_MAX_BYTES):
                break
            batch.append(held)
            if held.is_alone or len(batch) == REPORT_OUTCOMES_MAX:
                break
        return batch

    def _report_body(self, batch: list[Held]) -> bytes:
        worker = json.dumps(self.identity.worker()).encode()
        outcomes = b",".join(held.report for held in batch if held.report is not None)
        return b'{"worker":' + worker + b',"outcomes":[' + outcomes + b"]}"

    def _reported(self, held: Held, result: dict[str, Any]) -> None:
        """Each outcome has an answer of its own. One that may be recorded later is sent again,
        without those that were sent with it."""
        error = result.get("error") or {}
        if result["status"] == "recorded":
            self._forget(held)
        elif is_passing(error):
            held.report_at = monotonic() + held.backoff.next_s(Unreachable(str(error)))
        else:
            self._refused_alone(held, code_of(result), str(error.get("detail", "")))

    def _refused_alone(self, held: Held, code: str, detail: str) -> None:
        """Where nobody waits for it any more it is dropped. One that cannot be read becomes a
        failure that says so, or the attempt would be made again and again to the same end."""
        fields = held.attempt.log_fields() | {"code": code}
        # That nobody waits for it is no news where it was called off.
        level = logging.INFO if held.attempt.canceled.is_set() else logging.WARNING
        log.log(
            level, "outcome of %s refused: %s: %s", held.attempt.name, code, detail, extra=fields
        )
        if code in NOT_WANTED or held.is_replaced:
            self._forget(held)
        else:
            held.is_replaced = held.is_alone = True
            replaced = failed(code or "refused", f"the outcome was refused: {detail}")
            held.report = replaced.report(held.attempt.id)

    def _refused(self, batch: list[Held], error: ApiError | Unreachable) -> bool:
        """A request that is refused as a whole holds one outcome that cannot be read. It is found
        by reporting each alone, and becomes a failure that says so."""
        if not isinstance(error, ApiError) or error.status not in (400, 413, 422):
            return False
        for held in batch:
            if len(batch) > 1:
                held.is_alone = True
            else:
                self._refused_alone(held, error.code, error.detail)
        return True

    async def _report_again(self, error: ApiError | Unreachable, backoff: Backoff) -> None:
        delay_s = backoff.next_s(error)
        count = len(self._unreported)
        log.warning("cannot report %d outcomes: %s; again in %.1f s", count, error, delay_s)
        await asyncio.sleep(delay_s)

    # Ending

    async def _finish(self) -> None:
        """Waits until everything it has is reported, or the grace is over."""
        log.info("stopping with %d attempts", len(self._held))
        hurry = asyncio.create_task(self._hurry.wait())
        emptied = asyncio.create_task(self._until_empty())
        await first_of({hurry, emptied}, self.grace_s)
        await ended_with({hurry, emptied})
        for held in self._held.values():
            what = "unfinished" if held.report is None else "unreported"
            log.warning("left %s %s", held.attempt.name, what, extra=held.attempt.log_fields())

    async def _until_empty(self) -> None:
        while self._held:
            self._let_go.clear()
            await self._let_go.wait()

    def _abandon(self) -> None:
        """Others will have what is left when its leases end; nothing more is said of it."""
        for following in self._following:
            following.cancel()
        for held in self._held.values():
            held.attempt.canceled.set()
            held.work.cancel()

    # Asking

    def _body(self, **fields: Any) -> bytes:
        return json.dumps({"worker": self.identity.worker(), **fields}).encode()

    async def _ask(self, what: str, body: bytes, wait_s: float = 0.0) -> dict[str, Any]:
        request = Request("POST", f"/v1/attempts/{what}", body=body)
        answer = await self.client._once(request, timeout=ANSWER_TIMEOUT_S + wait_s)
        if not isinstance(answer, dict):
            raise Unreachable(f"{self.client.server.url} is not FleetPrompt: {str(answer)[:100]!r}")
        return answer


def is_lasting(error: ApiError) -> bool:
    return 400 <= error.status < 500 and error.status not in (408, 425, 429)


def is_passing(error: dict[str, Any]) -> bool:
    """Whether the same outcome may be recorded later."""
    status = int(error.get("status", 0))
    return error.get("code") == "attempt_reported" or status in (408, 425, 429) or status >= 500


def code_of(result: dict[str, Any]) -> str:
    return str((result.get("error") or {}).get("code", ""))


async def first_of(
    tasks: set[asyncio.Task[Any]], timeout_s: float | None = None
) -> set[asyncio.Task[Any]]:
    done, _ = await asyncio.wait(tasks, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    return done


async def ended_with(tasks: set[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


async def happens(event: asyncio.Event, timeout_s: float | None) -> bool:
    try:
        await asyncio.wait_for(event.wait(), timeout_s)
    except asyncio.TimeoutError:
        return False
    return True
