"""`aish window` and what else a person sees of usage windows, on a real daemon and gateway."""

from __future__ import annotations

import json
import re
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.deadline import until

if TYPE_CHECKING:
    from conftest import Home

CODEX = """
import json, os, sys, time
day = os.path.join(os.environ["CODEX_HOME"], "sessions", "2026", "09", "21")
os.makedirs(day, exist_ok=True)
log = open(os.path.join(day, f"rollout-2026-09-21T10-00-00-s{os.getpid()}.jsonl"), "a", buffering=1)
def write(kind, **payload):
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S.999Z", time.gmtime())
    print(json.dumps({"timestamp": stamp, "type": kind, "payload": payload}), file=log)
began = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
write("session_meta", id=f"s{os.getpid()}", cwd=os.getcwd(), timestamp=began)
write("turn_context", model="gpt-6")
used = {"input_tokens": 100, "output_tokens": 10, "cached_input_tokens": 0, "reasoning_output_tokens": 0}
write("event_msg", type="token_count", info={"total_token_usage": used, "last_token_usage": used},
    rate_limits={"primary": {"used_percent": 70.0, "window_minutes": 300, "resets_at": time.time() + 3600}})
time.sleep(600)
"""


def told(home: Home, *words: str) -> Any:
    done = home.aish(*words, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_rule_from_its_first_word_to_its_last(home: Home) -> None:
    assert home.aish("window", "ls").stdout.startswith("there is no rule; such as: aish window set")
    done = home.aish("window", "set", "claude", "reserve=40%", "hours=09-18", "days=mon-fri", "share.@review=30%")
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    assert first == "claude: reserve=40% share.@review=30% hours=09-18 days=mon-fri"
    assert second.strip().startswith("no window of claude is known yet")
    assert told(home, "window", "set", "claude", "reserve=40%") == {"target": "claude", "changed": False}
    (row,) = told(home, "window", "ls")
    assert (row["target"], row["words"]["days"], row["windows"]) == ("claude", "mon-fri", [])
    assert re.search(r"^reserve +40%$", home.aish("window", "show", "claude").stdout, re.M)
    assert home.aish("window", "set", "claude", "hours=none", "days=none", "share.@review=none").returncode == 0
    assert told(home, "window", "show", "claude")["words"] == {"reserve": "40%"}
    assert home.aish("window", "set", "claude", "reserve=none").stdout == "claude: no rule any more\n"
    assert home.aish("window", "unset", "claude").stdout == "claude had no rule\n"


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (("set", "claude", "reserve"), "reserve needs a value"),
        (("set", "claude", "reserve=140%"), "140%"),
        (("set", "claude", "resreve=40%"), "resreve"),
        (("show", "claud"), "there is no rule for claud"),
        (("sett", "claude"), "did you mean set?"),
    ],
)
def test_what_is_wrong_is_told_with_what_is_right(shared_home: Home, words: tuple[str, ...], fault: str) -> None:
    done = shared_home.aish("window", *words)
    assert done.returncode != 0
    assert fault in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_what_is_observed_and_held_is_seen_everywhere(home: Home) -> None:
    program = home.root / "codex.py"
    program.write_text(CODEX)
    environ = {**home.environ, "CODEX_HOME": str(home.root / "codex-home")}
    words = ("spawn", "--observe", "codex", "--name", "night", "--", sys.executable, str(program))
    assert home.aish(*words, env=environ).returncode == 0
    until("it counts", lambda: [r for r in told(home, "usage", "--by", "process") if r["tokens"]["observed"] == 110])
    assert re.search(r"^.*night .*\bobserved\b", home.aish("ps").stdout, re.M)
    assert re.search(r"metered +no: observed", home.aish("inspect", "@night").stdout)
    assert "observed" in home.aish("usage", "--by", "process").stdout
    (window,) = told(home, "usage", "--windows")
    assert (window["account"], window["window"], window["used"], window["source"]) == ("codex", "5h", 0.7, "log")
    assert home.aish("window", "set", "codex", "reserve=40%").returncode == 0
    until("it is held", lambda: told(home, "usage", "--windows")[0]["held"])
    (row,) = told(home, "ps")
    assert row["holds"] == ["budget"]
    why = home.aish("why", "@night").stdout
    assert "codex/5h" in why, why
    assert re.search(r"codex +5h +70% .* 40% +p1 ", home.aish("usage", "--windows").stdout), "who is held"
    assert home.aish("window", "unset", "codex").returncode == 0
    until("it goes on", lambda: not told(home, "ps")[0]["holds"])
    assert home.aish("stop", "@night").returncode == 0
