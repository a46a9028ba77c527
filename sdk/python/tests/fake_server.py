"""A server that keeps the worker protocol, in this process and as small as that can be.

It hands out attempts under leases, takes heartbeats and reports, gives what was lost to the next,
and tries again what is to be tried again. What goes wrong on the way is said beforehand: `disturb`
has the next request of a kind refused, dropped unread, or carried out and its answer dropped.
"""

from __future__ import annotations

import json
import select
import socket
import threading
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from time import monotonic
from typing import Any

PATIENCE_S = 20.0

Answer = tuple[int, dict[str, str], bytes]


class Dropped(Exception):
    """The connection is closed without an answer."""


@dataclass
class Work:
    """What was asked for, over all its attempts and deliveries."""

    number: int
    name: str
    input: Any
    fields: dict[str, Any]
    attempt: int = 1
    delivery: int = 1
    lease_ends_at: float | None = None
    is_canceled: bool = False
    is_reported: bool = False
    progress: Any = None
    outcomes: list[dict[str, Any]] = field(default_factory=list)

    @property
    def id(self) -> str:
        return f"work.{self.number}.{self.attempt}.{self.delivery}"

    @property
    def is_settled(self) -> bool:
        return bool(self.outcomes) and self.outcomes[-1]["status"] != "retry"


class FakeServer:
    def __init__(self, *, lease_ms: int = 15_000) -> None:
        self.lease_ms = lease_ms
        self.works: list[Work] = []
        self.requests: dict[str, list[Any]] = defaultdict(list)
        self.headers: dict[str, list[dict[str, str]]] = defaultdict(list)
        self.routes: dict[str, Any] = {}
        self.is_stopping = False
        self._disturbances: dict[str, list[Any]] = defaultdict(list)
        self._settled: dict[str, str] = {}
        self._changed = threading.Condition()
        self._listen(0)

    # What tests do

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def add(self, name: str, input: Any = None, **fields: Any) -> Work:
        with self._changed:
            work = Work(len(self.works), name, input, fields)
            self.works.append(work)
            self._changed.notify_all()
            return work

    def cancel(self, work: Work) -> None:
        with self._changed:
            work.is_canceled = True
            self._changed.notify_all()

    def lose(self, work: Work) -> None:
        """Its lease ends at this moment."""
        with self._changed:
            work.lease_ends_at = 0.0
            self._changed.notify_all()

    def disturb(self, what: str, *how: str | tuple[int, str] | tuple[int, str, float]) -> None:
        """`drop`, `drop_answer`, or a status, a code and `Retry-After`, each for one request."""
        self._disturbances[what].extend(how)

    def set_stopping(self, is_stopping: bool) -> None:
        with self._changed:
            self.is_stopping = is_stopping
            self._changed.notify_all()

    def wait_until(self, holds: Callable[[], Any], what: str = "it") -> None:
        with self._changed:
            assert self._changed.wait_for(holds, PATIENCE_S), f"{what} did not happen"

    def outcome(self, work: Work) -> dict[str, Any]:
        self.wait_until(lambda: work.is_settled, f"the outcome of {work.name}")
        return work.outcomes[-1]

    def go_away(self) -> None:
        self._http.shutdown()
        self._http.server_close()

    def come_back(self) -> None:
        self._listen(self.port)

    # The protocol

    def answer(self, method: str, path: str, headers: dict[str, str], body: Any) -> Answer:
        what = path.rsplit("/", 1)[1] if path.startswith("/v1/attempts/") else f"{method} {path}"
        how = self._note(what, headers, body)
        if how == "drop":
            raise Dropped
        if isinstance(how, tuple):
            return refused(*how)
        answer = self._carry_out(what, body)
        if how == "drop_answer":
            raise Dropped
        return answer

    def _note(self, what: str, headers: dict[str, str], body: Any) -> Any:
        with self._changed:
            self.requests[what].append(body)
            self.headers[what].append(headers)
            how = self._disturbances[what].pop(0) if self._disturbances[what] else None
            self._changed.notify_all()
            return how

    def _carry_out(self, what: str, body: Any) -> Answer:
        if what in ("heartbeat", "report"):
            with self._changed:
                result = self._keep if what == "heartbeat" else self._record
                entries = body["attempts" if what == "heartbeat" else "outcomes"]
                answer = {"results": [result(entry) for entry in entries]}
                self._changed.notify_all()
            return as_json(200, answer)
        route = self.routes.get(what)
        if route is None:
            return refused(404, "not_found")
        answer = route(body) if callable(route) else route
        return answer if isinstance(answer, tuple) else as_json(200, answer)

    def take(self, body: Any, is_there: Callable[[], bool]) -> dict[str, Any] | None:
        """Waits for something to do. Whoever hung up meanwhile gets nothing."""
        ends_at = monotonic() + float(body["wait"].removesuffix("s"))
        with self._changed:
            while True:
                self._end_leases()
                if not is_there():
                    return None
                waiting = [work for work in self.works if self._waits(work, body["performs"])]
                canceled = [work.id for work in self.works if self._is_unwanted(work, body)]
                remaining_s = ends_at - monotonic()
                if waiting or canceled or self.is_stopping or remaining_s <= 0:
                    taken = [self._hand_out(work) for work in waiting[: body["limit"]]]
                    self._changed.notify_all()
                    shutdown = self.is_stopping
                    return {"attempts": taken, "canceled": canceled, "shutdown": shutdown}
                self._changed.wait(min(remaining_s, 0.05))

    def _end_leases(self) -> None:
        for work in self.works:
            if work.lease_ends_at is not None and work.lease_ends_at <= monotonic():
                self._settled[work.id] = "lease_lost"
                work.delivery += 1
                work.lease_ends_at = None

    def _waits(self, work: Work, performs: list[str]) -> bool:
        fits = any(
            work.name.startswith(pattern[:-1]) if pattern.endswith("*") else work.name == pattern
            for pattern in performs
        )
        return fits and work.lease_ends_at is None and not work.is_settled

    def _is_unwanted(self, work: Work, body: Any) -> bool:
        return work.is_canceled and work.id in body.get("holding", [])

    def _hand_out(self, work: Work) -> dict[str, Any]:
        work.lease_ends_at = monotonic() + self.lease_ms / 1000
        attempt = {
            "id": work.id,
            "kind": "function",
            "name": work.name,
            "input": work.input,
            "tenant": "acme",
            "run_id": "run_01h455vb4pex5vsknk084sn02q",
            "workflow": "greet-lead",
            "step": "step",
            "idempotency_key": f"work.{work.number}",
            "attempt": work.attempt,
            "delivery": work.delivery,
            "correlation_id": "sig_01h455vb4pex5vsknk084sn02p",
            "causation_id": "sig_01h455vb4pex5vsknk084sn02r",
            "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "lease_ms": self.lease_ms,
            "field_of_a_later_version": True,
        }
        return {**attempt, **work.fields}

    def _held(self, id: str) -> Work | str:
        self._end_leases()
        work = next((work for work in self.works if work.id == id), None)
        if work is None or work.lease_ends_at is None:
            return self._settled.get(id, "attempt_id_invalid")
        return work

    def _keep(self, entry: Any) -> dict[str, Any]:
        work = self._held(entry["id"])
        if isinstance(work, str):
            return refusal(entry["id"], work)
        work.lease_ends_at = monotonic() + self.lease_ms / 1000
        work.progress = entry.get("progress", work.progress)
        kept = {"id": work.id, "status": "kept", "lease_ms": self.lease_ms}
        return {**kept, "cancel_requested": work.is_canceled}

    def _record(self, entry: Any) -> dict[str, Any]:
        """What is told twice is recorded once."""
        id = entry["id"]
        if self._settled.get(id) == "attempt_settled":
            return {"id": id, "status": "recorded"}
        work = self._held(id)
        if isinstance(work, str):
            return refusal(id, work)
        self._settled[id] = "attempt_settled"
        work.outcomes.append(entry)
        work.lease_ends_at = None
        if entry["status"] == "retry":
            work.attempt += 1
        return {"id": id, "status": "recorded"}

    def _listen(self, port: int) -> None:
        fake = self

        class Handler(Connection):
            server_of = fake

        self._http = QuietServer(("127.0.0.1", port), Handler)
        self.port: int = self._http.server_address[1]
        threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True).start()


