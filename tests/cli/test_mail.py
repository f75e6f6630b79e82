"""The verbs of mail: for people, and for a shell script that is an agent."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from conftest import Home

SCRIPT = r"""
aish() { "$PYTHON" -P -m aish "$@"; }
while message=$(aish receive); do
    number=${message%%
*}
    text=${message#*
}
    case $text in
        stop) aish respond "$number" stopped; exit 0 ;;
        fail) aish respond "$number" --status 9 no ;;
        *) printf %s "$text" | tr a-z A-Z | aish respond "$number" ;;
    esac
done
"""


def script(home: Home) -> Any:
    environ = home.environ | {"PYTHON": sys.executable}
    return home.client.spawn(["sh", "-c", SCRIPT], kind="agent", name="upper", env=environ)


def test_a_shell_script_is_an_agent(shared_home: Home) -> None:
    process = script(shared_home)
    done = shared_home.aish("ask", "@upper", "two\nlines")
    assert (done.returncode, done.stdout) == (0, "TWO\nLINES\n")
    done = shared_home.aish("ask", "upper", "first", input="and stdin\n")
    assert done.stdout == "FIRST\n\nAND STDIN\n"
    done = shared_home.aish("ask", "upper", "fail")
    assert (done.returncode, done.stdout) == (9, "no\n")
    assert "its turn ended with 9" in done.stderr
    done = shared_home.aish("ask", "upper", "fail", "--json")
    assert (done.returncode, json.loads(done.stdout)["status"]) == (9, 9)
    assert shared_home.aish("ask", "upper", "stop").stdout == "stopped\n"
    assert process.wait(timeout_s=60).code == 0


def test_what_nobody_reads_any_more_is_told(shared_home: Home) -> None:
    process = shared_home.client.spawn(["sleep", "600"], kind="agent", name="deaf")
    number = shared_home.aish("send", "deaf", "hello").stdout.strip()
    (row,) = json.loads(shared_home.aish("mail", "--json", "deaf").stdout)
    assert (f"m{row['number']}", row["state"], row["sender"]) == (number, "waiting", None)
    process.stop(grace_s=0)
    done = shared_home.aish("mail", number)
    assert (done.returncode, "deaf" in done.stderr, "has ended without an answer" in done.stderr) == (69, True, True)


def test_wrong_words(shared_home: Home) -> None:
    for words, told in (
        (("send", "upper"), "the message is empty"),
        (("send", "nobody", "hello"), "no process is called nobody"),
        (("respond", "seven", "x"), "expected the number of a message"),
        (("receive",), "only a supervised process"),
        (("mail", "m999"), "no message m999"),
    ):
        done = shared_home.aish(*words)
        assert done.returncode != 0
        assert told in done.stderr, (words, done.stderr)


def test_a_time_that_is_over(shared_home: Home) -> None:
    command = [sys.executable, "-P", "-m", "aish", "receive", "--timeout", "0.1"]
    process = shared_home.client.spawn(command, kind="agent", name="impatient")
    assert process.wait(timeout_s=60).code == 124
