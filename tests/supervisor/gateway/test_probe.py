"""What a refused probe says, to who has to mend it."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from aish.errors import AishError, UpstreamError
from aish.supervisor.gateway import probe
from aish.supervisor.gateway.routes import Server

SERVER = Server("p1", "far", "https://host/v1", upstream_name="gpt-9")


def test_a_model_that_the_server_does_not_know_is_no_matter_of_its_address() -> None:
    body = json.dumps({"error": {"message": "The model `gpt-9` does not exist", "code": "model_not_found"}}).encode()
    found = probe._refusal(SERVER, 404, body)
    assert found.ready is False
    assert found.text == "answers 404: The model `gpt-9` does not exist"
    assert found.hopeless is not None
    assert "'gpt-9'" in (found.hopeless.hint or "")
    assert "--upstream-name" in (found.hopeless.hint or "")


def test_a_server_of_several_models_is_there_whatever_it_calls_them() -> None:
    """It is asked for our name of it, which is none of its own."""
    several = Server("p1", "far", "https://host/v1", upstream_name="claude-*", dialect="anthropic")
    body = json.dumps({"type": "error", "error": {"type": "not_found_error", "message": "model: far"}}).encode()
    assert probe._refusal(several, 404, body).ready is True


def test_a_path_that_is_not_there_is() -> None:
    for body in (b'{"detail": "Not Found"}', b"<html>404</html>", b""):
        found = probe._refusal(SERVER, 404, body)
        assert found.hopeless is not None
        assert "is no model server" in str(found.hopeless)
        assert "is its URL right?" in (found.hopeless.hint or "")


class _Asked:
    """Upstreams whose server answers each idle check so; the third one is the last."""

    def __init__(self, doubt: asyncio.Event, error: AishError) -> None:
        self.doubt, self.error, self.times = doubt, error, 0

    async def ask(self, *_: object, **__: object) -> object:
        self.times += 1
        if self.times == 3:
            self.doubt.set()
        raise self.error


@pytest.mark.parametrize(
    ("login", "status", "times"),
    [("key", 404, 3), ("client", 401, 3), ("key", 401, 1), ("key", 500, 1), ("key", None, 1)],
)
def test_an_idle_server_without_a_list_is_not_asked_for_tokens(login: str, status: int | None, times: int) -> None:
    """It was asked for a real answer every 15 s: a token each time, and a model that never sleeps."""

    async def rest() -> int:
        doubt = asyncio.Event()
        asked = _Asked(doubt, UpstreamError("scripted", status=status))
        upstreams: Any = asked
        nothing: Any = None
        probes = probe.Probes(upstreams, nothing, nothing, nothing, nothing, idle_check_s=0.001)
        server = Server("p1", "near", "http://127.0.0.1:1/v1", login=login)
        async with asyncio.timeout(30):
            await probes._rest(server, doubt)
        return asked.times

    assert asyncio.run(rest()) == times
