"""What goes wrong between this program and the server.

`ApiError` is an answer: the server says no, with a stable code. `Unreachable` is that there was
none. Both are `FleetPromptError`.
"""

from __future__ import annotations

from typing import Any


class FleetPromptError(Exception):
    """Anything that the client raises on purpose."""


class Unreachable(FleetPromptError):
    """There was no answer: whether the request was carried out is unknown."""


class ApiError(FleetPromptError):
    """The server refused: RFC 9457 `application/problem+json`."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        retry_after: float | None = None,
        problem: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(f"{status} {code}: {detail}")
        self.status = status
        self.code = code
        self.detail = detail
        self.retry_after = retry_after
        """Seconds to wait before the same is worth asking again, where the server said so."""
        self.problem = problem or {}
        """The whole answer, with `diagnostics` where a document was refused."""

    @property
    def is_busy(self) -> bool:
        """The same request may be accepted later. Nothing of this one was, unless the code is
        `outcome_unknown`: then it may have been, and the next one needs the same key."""
        return self.status in (429, 503)
