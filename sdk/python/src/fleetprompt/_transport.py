"""One request over HTTP: how it is written, what its answer means, when it is asked again.

Both clients and the worker stand on it. Nothing here knows an operation of the API.
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from time import time
from typing import Any

import httpx

from ._version import __version__
from .errors import ApiError, Unreachable

URL_DEFAULT = "http://127.0.0.1:7070"
RETRY_AFTER_MAX_S = 30.0


@dataclass(frozen=True)
class Server:
    """Where the server is and with which key it is spoken to."""

    url: str
    key: str | None

    @classmethod
    def of(cls, url: str | None, key: str | None) -> Server:
        url = url or os.environ.get("FLEETPROMPT_URL") or URL_DEFAULT
        return cls(url.rstrip("/"), key or os.environ.get("FLEETPROMPT_KEY") or None)

    def options(self) -> dict[str, Any]:
        headers = {"user-agent": f"fleetprompt-python/{__version__}"}
        if self.key:
            headers["authorization"] = f"Bearer {self.key}"
        return {"base_url": self.url, "headers": headers}


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    query: Mapping[str, Any] = field(default_factory=dict)
    body: Any = None
    idempotency_key: str | None = None
    last_event_id: str | None = None
    media: str = "application/json"
    """What `bytes` are."""

    @property
    def is_idempotent(self) -> bool:
        """Whether doing it twice is doing it once."""
        return self.method != "POST" or self.idempotency_key is not None or has_key(self.body)

    def options(self) -> dict[str, Any]:
        return {
            "method": self.method,
            "url": self.path,
            "params": {
                name: query_text(value) for name, value in self.query.items() if value is not None
            },
            **content(self.body, self.media, self.headers()),
        }

    def headers(self) -> dict[str, str]:
        headers = {"idempotency-key": self.idempotency_key, "last-event-id": self.last_event_id}
        return {name: value for name, value in headers.items() if value is not None}


def has_key(body: Any) -> bool:
    """Signals are known again by `dedupe_key` or `source_event_id`, directives by their key."""
    if isinstance(body, list):
        return bool(body) and all(has_key(each) for each in body)
    keys = ("idempotency_key", "dedupe_key", "source_event_id")
    return isinstance(body, Mapping) and any(body.get(key) is not None for key in keys)


def content(body: Any, media: str, headers: dict[str, str]) -> dict[str, Any]:
    if body is None:
        return {"headers": headers}
    if isinstance(body, bytes):
        return {"headers": {**headers, "content-type": media}, "content": body}
    if isinstance(body, str):
        return {
            "headers": {**headers, "content-type": "application/yaml"},
            "content": body.encode(),
        }
    return {
        "headers": {**headers, "content-type": "application/json"},
        "content": json.dumps(body).encode(),
    }


def query_text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        return ",".join(str(each) for each in value)
    return str(value)


def answer_of(response: httpx.Response) -> Any:
    if not response.is_success:
        raise refusal(response)
    if "json" not in response.headers.get("content-type", ""):
        return response.text
    try:
        return response.json()
    except ValueError as error:
        raise Unreachable(f"{response.url} did not answer with JSON: {error}") from error


def refusal(response: httpx.Response) -> ApiError:
    try:
        problem = response.json()
    except ValueError:
        problem = None
    if not isinstance(problem, dict):
        problem = {}
    code = str(problem.get("code", "http_status"))
    detail = str(
        problem.get("detail")
        or problem.get("title")
        or response.text[:500]
        or response.reason_phrase
    )
    after = retry_after_s(response.headers.get("retry-after"))
    return ApiError(response.status_code, code, detail, retry_after=after, problem=problem)


def retry_after_s(header: str | None) -> float | None:
    if header is None:
        return None
    try:
        return max(0.0, float(header))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(header).timestamp() - time())
    except ValueError:
        return None


def unreachable(server: Server, error: Exception) -> Unreachable:
    return Unreachable(f"cannot reach {server.url}: {error or type(error).__name__}")


class Backoff:
    """How long to wait before the next try: longer each time, never the same, up to a limit."""

    def __init__(self, first_s: float = 0.2, max_s: float = 5.0) -> None:
        self.first_s, self.max_s = first_s, max_s
        self.tries = 0

    def reset(self) -> None:
        self.tries = 0

    def next_s(self, error: Exception) -> float:
        delay_s = min(self.max_s, self.first_s * 2.0 ** min(self.tries, 16))
        self.tries += 1
        asked = error.retry_after if isinstance(error, ApiError) else None
        return max(delay_s * random.uniform(0.5, 1.0), min(asked or 0.0, RETRY_AFTER_MAX_S))


def may_pass(error: Exception) -> bool:
    """Whether the same request may be answered later."""
    return isinstance(error, Unreachable) or (isinstance(error, ApiError) and error.is_busy)
