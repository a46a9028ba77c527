"""`Attempt`: what a handler knows of the attempt that it makes, and what it can say while at it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any, Literal

from .outcomes import Canceled, shortened

LOG_LINES_MAX = 100
LOG_LINE_MAX_CHARS = 2_000
PROGRESS_MAX_BYTES = 4_096


@dataclass(eq=False)
class Attempt:
    """One attempt, of one delivery. Its methods may be called from any thread."""

    id: str
    kind: Literal["function", "directive"]
    name: str
    input: Any
    idempotency_key: str
    """The same for every attempt and delivery: give it to whatever you call."""
    attempt: int
    """The how-manieth it is: one more after each that failed."""
    delivery: int
    """How often this attempt was handed out: more than once after a worker was lost."""
    tenant: str
    lease_ms: int
    run_id: str | None = None
    workflow: str | None = None
    step: str | None = None
    item: int | None = None
    correlation_id: str | None = None
    causation_id: str | None = None
    traceparent: str | None = None
    timeout_ms: int | None = None
    taken_at: datetime = field(default_factory=lambda: datetime.now(timezone.utc))
    canceled: threading.Event = field(default_factory=threading.Event)
    """Set when nobody wants it any more: stop if you can, and raise `Canceled`."""

    def __post_init__(self) -> None:
        self._logs: list[str] = []
        self._progress: Any = None
        self._has_progress = False
        self._on_progress: Callable[[], None] = lambda: None

    @classmethod
    def of(cls, taken: Mapping[str, Any]) -> Attempt:
        """What a server of a later version says besides is passed over."""
        known = {name: taken[name] for name in cls.__dataclass_fields__ if name in taken}
        return cls(**known)

    @property
    def deadline(self) -> datetime | None:
        """When it is over for the server, by this machine's clock; none where it may take long."""
        if self.timeout_ms is None:
            return None
        return self.taken_at + timedelta(milliseconds=self.timeout_ms)

    @property
    def logs(self) -> tuple[str, ...]:
        return tuple(self._logs)

    def log(self, line: str) -> None:
        """A line that is kept with the attempt; of more than 100, the first 100."""
        if len(self._logs) < LOG_LINES_MAX:
            self._logs.append(shortened(str(line), LOG_LINE_MAX_CHARS))

    def progress(self, value: Any) -> None:
        """How far it is: any JSON up to 4 KiB, which people see. What was said last counts."""
        size = len(json.dumps(value, allow_nan=False).encode())
        if size > PROGRESS_MAX_BYTES:
            raise ValueError(f"progress has {size} bytes as JSON; at most {PROGRESS_MAX_BYTES}")
        self._progress, self._has_progress = value, True
        self._on_progress()

    def stop_if_canceled(self) -> None:
        """Raises `Canceled` when nobody wants it any more."""
        if self.canceled.is_set():
            raise Canceled

    def heartbeat(self) -> dict[str, Any]:
        """One entry of a heartbeat."""
        if self._has_progress:
            return {"id": self.id, "progress": self._progress}
        return {"id": self.id}

    def log_fields(self) -> dict[str, Any]:
        """For `extra` of the standard logging."""
        return {
            "attempt_id": self.id,
            "attempt_name": self.name,
            "run_id": self.run_id,
            "step": self.step,
        }
