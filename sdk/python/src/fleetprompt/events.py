"""Server-sent events, as `signal_tail` and `run_live` yield them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Event:
    """One event: of kind `signal`, `data` is the signal and `id` its id."""

    id: str | None
    event: str
    data: Any


class EventLines:
    """Puts lines together to events; comments, which are heartbeats, are passed over."""

    def __init__(self) -> None:
        self._fields: dict[str, list[str]] = {}

    def add(self, line: str) -> Event | None:
        if line:
            field, _, value = line.partition(":")
            self._fields.setdefault(field, []).append(value.removeprefix(" "))
            return None
        fields, self._fields = self._fields, {}
        if "data" not in fields:
            return None
        data = json.loads("\n".join(fields["data"]))
        return Event(fields.get("id", [None])[-1], fields.get("event", ["message"])[-1], data)
