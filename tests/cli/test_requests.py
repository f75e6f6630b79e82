"""`aish requests`: what it prints of single requests."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest

from aish.cli import requests
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
    assert shared_home.aish("requests").stdout.split()[0] == "TIME"


@pytest.mark.parametrize("words", [("-n", "9999"), ("-n", "-1"), ("--since", "yesterday-ish")])
def test_what_cannot_be_shown_is_refused(shared_home: Home, words: tuple[str, ...]) -> None:
    done = shared_home.aish("requests", *words)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
