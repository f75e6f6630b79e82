"""What a refused probe says, to who has to mend it."""

from __future__ import annotations

import json

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
