"""`aish answer` and `aish next`: what agents ask, at a terminal and in scripts."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pexpect
import pytest

from aish.cli import answer
from aish.client import connect
from aish.errors import ConflictError

if TYPE_CHECKING:
    from conftest import Home

DEADLINE_S = 60.0
ASKER = """
import sys
from aish.client import Aish
from aish.wire.question import OptionPart
options = [OptionPart(id="once", label="Allow once", meaning="allow"),
           OptionPart(id="session", label="Allow for this session", meaning="allow-always"),
           OptionPart(id="no", label="Reject", meaning="deny")]
with Aish() as aish:
    for title in sys.argv[1:]:
        body = "-old\\n+new\\n\\x1b]0;owned\\x07" if title == "edit" else "\\n".join(map(str, range(40)))
        answer = aish.ask_person(title, body=body, form="diff" if title == "edit" else "text", options=options,
                                 words=title == "port")
        print(title, answer.option or answer.words, flush=True)
"""


def asker(home: Home, *titles: str, name: str = "coder") -> Any:
    process = home.client.spawn([sys.executable, "-c", ASKER, *titles], kind="agent", name=name)
    asks(home, process.id)
    return process


def asks(home: Home, id_: str) -> None:
    for event in home.client.events(follow=True, names=[id_]):
        if event.kind == "asked":
            return
        assert event.kind not in ("exited", "failed", "lost"), "it asked nothing"


def said(home: Home, process: Any) -> list[str]:
    process.wait(timeout_s=DEADLINE_S)
    return [line.text.rstrip() for line in home.client.logs(process, streams=("stdout",))]


@pytest.mark.parametrize(
    ("words", "heard"),
    [
        (("allow",), "push once"),
        (("allow", "--always"), "push session"),
        (("deny",), "push no"),
        (("session",), "push session"),
    ],
)
def test_answered(shared_home: Home, words: tuple[str, ...], heard: str) -> None:
    process = asker(shared_home, "push")
    done = shared_home.aish("answer", "@coder", *words)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert said(shared_home, process) == [heard]


def test_in_words_and_by_number(shared_home: Home) -> None:
    process = asker(shared_home, "port")
    (question,) = json.loads(shared_home.aish("next", "--json").stdout)
    done = shared_home.aish("answer", f"q{question['number']}", "use", "8081", "--json")
    assert json.loads(done.stdout)["answer"]["words"] == "use 8081"
    assert said(shared_home, process) == ["port use 8081"]


def test_wrong_words_say_what_would_do(shared_home: Home) -> None:
    process = asker(shared_home, "push")
    for words, told in (
        (("answer", "coder", "maybe"), "it takes once (Allow once), session (Allow for this session), no (Reject)"),
        (("answer", "coder", "deny", "--always"), "offers no deny for always"),
        (("answer", "q999", "allow"), "q999 does not wait for an answer"),
        (("answer", "nobody", "allow"), "no process is called nobody"),
        (("answer", "coder"), "ANSWER"),
    ):
        done = shared_home.aish(*words)
        assert done.returncode != 0
        assert told in done.stderr, words
    with connect(start=False, program="test") as line:
        (question,) = shared_home.client.questions()
        assert answer.find(line, "coder", question.asked_s) == question
        with pytest.raises(ConflictError, match="coder has only now asked this: wants: push"):
            # Two persons answered one question by the agent's name; the second one's answer was to its next question.
            answer.find(line, "coder", question.asked_s - 0.001)
        assert answer.find(line, f"q{question.number}", 0.0) == question
    assert shared_home.aish("answer", "coder", "deny").returncode == 0
    assert said(shared_home, process) == ["push no"]
    done = shared_home.aish("answer", "coder", "deny")
    assert (done.returncode, "coder" in done.stderr) == (69, True)


def test_two_questions_of_one_are_not_guessed(shared_home: Home) -> None:
    code = ASKER + "\nimport threading"
    script = f"""
