"""`aish usage`: what it prints of the sums that the gateway tells."""

from __future__ import annotations

import csv
import io
import json
import sys
import time
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest

from aish.cli import usage
from aish.cli.output import usd
from aish.client import connect
from aish.plugins.simprovider.server import LLAMACPP
from aish.plugins.simprovider.thread import Running
from aish.wire.part import TokensPart, UsageRow, WindowPart

if TYPE_CHECKING:
    from conftest import Home

ROWS = [
    UsageRow(
        key="review",
        name="review",
        model="claude",
        tokens=TokensPart(input=1000, output=100, requests=2, cached=800, reasoning=5, cost_usd=0.0123),
        seconds=1.5,
        first_token_s=0.25,
    ),
    UsageRow(key="", tokens=TokensPart(input=5, output=1, requests=1, unpriced=6)),
]


@pytest.mark.parametrize(
    ("tokens", "shown"),
    [
        (TokensPart(), "0.00"),
        (TokensPart(cost_usd=0.0123), "0.0123"),
        (TokensPart(cost_usd=12.345), "12.35"),
        (TokensPart(cost_usd=0.5, unpriced=7), "0.5000+"),
        (TokensPart(unpriced=7), "?"),
    ],
)
def test_what_nobody_knows_the_price_of_is_not_free(tokens: TokensPart, shown: str) -> None:
    assert usd(tokens) == shown


def test_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    usage._print_rows(ROWS, "project")
    first, second = (line.split() for line in capsys.readouterr().out.splitlines()[1:])
    assert first == ["review", "claude", "2", "1000", "800", "100", "0.0123", "1.5", "0.25s", "0"]
    assert second == ["-", "-", "1", "5", "0", "1", "?", "0.0", "-", "0"]


def test_the_table_by_model_names_the_model_once(capsys: pytest.CaptureFixture[str]) -> None:
    usage._print_rows([UsageRow(key="claude", name="claude", model="claude", tokens=TokensPart(requests=3))], "model")
    header, row = (line.split() for line in capsys.readouterr().out.splitlines())
    assert (header[:2], row[:2]) == (["MODEL", "REQUESTS"], ["claude", "3"])


