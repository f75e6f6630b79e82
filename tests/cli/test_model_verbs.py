"""`aish model` where things go wrong, on a real daemon and gateway."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Home


@pytest.mark.slow
def test_a_url_that_nobody_answers_is_told_with_its_reason(home: Home) -> None:
    """It said 'not ready' after ten minutes, and pointed at a log that a URL does not have."""
    done = home.aish("model", "serve", "away", "--url", "http://127.0.0.1:1/v1", "--timeout", "8")
    assert done.returncode == 69
    lines = done.stderr.splitlines()
    assert lines[0] == "aish model serve: waiting for away: no answer: Connection refused", "not after 8 s only"
    assert lines[1].endswith("is not ready after 8 s: no answer: Connection refused")
    assert "aish logs" not in done.stderr
    assert re.search(r"away +model +loading .* no answer: Connection refused", home.aish("ps").stdout)
    assert home.aish("model", "stop", "away").returncode == 0


def test_a_server_that_gives_up_while_it_loads_is_told_at_once_and_not_tried_again(home: Home) -> None:
    """Its error came after eight restarts and 13 s."""
    done = home.aish("model", "serve", "bad", "--", "sh", "-c", "echo no such option >&2; exit 3 # {port}")
    assert (done.returncode, "ended before it was ready: no such option" in done.stderr) == (69, True), done.stderr
    row = next(row for row in json.loads(home.aish("ps", "--all", "--json").stdout) if row["name"] == "bad")
    assert (row["restarts"], row["exit"]["code"], "before it was ever ready" in row["reason"]) == (0, 3, True)
