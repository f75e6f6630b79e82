"""`aish requests`: what it prints of single requests."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING

import pytest

from aish.cli import requests
from aish.plugins.simprovider.thread import Running
from aish.wire.part import RequestPart

if TYPE_CHECKING:
    from .conftest import Home

PART = RequestPart(
    number=7, time_s=time.time(),
    process="p3", name="review", model="claude", dialect="anthropic", endpoint="/v1/messages",
    stream=True, status=200, input=1204, output=221, cached=800, cost_usd=0.0123, first_token_s=0.31, seconds=2.51,
)  # fmt: skip


def cells(**changed: object) -> dict[str, str]:
    from msgspec.structs import replace

    return dict(zip(requests._HEADER, requests._cells(replace(PART, **changed)), strict=True))


def test_one_that_has_ended() -> None:
    told = cells()
    assert (told["WHO"], told["ENDPOINT"], told["INPUT"], told["OUTPUT"]) == ("p3 review", "messages", "1204", "221")
    assert (told["USD"], told["FIRST"], told["SECONDS"], told["TOK/S"]) == ("0.0123", "0.31", "2.5", "100")


def test_what_is_reserved_is_not_shown_as_used() -> None:
    told = cells(status=None, estimated=True)
    assert (told["INPUT"], told["OUTPUT"], told["USD"], told["STATUS"]) == ("-", "-", "-", "…")


def test_ends_without_an_answer_have_words() -> None:
    assert cells(status=499, estimated=True)["STATUS"] == "hung up"
    assert cells(status=0)["STATUS"] == "died"
    assert cells(status=499, estimated=True)["INPUT"] == "~1204"


def test_an_answer_that_came_at_once_has_no_rate() -> None:
    assert cells(first_token_s=2.5)["TOK/S"] == "-"


def test_an_unknown_price_is_no_zero() -> None:
    assert cells(cost_usd=None)["USD"] == "?"


def test_a_key_is_shown_once() -> None:
    assert cells(process="key:editor", name="editor")["WHO"] == "key:editor"


def test_lines_that_follow_stand_under_their_header() -> None:
    header, line = requests._line(requests._HEADER), requests._line(requests._cells(PART))
    assert header.index("STATUS") == line.index("200")


def test_a_name_cannot_steer_the_terminal() -> None:
    assert "\x1b" not in requests._line(list(cells(name="\x1b[2Jx").values()))


def test_of_a_gateway_that_has_served_nothing(shared_home: Home) -> None:
    done = shared_home.aish("requests", "--json")
    assert (done.returncode, json.loads(done.stdout)) == (0, []), done.stderr
    assert shared_home.aish("requests").stdout.split()[0] == "NO"


@pytest.mark.parametrize("words", [("-n", "9999"), ("-n", "-1"), ("--since", "yesterday-ish")])
def test_what_cannot_be_shown_is_refused(shared_home: Home, words: tuple[str, ...]) -> None:
    done = shared_home.aish("requests", *words)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


ASKS = """
import json, os, sys, urllib.request
from aish.client import Aish
from aish.errors import AishError
body = {"model": "sim", "messages": [{"role": "user", "content": "say 2 " + sys.argv[1]}]}
key = {"Authorization": "Bearer " + os.environ["OPENAI_API_KEY"], "Content-Type": "application/json"}
url = os.environ["OPENAI_BASE_URL"] + "/chat/completions"
urllib.request.urlopen(urllib.request.Request(url, json.dumps(body).encode(), key)).read()
read = []
with Aish() as aish:
    for number in range(1, 40):
        try:
            read.append(aish.request_text(number).process)
        except AishError as error:
            assert error.code == "not-found", error
print(json.dumps(read))
"""
"""It asks a model, and then tries to read all texts that there are."""


def test_the_text_of_a_request_is_kept_where_that_was_asked_for(home: Home) -> None:
    """By nobody else it is read, and it goes with its process."""

    def asks(word: str) -> tuple[str, list[str]]:
        """Its id, and whose texts it could read."""
        done = home.aish("run", "--kind", "agent", "--", sys.executable, "-c", ASKS, word)
        assert done.returncode == 0, done.stderr
        return home.client.processes(all=True)[-1].id, json.loads(done.stdout.splitlines()[-1])

    provider = Running()
    try:
        assert home.aish("model", "serve", "sim", "--url", provider.url).returncode == 0
        _, read = asks("unkept")
        assert read == []
        assert home.aish("requests", "--keep-text", "user").stdout == "the text of requests is kept of the user\n"
        first, read = asks("first-word")
        assert read == [first]
        second, read = asks("second-word")
        assert read == [second]
        rows = json.loads(home.aish("requests", "--json", first).stdout)
        shown = home.aish("requests", "--text", str(rows[-1]["number"]))
        assert (shown.returncode, "first-word" in shown.stdout) == (0, True), shown.stderr
        files = [path for path in (home.state / "texts").rglob("*") if path.is_file()]
        assert {path.stat().st_mode & 0o777 for path in files} == {0o600}
        assert "unkept" not in "".join(path.read_text() for path in files)
        assert home.aish("forget", first).returncode == 0
        gone = home.aish("requests", "--text", str(rows[-1]["number"]))
        assert "no text is kept of a request" in gone.stderr
        assert home.aish("requests", "--no-text", "user").stdout.endswith("of nobody\n")
        assert not (home.state / "texts").exists()
    finally:
        provider.stop()