class QuietServer(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(address, handler)
        self.connections: set[socket.socket] = set()

    def server_close(self) -> None:
        super().server_close()
        for connection in list(self.connections):
            hang_up(connection)

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass


class Connection(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_of: FakeServer

    def setup(self) -> None:
        super().setup()
        assert isinstance(self.server, QuietServer)
        self.server.connections.add(self.connection)

    def do_GET(self) -> None:
        self._answer(None)

    def do_DELETE(self) -> None:
        self._answer(None)

    def do_POST(self) -> None:
        data = self.rfile.read(int(self.headers.get("content-length", 0)))
        is_json = "json" in self.headers.get("content-type", "")
        self._answer(json.loads(data) if is_json else data.decode() or None)

    def _answer(self, body: Any) -> None:
        path = self.path.partition("?")[0]
        headers = {name.lower(): value for name, value in self.headers.items()} | {
            "path": self.path
        }
        try:
            if path == "/v1/attempts/take":
                status, more, content = self._take(body, headers)
            else:
                status, more, content = self.server_of.answer(self.command, path, headers, body)
        except Dropped:
            hang_up(self.connection)
            self.close_connection = True
            return
        self.send_response(status)
        for name, value in more.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _take(self, body: Any, headers: dict[str, str]) -> Answer:
        how = self.server_of._note("take", headers, body)
        if how == "drop":
            raise Dropped
        if isinstance(how, tuple):
            return refused(*how)
        taken = self.server_of.take(body, self._is_there)
        if taken is None or how == "drop_answer":
            raise Dropped
        return as_json(200, taken)

    def _is_there(self) -> bool:
        readable, _, _ = select.select([self.connection], [], [], 0)
        return not readable or bool(self.connection.recv(1, socket.MSG_PEEK))

    def log_message(self, format: str, *args: Any) -> None:
        pass


def hang_up(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
        connection.close()
    except OSError:
        pass  # The other side was quicker.


def refusal(id: str, code: str) -> dict[str, Any]:
    return {"id": id, "status": "refused", "error": problem(409, code)}


def problem(status: int, code: str) -> dict[str, Any]:
    return {"type": code, "title": code, "status": status, "code": code, "detail": f"it is {code}"}


def refused(status: int, code: str, retry_after: float | None = None) -> Answer:
    headers = {} if retry_after is None else {"retry-after": str(retry_after)}
    body = json.dumps(problem(status, code)).encode()
    return status, {"content-type": "application/problem+json", **headers}, body


def as_json(status: int, answer: Any) -> Answer:
    return status, {"content-type": "application/json"}, json.dumps(answer).encode()


def as_events(*lines: str) -> Answer:
    return 200, {"content-type": "text/event-stream"}, "\n".join([*lines, "", ""]).encode()
