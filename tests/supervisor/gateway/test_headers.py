"""Which headers of a client go along."""

from __future__ import annotations

import pytest
from multidict import CIMultiDict

from aish.supervisor.gateway.dialects.headers import along
from aish.supervisor.gateway.routes import Server

OURS = "aish-p1-1-secret"


def sent(login: str, *headers: tuple[str, str]) -> dict[str, str]:
    server = Server("p1", "far", "https://x/v1", dialect="anthropic", login=login)
    return along(CIMultiDict(headers), server)


def test_of_a_login_all_but_what_is_of_this_connection_and_of_the_body_s_form() -> None:
    """A body that came compressed goes on as it is read: plain."""
    assert sent(
        "client",
        ("Authorization", "Bearer login"),
        ("X-Aish-Key", OURS),
        ("Content-Encoding", "gzip"),
        ("Connection", "keep-alive, X-Hop"),
        ("X-Hop", "1"),
        ("Proxy-Connection", "close"),
        ("X-App", "cli"),
    ) == {"Authorization": "Bearer login", "X-App": "cli"}


def test_our_key_is_taken_out_wherever_it_is() -> None:
    assert sent("client", ("x-api-key", OURS), ("X-Other", f"key={OURS}"), ("X-App", "cli")) == {"X-App": "cli"}


@pytest.mark.parametrize("another", ["sk-aish-" + "n" * 43, "aish-p12-3-" + "n" * 43])
def test_a_key_of_ours_that_was_not_the_one_that_counts_is_taken_out_too(another: str) -> None:
    """`aish env --for anthropic` told it to the shell: the client has it in its usual header, beside ours."""
    given = (("x-api-key", another), ("Authorization", f"Bearer {another}"), ("X-App", "aish-like-cli"))
    assert sent("client", ("X-Aish-Key", OURS), *given) == {"X-App": "aish-like-cli"}


def test_a_field_that_comes_twice_is_one_list() -> None:
    """Of two lines `anthropic-beta` one was lost, and with it what it asked for."""
    twice = (("anthropic-beta", "a"), ("Anthropic-Beta", "b"))
    assert sent("client", *twice) == {"anthropic-beta": "a, b"}
    assert sent("key", *twice) == {"anthropic-beta": "a, b"}


def test_of_a_client_with_our_key_what_the_dialect_has() -> None:
    given = (("x-api-key", OURS), ("anthropic-version", "v"), ("X-App", "cli"))
    assert sent("key", *given) == {"anthropic-version": "v"}