def test_figures_that_are_estimated_are_marked(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [UsageRow(key="a", model="m", tokens=TokensPart(input=50, output=7, requests=2, cached=3, estimated=7))]
    usage._print_rows(rows, "agent")
    assert capsys.readouterr().out.splitlines()[1].split()[:6] == ["a", "m", "2", "~50", "3", "~7"]


def test_comma_separated_values(capsys: pytest.CaptureFixture[str]) -> None:
    usage._print_csv(ROWS, "agent")
    first, second = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert (first["agent"], first["cost_usd"], first["reasoning"], first["first_token_s"]) == (
        "review",
        "0.0123",
        "5",
        "0.25",
    )
    assert (second["name"], second["unpriced"], second["first_token_s"]) == ("", "6", "")


@pytest.mark.parametrize("by", ["agent", "process", "model", "day", "project"])
def test_of_a_gateway_that_has_served_nothing(shared_home: Home, by: str) -> None:
    done = shared_home.aish("usage", "--by", by, "--json")
    assert (done.returncode, json.loads(done.stdout)) == (0, []), done.stderr
    assert shared_home.aish("usage", "--by", by, "--csv").stdout.startswith(f"{by},name,model,requests,input,")


def test_a_sum_that_there_is_not(shared_home: Home) -> None:
    done = shared_home.aish("usage", "--by", "dya")
    assert done.returncode == 2
    assert "did you mean day?" in done.stderr


def window(**fields: object) -> WindowPart:
    base: dict[str, Any] = {"account": "claude", "window": "5h", "seen_s": time.time() - 61, "source": "header"}
    return WindowPart(**base | fields)


def test_windows_that_are_not_known_are_not_shown_as_empty(capsys: pytest.CaptureFixture[str]) -> None:
    ends_s = time.time() + 3 * 3600 + 5
    usage.print_windows(
        [window(used=0.421, resets_s=ends_s, status="allowed", reserve=0.4, held=["p7"]), window(window="7d")]
    )
    first, second = (line.split() for line in capsys.readouterr().out.splitlines()[1:])
    assert first == ["claude", "5h", "42%", "3h00", "40%", "p7", "allowed", "1:01", "header"]
    assert second[:5] == ["claude", "7d", "-", "-", "-"]


def test_logins_are_told_apart_where_there_are_several(capsys: pytest.CaptureFixture[str]) -> None:
    usage.print_windows([window(login="aa"), window(login="bb"), window(account="codex")])
    rows = [line.split()[0] for line in capsys.readouterr().out.splitlines()[1:]]
    assert rows == ["claude#aa", "claude#bb", "codex"]


def test_windows_as_comma_separated_values(capsys: pytest.CaptureFixture[str]) -> None:
    """`--csv` was left out without a word."""
    usage._print_windows_csv([window(login="aa"), window(account="codex", used=0.25, held=["p1", "p2"])])
    first, second = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert (first["account"], first["login"], first["used"], first["held"]) == ("claude", "aa", "", "")
    assert (second["account"], second["used"], second["held"]) == ("codex", "0.25", "p1 p2")


@pytest.mark.parametrize("words", [("p1",), ("--by", "model"), ("--since", "1h")])
def test_windows_are_of_accounts_as_they_are_now(words: tuple[str, ...], shared_home: Home) -> None:
    assert shared_home.aish("usage", "--windows", *words).returncode == 2


def ask(made: dict[str, str]) -> None:
    """One request by a key, as `aish key new --json` tells it."""
    body = json.dumps({"model": "sim", "messages": [{"role": "user", "content": "say 2"}]}).encode()
    headers = {"Authorization": f"Bearer {made['key']}", "Content-Type": "application/json"}
    request = urllib.request.Request(made["base_url"] + "/chat/completions", body, headers)
    with urllib.request.urlopen(request, timeout=60) as reply:
        assert reply.status == 200


def test_of_one_key(home: Home) -> None:
    """A key's usage stood in the sum of all alone, though `aish requests` knows it."""
    running = Running(engine=LLAMACPP)
    try:
        assert home.aish("model", "serve", "sim", "--url", running.url).returncode == 0
        keys = {name: json.loads(home.aish("key", "new", name, "--json").stdout) for name in ("mine", "other")}
        for name in ("mine", "mine", "other"):
            ask(keys[name])
    finally:
        running.stop()
    for name, requests in (("mine", 2), ("other", 1)):
        done = home.aish("usage", f"key:{name}", "--json")
        (row,) = json.loads(done.stdout)
        assert (row["tokens"]["requests"], row["model"]) == (requests, "sim")
    assert home.aish("key", "new", "idle").returncode == 0
    done = home.aish("usage", "key:idle", "--json")
    assert (done.returncode, json.loads(done.stdout)) == (0, [])
    missing = home.aish("usage", "key:mime")
    assert missing.returncode != 0
    assert "did you mean key:mine?" in missing.stderr


def test_all_of_several_processes_is_their_sum(capsys: pytest.CaptureFixture[str]) -> None:
    usage._print_rows([*ROWS, usage._sum(ROWS)], "process")
    assert capsys.readouterr().out.splitlines()[-1].split() == [
        "all", "-", "3", "1005", "800", "101", "0.0123+", "1.5", "-", "0",
    ]  # fmt: skip


def test_of_one_process_and_what_is_below_it(shared_home: Home) -> None:
    script = "import subprocess, sys; sys.exit(subprocess.call(sys.argv[1:]))"
    words = [sys.executable, "-m", "aish", "run", "--name", "below", "--", "true"]
    above = shared_home.client.spawn([sys.executable, "-c", script, *words], name="above")
    shared_home.client.spawn(["true"], name="beside").wait()
    assert above.wait(timeout_s=60).code == 0
    below = next(row for row in shared_home.client.processes(all=True) if row.name == "below")
    with connect(program="test") as client:
        assert usage._tree(client, "above") == {above.id, below.id}
        assert usage._tree(client, below.id) == {below.id}
    done = shared_home.aish("usage", "above", "--by", "model")
    assert (done.returncode, "--by model is of all, not of above" in done.stderr) == (2, True)
    done = shared_home.aish("usage", "nobody")
    assert (done.returncode, "no process is called nobody" in done.stderr) == (69, True)
