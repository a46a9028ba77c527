"""Every Python example of the README runs: a worker until what it was asked for is reported."""

from __future__ import annotations

import re
import threading
from pathlib import Path
from typing import Any

import pytest
from fake_server import PATIENCE_S, FakeServer

from fleetprompt.testing import perform

TEXT = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```python\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)

INPUTS: dict[str, tuple[Any, Any]] = {
    "lead.score": ({"company": "Acme", "employees": 87}, {"score": 87}),
    "mail.send": ({"to": "maria@example.com"}, {"sent": True}),
    "card.charge": ({"card": "4242", "amount": 7}, {"receipt": "receipt-key"}),
    "report.build": ({"pages": ["a", "b"]}, {"pages": 2}),
    "page.fetch": ({}, {"status": 200}),
}


def title(example: str) -> str:
    return TEXT[: TEXT.index(example)].rpartition("\n## ")[2].partition("\n")[0]


@pytest.fixture
def _api(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLEETPROMPT_URL", server.url)
    monkeypatch.setenv("FLEETPROMPT_KEY", "fp_key")
    server.routes["POST /v1/signals"] = {"signal": {"id": "sig_1"}, "dispositions": []}
    server.routes["GET /v1/runs"] = {"items": [{"id": "run_1", "workflow": "greet-lead"}]}
    server.routes["POST /v1/runs/run_1/retry"] = {"replayed": False}


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 9
    assert sum("worker.run()" in example for example in EXAMPLES) == 3


@pytest.mark.usefixtures("_api")
@pytest.mark.parametrize("example", EXAMPLES, ids=title)
def test_the_example_runs(server: FakeServer, example: str) -> None:
    if "worker.run()" in example:
        run_until_reported(server, example)
        return
    names = run(example)
    if "worker" in names and "perform" not in names:
        check_handler(names["worker"], example)


def run(example: str, names: dict[str, Any] | None = None) -> dict[str, Any]:
    names = {} if names is None else names
    exec(compile(example, "README.md", "exec"), names)
    return names


def run_until_reported(server: FakeServer, example: str) -> None:
    names: dict[str, Any] = {"__name__": "example"}
    name, input, output = performed(example)
    work = server.add(name, input)
    thread = threading.Thread(target=run, args=(example, names), daemon=True)
    thread.start()
    assert server.outcome(work)["output"] == output
    names["worker"].stop()
    thread.join(PATIENCE_S)
    assert not thread.is_alive()


def check_handler(worker: Any, example: str) -> None:
    name, input, output = performed(example)
    assert perform(worker, name, input, idempotency_key="key").output == output


def performed(example: str) -> tuple[str, Any, Any]:
    pattern = re.search(r'performs\("(.*?)"\)', example)
    assert pattern is not None
    name = pattern[1].replace("*", "send")
    return (name, *INPUTS[name])
