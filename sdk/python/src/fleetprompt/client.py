"""`Client` and `AsyncClient`: every operation of the API as a method.

A request that may be made twice, one that only reads or has a key, is made again when the server
is busy or cannot be reached. Any other is made once, and its error is yours to judge.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import replace
from types import TracebackType
from typing import Any

import httpx

from ._operations import AsyncOperations, Operations
from ._transport import Backoff, Request, Server, answer_of, may_pass, refusal, unreachable
from .errors import ApiError, Unreachable
from .events import Event, EventLines

RETRIES = 4
TIMEOUT_S = 30.0
CONNECT_S = 10.0
# A stream has a heartbeat every few seconds; one that is silent for so long is dead.
STREAM_SILENCE_S = 60.0


class Client(Operations):
    """`url` and `key` come from `FLEETPROMPT_URL` and `FLEETPROMPT_KEY` unless they are given."""

    def __init__(
        self,
        url: str | None = None,
        key: str | None = None,
        *,
        timeout: float = TIMEOUT_S,
        retries: int = RETRIES,
    ) -> None:
        self.server = Server.of(url, key)
        self.retries = retries
        self._http = httpx.Client(timeout=timeout, **self.server.options())

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: Any = None,
        media: str = "application/json",
        idempotency_key: str | None = None,
    ) -> Any:
        request = Request(method, path, query or {}, body, idempotency_key, media=media)
        backoff = Backoff()
        while True:
            try:
                return self._once(request)
            except (ApiError, Unreachable) as error:
                if not is_worth_another(request, error, backoff, self.retries):
                    raise
                time.sleep(backoff.next_s(error))

    def _once(self, request: Request) -> Any:
        try:
            return answer_of(self._http.request(**request.options()))
        except httpx.TransportError as error:
            raise unreachable(self.server, error) from error

    def _follow(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        last_event_id: str | None = None,
    ) -> Iterator[Event]:
        request = Request(method, path, query or {}, last_event_id=last_event_id)
        backoff = Backoff()
        while True:
            try:
                for event in self._stream(request):
                    backoff.reset()
                    request = replace(request, last_event_id=event.id or request.last_event_id)
                    yield event
                    if event.event == "end":
                        return
                raise Unreachable(f"{self.server.url} ended the stream of {path}")
            except (ApiError, Unreachable) as error:
                if not is_worth_another(request, error, backoff, self.retries):
                    raise
                time.sleep(backoff.next_s(error))

    def _stream(self, request: Request) -> Iterator[Event]:
        lines = EventLines()
        try:
            with self._http.stream(**request.options(), timeout=STREAM_SILENCE_S) as response:
                if not response.is_success:
                    response.read()
                    raise refusal(response)
                for line in response.iter_lines():
                    if event := lines.add(line):
                        yield event
        except httpx.TransportError as error:
            raise unreachable(self.server, error) from error


class AsyncClient(AsyncOperations):
    """`Client` for asyncio: the same methods, to be awaited."""

    def __init__(
        self,
        url: str | None = None,
        key: str | None = None,
        *,
        timeout: float = TIMEOUT_S,
        retries: int = RETRIES,
    ) -> None:
        self.server = Server.of(url, key)
        self.retries = retries
        self._http = httpx.AsyncClient(timeout=timeout, **self.server.options())

    async def close(self) -> None:
        await self._http.aclose()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def _call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: Any = None,
        media: str = "application/json",
        idempotency_key: str | None = None,
    ) -> Any:
        request = Request(method, path, query or {}, body, idempotency_key, media=media)
        backoff = Backoff()
        while True:
            try:
                return await self._once(request)
            except (ApiError, Unreachable) as error:
                if not is_worth_another(request, error, backoff, self.retries):
                    raise
                await asyncio.sleep(backoff.next_s(error))

    async def _once(self, request: Request, *, timeout: float | None = None) -> Any:
        """Once, however it ends; the worker, which knows what to do then, asks in this way."""
        limits: dict[str, Any] = (
            {} if timeout is None else {"timeout": httpx.Timeout(timeout, connect=CONNECT_S)}
        )
        try:
            return answer_of(await self._http.request(**request.options(), **limits))
        except httpx.TransportError as error:
            raise unreachable(self.server, error) from error

    async def _follow(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        last_event_id: str | None = None,
    ) -> AsyncIterator[Event]:
        request = Request(method, path, query or {}, last_event_id=last_event_id)
        backoff = Backoff()
        while True:
            try:
                async for event in self._stream(request):
                    backoff.reset()
                    request = replace(request, last_event_id=event.id or request.last_event_id)
                    yield event
                    if event.event == "end":
                        return
                raise Unreachable(f"{self.server.url} ended the stream of {path}")
            except (ApiError, Unreachable) as error:
                if not is_worth_another(request, error, backoff, self.retries):
                    raise
                await asyncio.sleep(backoff.next_s(error))

    async def _stream(self, request: Request) -> AsyncIterator[Event]:
        lines = EventLines()
        try:
            async with self._http.stream(**request.options(), timeout=STREAM_SILENCE_S) as response:
                if not response.is_success:
                    await response.aread()
                    raise refusal(response)
                async for line in response.aiter_lines():
                    if event := lines.add(line):
                        yield event
        except httpx.TransportError as error:
            raise unreachable(self.server, error) from error


def is_worth_another(request: Request, error: Exception, backoff: Backoff, retries: int) -> bool:
    return request.is_idempotent and may_pass(error) and backoff.tries < retries
