"""The client: what it sends, what it makes of answers, and when it asks again."""

from __future__ import annotations

import asyncio
import inspect
from typing import Any

import pytest
from fake_server import FakeServer, as_events, as_json

from fleetprompt import ApiError, AsyncClient, Client, Unreachable


@pytest.fixture
def client(server: FakeServer) -> Client:
    return Client(server.url, "fp_key")


def test_arguments_become_path_query_headers_and_body(server: FakeServer, client: Client) -> None:
    server.routes["POST /v1/runs/run%2F1/cancel"] = {"replayed": False}
    answer = client.run_cancel("run/1", {"reason": "wrong"}, idempotency_key="k-1")
    assert answer["replayed"] is False
    assert server.requests["POST /v1/runs/run%2F1/cancel"] == [{"reason": "wrong"}]
    assert server.headers["POST /v1/runs/run%2F1/cancel"][0]["idempotency-key"] == "k-1"
    server.routes["GET /v1/runs"] = {"items": []}
    client.run_list(status=["failed", "parked"], open=True, limit=5)
    asked = server.headers["GET /v1/runs"][0]
    assert asked["path"] == "/v1/runs?status=failed%2Cparked&open=true&limit=5"
    assert asked["authorization"] == "Bearer fp_key"


def test_a_definition_is_sent_as_yaml_or_json(server: FakeServer, client: Client) -> None:
    server.routes["POST /v1/workflows"] = {"slug": "a"}
    client.workflow_apply("workflow: {name: a}", activate=True)
    client.workflow_apply({"workflow": {"name": "a"}})
    kinds = [each["content-type"] for each in server.headers["POST /v1/workflows"]]
    assert kinds == ["application/yaml", "application/json"]


def test_a_module_is_sent_as_it_is(server: FakeServer, client: Client) -> None:
    server.routes["POST /v1/modules"] = {"digest": "sha256:0"}
    client.module_add(b"\0asm")
    (sent,) = server.headers["POST /v1/modules"]
    assert (sent["content-type"], sent["content-length"]) == ("application/wasm", "4")


def test_url_and_key_come_from_the_environment(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLEETPROMPT_URL", server.url + "/")
    monkeypatch.setenv("FLEETPROMPT_KEY", "fp_other")
    server.routes["GET /healthz"] = {"status": "ok"}
    with Client() as client:
        assert client.healthz() == {"status": "ok"}
    assert server.headers["GET /healthz"][0]["authorization"] == "Bearer fp_other"


def test_a_refusal_has_its_code_and_detail(server: FakeServer, client: Client) -> None:
    with pytest.raises(ApiError) as caught:
        client.run_get("run_1")
    error = caught.value
    assert (error.status, error.code, error.detail) == (404, "not_found", "it is not_found")
    assert error.problem["type"] == "not_found"
    server.routes["GET /v1/runs/run_2"] = (502, {"content-type": "text/html"}, b"<html>")
    with pytest.raises(ApiError) as caught:
        client.run_get("run_2")
    assert (caught.value.code, caught.value.detail) == ("http_status", "<html>")


@pytest.mark.parametrize("how", [(429, "busy", 0), (503, "unavailable", 0), "drop"])
def test_what_may_be_made_twice_is_made_again(server: FakeServer, client: Client, how: Any) -> None:
    server.routes["POST /v1/signals"] = {"deduplicated": False}
    server.disturb("POST /v1/signals", how, how)
    client.signal_emit({"name": "lead.created", "dedupe_key": "7"})
    assert len(server.requests["POST /v1/signals"]) == 3


@pytest.mark.parametrize("how", [(429, "busy", 1.5), (503, "unavailable", 1.5), "drop"])
def test_what_may_not_is_made_once(server: FakeServer, client: Client, how: Any) -> None:
    server.disturb("POST /v1/signals", how)
    with pytest.raises((ApiError, Unreachable)) as caught:
        client.signal_emit([{"name": "lead.created", "dedupe_key": "7"}, {"name": "lead.created"}])
    assert len(server.requests["POST /v1/signals"]) == 1
    if isinstance(caught.value, ApiError):
        assert caught.value.retry_after == 1.5


def test_it_gives_up_after_so_many_tries(server: FakeServer) -> None:
    server.disturb("GET /v1/whoami", *[(503, "unavailable", 0)] * 3)
    with pytest.raises(ApiError, match="503 unavailable"), Client(server.url, retries=2) as client:
        client.whoami()
    assert len(server.requests["GET /v1/whoami"]) == 3


def test_nobody_there_is_unreachable() -> None:
    with pytest.raises(Unreachable, match="cannot reach"):
        Client("http://127.0.0.1:1", retries=0).whoami()


PAGES = {
    None: {"items": [{"id": "1"}, {"id": "2"}], "next_cursor": "2"},
    "2": {"items": [{"id": "3"}]},
}


def page(server: FakeServer, path: str) -> Any:
    def answer(_: Any) -> Any:
        asked = server.headers[f"GET {path}"][-1]["path"]
        return PAGES["2" if "cursor=2" in asked else None]

    return answer


def test_lists_are_read_to_their_end(server: FakeServer, client: Client) -> None:
    server.routes["GET /v1/runs"] = page(server, "/v1/runs")
    assert [run["id"] for run in client.run_each(limit=2)] == ["1", "2", "3"]
    assert len(server.requests["GET /v1/runs"]) == 2


def test_a_stream_goes_on_where_it_was_cut(server: FakeServer, client: Client) -> None:
    parts = iter(
        [
            as_events(": hello", "", "id: sig_1", "event: signal", 'data: {"name": "a"}'),
            as_events(
                "id: sig_2", "event: signal", 'data: {"name": "b"}', "", "event: end", "data: {}"
            ),
        ]
    )
    server.routes["GET /v1/runs/run_1/live"] = lambda _: next(parts)
    events = list(client.run_live("run_1"))
    assert [(each.event, each.id) for each in events] == [
        ("signal", "sig_1"),
        ("signal", "sig_2"),
        ("end", None),
    ]
    asked = server.headers["GET /v1/runs/run_1/live"]
    assert ["last-event-id" in each for each in asked] == [False, True]


def test_the_asynchronous_client_does_the_same(server: FakeServer) -> None:
    server.routes["GET /v1/runs"] = page(server, "/v1/runs")
    server.routes["GET /v1/signals/tail"] = as_events("id: sig_1", 'data: {"name": "a"}')
    server.routes["POST /v1/signals"] = lambda _: as_json(201, {"deduplicated": False})
    server.disturb("POST /v1/signals", (503, "unavailable", 0))

    async def use() -> None:
        async with AsyncClient(server.url, "fp_key") as client:
            assert [run["id"] async for run in client.run_each()] == ["1", "2", "3"]
            emitted = await client.signal_emit({"name": "a.b", "dedupe_key": "1"})
            assert emitted["deduplicated"] is False
            async for event in client.signal_tail(name="a.b"):
                assert event.data == {"name": "a"}
                break
            with pytest.raises(ApiError):
                await client.run_get("run_1")

    asyncio.run(use())


def test_both_clients_have_the_same_methods() -> None:
    def methods(kind: type) -> dict[str, list[str]]:
        public = dict(inspect.getmembers(kind, inspect.isfunction))
        return {
            name: list(inspect.signature(each).parameters)
            for name, each in public.items()
            if not name.startswith("_")
        }

    assert methods(Client) == methods(AsyncClient)
    assert {"attempt_take", "attempt_report", "worker_list", "function_apply"} <= set(
        methods(Client)
    )
