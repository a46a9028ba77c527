"""How an attempt ends: what a handler may raise, and the outcome that is reported for it.

`outcome_of_output` and `outcome_of_error` are the one place where that is decided. The worker and
`fleetprompt.testing` both go through it.
"""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

OUTPUT_MAX_BYTES = 1 << 20
MESSAGE_MAX_CHARS = 2_000
DURATION = re.compile(r"(\d+(ms|d|h|m|s))+", re.ASCII)

Status = Literal["succeeded", "retry", "failed", "canceled"]


class Retry(Exception):
    """It failed for now: it is tried again as its `retry` says, not before `delay`.

    `delay` is a duration like `"5s"` or `"1h30m"`, a `timedelta`, or a number of seconds.
    """

    def __init__(
        self, message: str, *, code: str = "retry", delay: str | float | timedelta | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.delay = duration(delay)


class Failed(Exception):
    """It failed for good."""

    def __init__(self, message: str, *, code: str = "failed") -> None:
        super().__init__(message)
        self.code = code


class Canceled(Exception):
    """It was called off, and nothing happened."""

    def __init__(self, message: str = "called off") -> None:
        super().__init__(message)


@dataclass(frozen=True)
class Outcome:
    """What is reported of an attempt."""

    status: Status
    output_json: str | None = None
    code: str | None = None
    message: str | None = None
    delay: str | None = None
    logs: tuple[str, ...] = ()

    @property
    def output(self) -> Any:
        """The output as the server reads it: written as JSON and read again."""
        return None if self.output_json is None else json.loads(self.output_json)

    def report(self, id: str) -> bytes:
        """One entry of `outcomes`, as it goes over the wire."""
        fields: dict[str, Any] = {"id": id, "status": self.status}
        if self.code is not None:
            fields["error"] = {"code": self.code, "message": self.message}
        if self.delay is not None:
            fields["delay"] = self.delay
        if self.logs:
            fields["logs"] = list(self.logs)
        text = json.dumps(fields)
        if self.output_json is not None:
            # It has been written once, to be measured, and is not written again.
            text = f'{text[:-1]}, "output": {self.output_json}}}'
        return text.encode()


def outcome_of_output(output: Any, logs: tuple[str, ...] = ()) -> Outcome:
    try:
        text = json.dumps(
            output, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=plain
        )
        size = len(text.encode())
    except (TypeError, ValueError, RecursionError) as error:
        return failed("output_invalid", f"the output cannot be written as JSON: {error}", logs)
    if size > OUTPUT_MAX_BYTES:
        message = f"the output has {size} bytes as JSON; at most {OUTPUT_MAX_BYTES} are kept"
        return failed("output_too_large", message, logs)
    return Outcome("succeeded", text, logs=logs)


def plain(value: Any) -> Any:
    """A pydantic model is written as what it dumps."""
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    raise TypeError(f"{type(value).__name__} is not JSON")


def outcome_of_error(error: BaseException, logs: tuple[str, ...] = ()) -> Outcome:
    match error:
        case Failed():
            return failed(error.code, str(error), logs)
        case Retry():
            return Outcome("retry", None, error.code, shortened(str(error)), error.delay, logs)
        case Canceled() | asyncio.CancelledError():
            return Outcome("canceled", logs=logs)
        case _:
            message = str(error) or type(error).__name__
            return Outcome("retry", None, "error", shortened(message), logs=logs)


def failed(code: str, message: str, logs: tuple[str, ...] = ()) -> Outcome:
    return Outcome("failed", None, code, shortened(message), logs=logs)


def shortened(message: str, max_chars: int = MESSAGE_MAX_CHARS) -> str:
    """Text that can be sent: not too long, and without what is no Unicode."""
    text = message if len(message) <= max_chars else message[: max_chars - 1] + "…"
    return text.encode(errors="replace").decode()


def duration(delay: str | float | timedelta | None) -> str | None:
    """As the API writes it."""
    if delay is None:
        return None
    if isinstance(delay, str):
        if not DURATION.fullmatch(delay):
            raise ValueError(f"{delay!r} is no duration like `250ms`, `5s` or `1h30m`")
        return delay
    seconds = delay.total_seconds() if isinstance(delay, timedelta) else delay
    return f"{max(0, round(seconds * 1000))}ms"