import subprocess, sys
both = [subprocess.Popen([sys.executable, "-c", {code!r}, title]) for title in ("push", "port")]
for each in both: each.wait()
"""
    process = shared_home.client.spawn([sys.executable, "-c", script], kind="agent", name="coder")
    asked = 0
    for event in shared_home.client.events(follow=True, names=[process.id]):
        asked += event.kind == "asked"
        if asked == 2:
            break
    done = shared_home.aish("answer", "coder", "allow")
    assert (done.returncode, "asks 2 things: q" in done.stderr) == (2, True)
    for question in shared_home.client.questions():
        assert shared_home.aish("answer", f"q{question.number}", "allow").returncode == 0
    process.wait(timeout_s=DEADLINE_S)


def test_off_a_terminal_they_are_listed(shared_home: Home) -> None:
    assert shared_home.aish("next").stdout == ""
    process = asker(shared_home, "push")
    head, row = shared_home.aish("next").stdout.splitlines()
    assert head.split() == ["Q", "ID", "NAME", "AGE", "QUESTION", "ANSWERS"]
    assert "wants: push  once, session, no" in row
    process.stop()
    assert shared_home.aish("next").stdout == ""


def test_with_follow_they_are_told_as_they_come_until_it_has_ended(shared_home: Home) -> None:
    process = asker(shared_home, "push", "edit", name="one")
    asker(shared_home, "other", name="two")
    running = shared_home.popen("next", "-f", "one", stdout=subprocess.PIPE, text=True)
    assert running.stdout is not None
    for title in ("push", "edit"):
        line = str(running.stdout.readline())
        assert line.split()[1:] == ["one", f"({process.id})", "wants:", title, "[once,", "session,", "no]"], line
        assert shared_home.aish("answer", line.split()[0], "allow").returncode == 0
    assert running.wait(DEADLINE_S) == 0
    assert str(running.stdout.read()) == ""
    done = shared_home.aish("next", "-f", "one", "--json")
    assert (done.returncode, done.stdout) == (0, ""), "it has ended"


def test_what_is_below_a_process_asks_for_it(shared_home: Home) -> None:
    """A script is the parent of its agents: who looks after it answers them by its name."""
    script = "import subprocess, sys; sys.exit(subprocess.call(sys.argv[1:]))"
    words = [sys.executable, "-m", "aish", "run", "--kind", "agent", "--name", "below", "--"]
    above = shared_home.client.spawn(
        [sys.executable, "-c", script, *words, sys.executable, "-c", ASKER, "push"], kind="agent", name="above"
    )
    for event in shared_home.client.events(follow=True):
        if event.kind == "asked" and event.name == "below":
            break
    assert [part.name for part in shared_home.client.questions(above)] == ["below"]
    assert shared_home.aish("answer", "@above", "deny").returncode == 0
    assert above.wait(timeout_s=DEADLINE_S).code == 0


@pytest.mark.parametrize(
    ("said", "status", "told"), [("allow", 0, ""), ("deny", 77, ""), ("use make", 77, "use make\n")]
)
def test_a_script_asks_for_a_permission(shared_home: Home, said: str, status: int, told: str) -> None:
    script = (
        f"echo 'git push' | {sys.executable} -m aish confirm --form command run: git push > said; echo $? >> said"
    )
    process = shared_home.client.spawn(
        ["sh", "-c", script], kind="agent", name="pusher", cwd=str(shared_home.root), env=shared_home.environ
    )
    asks(shared_home, process.id)
    (question,) = shared_home.client.questions(process)
    assert (question.title, question.body, question.form) == ("run: git push", "git push\n", "command")
    assert shared_home.aish("answer", "pusher", said).returncode == 0
    process.wait(timeout_s=DEADLINE_S)
    assert (shared_home.root / "said").read_text() == f"{told}{status}\n"


def test_who_is_not_supervised_asks_himself(shared_home: Home) -> None:
    shared_home.client.processes()
    done = shared_home.aish("confirm", "run: x")
    assert (done.returncode, "only a supervised process" in done.stderr) == (65, True)


def terminal(home: Home, *words: str) -> pexpect.spawn[str]:
    at = pexpect.spawn(
        sys.executable,
        ["-P", "-m", "aish", "next", *words],
        env=home.environ | {"TERM": "xterm"},
        encoding="utf-8",
        timeout=DEADLINE_S,
        dimensions=(40, 120),
    )
    at.delaybeforesend = None  # a key that comes as soon as it is offered was dropped
    return at


def test_one_key_answers_oldest_first(shared_home: Home) -> None:
    first = asker(shared_home, "edit", "push", name="one")
    second = asker(shared_home, "port", name="two")
    at = terminal(shared_home)
    at.expect("one .*2 to go")
    at.expect_exact("wants: edit")
    at.expect_exact("\x1b[31m-old\x1b[0m")
    at.expect_exact("\x1b[32m+new\x1b[0m")
    assert at.expect_exact(["\x1b]0;owned", "[a] Allow once"]) == 1, "a body steers the terminal"
    at.send("x")
    at.expect_exact("[a] Allow once")
    at.send("A")
    at.expect_exact("wants: port")
    at.expect_exact("[v] view 10 more lines")
    at.send("v")
    at.expect_exact("  39")
    at.expect_exact("[w] ")
    at.send("w")
    at.expect_exact("your answer")
    at.sendline("use 8081")
    at.expect_exact("wants: push")  # asked since
    at.expect_exact("[s] skip")
    at.send("s")
    at.expect_exact("1 skipped, still waiting")
    at.expect(pexpect.EOF)
    at.close()
    assert at.exitstatus == 0
    assert said(shared_home, second) == ["port use 8081"]
    assert shared_home.aish("answer", "one", "deny").returncode == 0
    assert said(shared_home, first) == ["edit session", "push no"]
    empty = terminal(shared_home)
    empty.expect_exact("nobody needs you")
    empty.close()


def test_with_follow_the_next_one_is_shown_when_it_comes(shared_home: Home) -> None:
    process = asker(shared_home, "push", "port", name="one")
    at = terminal(shared_home, "-f", "one")
    at.expect_exact("wants: push")
    at.expect_exact("[s] skip")
    at.send("a")
    at.expect_exact("wants: port")
    at.expect_exact("[s] skip")
    at.send("d")
    at.expect(pexpect.EOF)
    at.close()
    assert at.exitstatus == 0
    assert said(shared_home, process) == ["push once", "port no"]


def test_ctrl_c_leaves_the_terminal_as_it_was(shared_home: Home) -> None:
    process = asker(shared_home, "push")
    at = terminal(shared_home)
    at.expect_exact("[a] Allow once")
    at.sendintr()
    at.expect(pexpect.EOF)
    at.close()
    assert at.exitstatus == 130
    assert [part.title for part in shared_home.client.questions()] == ["push"]
    process.stop()


def test_in_top_the_selected_one_is_answered_and_the_view_comes_back(shared_home: Home) -> None:
    process = asker(shared_home, "push")
    at = pexpect.spawn(
        sys.executable,
        ["-P", "-m", "aish", "top"],
        env=shared_home.environ | {"TERM": "xterm"},
        encoding="utf-8",
        timeout=DEADLINE_S,
        dimensions=(40, 120),
    )
    at.expect_exact("wants: push")
    at.send("a")
    at.expect_exact("[a] Allow once")
    at.send("\x03")  # no answer: the view goes on
    at.expect_exact("aish top")
    at.send("a")
    at.expect_exact("[a] Allow once")
    at.send("d")
    at.expect_exact("nobody needs you")
    at.expect_exact("aish top")
    assert said(shared_home, process) == ["push no"]
    at.send("a")
    at.send("q")
    at.expect(pexpect.EOF)
    at.close()
    assert at.exitstatus == 0
