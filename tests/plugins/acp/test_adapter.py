"""An agent that speaks the Agent Client Protocol, the whole way: a real one (agent.py), the adapter in its host, the
daemon, the person, the transcript."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from aish.client import connect

if TYPE_CHECKING:
    from conftest import Home

DEADLINE_S = 60.0
AGENT = Path(__file__).with_name("agent.py")


def agent_file(home: Home, head: str = "", name: str = "x", arguments: tuple[str, ...] = (), body: str = "") -> None:
    folder = home.root / ".aish" / "agents"
    folder.mkdir(parents=True, exist_ok=True)
    words = json.dumps([str(AGENT), *arguments])
    text = f"---\nadapter: acp\nprogram: {sys.executable}\narguments: {words}\n{head}---\n{body}"
    (folder / f"{name}.md").write_text(text)


@pytest.fixture
def x(shared_home: Home) -> Home:
    """A home with an agent file for the scripted agent; nothing is asked of a model."""
    shared_home.environ["AISH_MODEL"] = "some-model"
    agent_file(shared_home)
    return shared_home


def run(home: Home, *words: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return home.aish("run", "@x", *words, **{"cwd": home.root, "input": ""} | options)


def entries(home: Home) -> list[dict[str, Any]]:
    """The transcript of the last run."""
    (row,) = [row for row in home.client.processes(all=True) if row.name == "x"][-1:]
    (path,) = (home.state / "agents").glob(f"*-{row.id}/transcript.jsonl")
    return [json.loads(line) for line in path.read_text().splitlines()]


def spawned(home: Home, *words: str) -> Any:
    done = home.aish("spawn", "--json", "--", "@x", *words, cwd=home.root)
    assert done.returncode == 0, done.stderr
    return home.client.process(json.loads(done.stdout)["id"])


def until_event(home: Home, id_: str, kind: str, times: int = 1) -> None:
    for event in home.client.events(follow=True, names=[id_]):
        times -= event.kind == kind
        if not times:
            return
        assert event.kind not in ("exited", "failed", "lost"), f"it ended before it was {kind}"


def until_said(home: Home, process: Any) -> None:
    """What it says before a tool."""
    while not any("one" in line.text for line in home.client.logs(process, streams=("stderr",))):
        assert process.row().lifecycle == "running"


def answer_text(home: Home, process: Any) -> str:
    return "\n".join(line.text for line in home.client.logs(process, streams=("stdout",)))


def test_a_turn_is_its_text_and_the_transcript_has_what_was_done(x: Home) -> None:
    agent_file(x, body="Be brief.\n")
    done = run(x, "think=hmm,so tool=pytest plan usage say=all say=well")
    assert done.stdout == "all well\n"
    assert done.stderr == "@x: plan 1/2: do it\n"
    assert done.returncode == 0
    found = entries(x)
    kinds = [entry["kind"] for entry in found]
    assert kinds == ["prompt", "session", "thought", "tool", "result", "usage", "text", "usage", "end"]
    by = {entry["kind"]: entry for entry in reversed(found)}
    assert by["session"]["id"] == "s1"
    assert by["thought"]["text"] == "hmm,so", "pieces of one thought are one entry"
    assert (by["tool"]["title"], by["tool"]["name"]) == ("run: pytest", "execute")
    assert (by["result"]["status"], by["result"]["text"]) == ("completed", "output of pytest")
    assert (found[-2]["input_tokens"], found[-2]["output_tokens"]) == (7, 2)


@pytest.mark.slow
def test_what_it_says_before_a_tool_is_no_answer(x: Home) -> None:
    """A pipe gets nothing that is not the answer, whichever adapter it is."""
    done = run(x, "say=look tool=ls say=all say=done")
    assert (done.stdout, "@x: look" in done.stderr) == ("all done\n", True)
    assert [entry["text"] for entry in entries(x) if entry["kind"] == "said"] == ["look "]


@pytest.mark.parametrize(
    ("answer", "said"),
    [(("allow",), "make:once"), (("allow", "--always"), "make:always")],
)
def test_a_permission_is_asked_and_answered(x: Home, answer: tuple[str, ...], said: str) -> None:
    process = spawned(x, "ask=make")
    until_event(x, process.id, "asked")
    row = process.row()
    assert (row.state, row.doing) == ("needs-input", "wants: run: make")
    (question,) = x.client.questions()
    assert (question.body, question.form) == ("make", "command")
    assert [option.meaning for option in question.options] == ["allow", "allow-always", "deny"]
    assert x.aish("answer", process.id, *answer).returncode == 0
    assert process.wait(timeout_s=DEADLINE_S).code == 0
    assert answer_text(x, process) == said


@pytest.mark.slow
def test_what_is_denied_and_followed_by_nothing_is_no_success(x: Home) -> None:
    process = spawned(x, "ask=make")
    until_event(x, process.id, "asked")
    assert x.aish("answer", process.id, "deny").returncode == 0
    assert process.wait(timeout_s=DEADLINE_S).code == 77
    second = spawned(x, "ask=make say=without")
    until_event(x, second.id, "asked")
    assert x.aish("answer", second.id, "deny").returncode == 0
    assert second.wait(timeout_s=DEADLINE_S).code == 0, "it has found another way"


@pytest.mark.slow
def test_an_edit_is_shown_as_a_diff(x: Home) -> None:
    process = spawned(x, f"edit={x.root}/a.txt")
    until_event(x, process.id, "asked")
    (question,) = x.client.questions()
    assert (question.title, question.form) == ("edit: a.txt", "diff")
    assert "-old\n+new\n" in question.body
    assert x.aish("answer", process.id, "allow").returncode == 0
    process.wait(timeout_s=DEADLINE_S)


@pytest.mark.parametrize(("permissions", "status", "said"), [("allow", 0, "make:once\n"), ("deny", 77, "")])
@pytest.mark.slow
def test_the_file_answers_for_the_person(x: Home, permissions: str, status: int, said: str) -> None:
    agent_file(x, f"permissions: {permissions}\n")
    done = run(x, "ask=make")
    assert (done.returncode, done.stdout) == (status, said)


@pytest.mark.slow
def test_files_are_written_by_us_where_a_person_allows_it(x: Home) -> None:
    path = x.root / "new" / "a.txt"
    process = spawned(x, f"write={path}:hello read={path}")
    until_event(x, process.id, "asked")
    assert not path.exists()
    (question,) = x.client.questions()
    assert (question.title, question.form) == ("write: new/a.txt", "diff")
    assert x.aish("answer", process.id, "allow").returncode == 0
    assert process.wait(timeout_s=DEADLINE_S).code == 0
    assert path.read_text() == "hello"
    assert answer_text(x, process) == "written hello"


@pytest.mark.slow
def test_an_edit_that_was_allowed_is_not_asked_for_again_when_it_is_written(x: Home) -> None:
    process = spawned(x, f"edit={x.root}/a.txt write={x.root}/a.txt:new")
    until_event(x, process.id, "asked")
    assert x.aish("answer", process.id, "allow").returncode == 0
    assert process.wait(timeout_s=DEADLINE_S).code == 0
    assert (x.root / "a.txt").read_text() == "new"


def test_no_file_outside_its_folder(x: Home) -> None:
    (x.root / "link").symlink_to("/etc/hostname")
    done = run(
        x, f"read=/etc/hostname read={x.root}/link read={x.root}/../../x write=/tmp/aish-no:x read={x.root}/none"
    )
    assert done.returncode == 0
    assert done.stdout.count("is not in") == 4
    assert "Resource not found" in done.stdout
    assert not Path("/tmp/aish-no").exists()


def test_ctrl_c_cancels_the_turn_and_its_agent_says_farewell(x: Home) -> None:
    process = spawned(x, "say=one tool=ls hang")
    until_said(x, process)
    process.signal("INT")
    assert process.wait(timeout_s=DEADLINE_S).signal == signal.SIGINT
    assert answer_text(x, process).endswith("cancelled")
    assert entries(x)[-1]["status"] == "cancelled"


def test_a_question_that_is_open_is_withdrawn_and_answered_with_cancelled(x: Home) -> None:
    process = spawned(x, "ask=make")
    until_event(x, process.id, "asked")
    process.signal("INT")
    assert process.wait(timeout_s=DEADLINE_S).signal == signal.SIGINT
    assert x.client.questions() == []
    assert "outcome:cancelled" in answer_text(x, process)


@pytest.mark.slow
def test_one_that_does_not_hear_is_ended_all_the_same(x: Home) -> None:
    process = spawned(x, "say=one tool=ls deaf")
    until_said(x, process)
    process.signal("INT")
    assert process.wait(timeout_s=DEADLINE_S).signal == signal.SIGINT


def test_nothing_is_asked_twice_over_a_death_of_the_daemon(x: Home) -> None:
    process = spawned(x, "ask=make")
    until_event(x, process.id, "asked")
    (before,) = x.client.questions()
    with connect(start=False, program="test") as client:
        os.kill(client.welcome.pid, signal.SIGKILL)
    (after,) = x.client.questions()
    assert (after.number, after.title) == (before.number, before.title)
    assert x.aish("answer", f"q{after.number}", "allow").returncode == 0
    assert x.client.process(process.id).wait(timeout_s=DEADLINE_S).code == 0
    asked = [event for event in x.client.events(names=[process.id]) if event.kind == "asked"]
    assert len(asked) == 1
    assert answer_text(x, x.client.process(process.id)) == "make:once"


@pytest.mark.parametrize(
    ("words", "status", "told"),
    [
        ("refuse", 77, "refused to go on"),
        ("turns", 75, "as often as it may in a turn"),
        ("odd", 69, "cancelled its turn by itself"),
        ("error", 69, "its model is away"),
        ("die=3", 3, "ended with 3 in the middle of its turn"),
        ("die=0", 69, "ended in the middle of its turn"),
        ("huge hang", 69, "a message that is too long"),
        ("stray", 69, "does not speak the Agent Client Protocol"),
    ],
)
@pytest.mark.slow
def test_how_it_fails(x: Home, words: str, status: int, told: str) -> None:
    done = run(x, f"say=half {words}")
    assert (done.returncode, told in done.stderr) == (status, True), done.stderr
    assert done.stdout.startswith("half")
    assert "Traceback" not in done.stderr
    assert entries(x)[-1]["status"] == "failed"


@pytest.mark.parametrize(
    ("argument", "status", "told"),
    [
        ("--die", 9, "ended with 9 before it said a word"),
        ("--auth", 69, "is not logged in"),
        ("--version", 69, "speaks another version"),
    ],
)
@pytest.mark.slow
def test_how_it_does_not_begin(x: Home, argument: str, status: int, told: str) -> None:
    agent_file(x, arguments=(argument,))
    done = run(x, "say=x")
    assert (done.returncode, told in done.stderr) == (status, True), done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_what_is_no_message_is_passed_over(x: Home) -> None:
    done = run(x, "garbage say=on")
    assert (done.returncode, done.stdout) == (0, "on\n")
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_an_answer_that_is_cut_says_so(x: Home) -> None:
    done = run(x, "say=half max")
    assert (done.returncode, "the answer is cut" in done.stderr) == (0, True)


@pytest.mark.slow
def test_its_model_is_chosen_where_it_has_it(x: Home) -> None:
    agent_file(x, "model: two\n", arguments=("--models",))
    assert run(x, "model").stdout == "model:p/two\n"
    agent_file(x, "model: three\n", arguments=("--models",))
    assert run(x, "model").stdout == "one\n", "it is told by variables then"
    agent_file(x, "model: three\nlogin: own\n", arguments=("--models",))
    done = run(x, "model")
    assert (done.returncode, "has no model three" in done.stderr) == (2, True)


@pytest.mark.slow
def test_a_session_is_gone_on_with_and_what_was_said_before_is_not_said_again(x: Home) -> None:
    def again(session: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        agent_file(x, arguments=arguments)
        file = str(x.root / ".aish" / "agents" / "x.md")
        host = (sys.executable, "-P", "-m", "aish.agents.host", "--file", file, "--session", session)
        return x.aish("run", "--", *host, "--", "say=on", cwd=x.root, input="")

    assert again("s9").stdout == "on\n"
    lost = again("lost")
    assert (lost.returncode, "failed at session/load" in lost.stderr) == (69, True)
    bare = again("s9", "--bare")
    assert (bare.returncode, "cannot go on with a session" in bare.stderr) == (69, True)


@pytest.mark.slow
def test_a_session_is_branched_at_its_end_and_then_nobody_goes_on_with_it(x: Home) -> None:
    agent_file(x, arguments=("--branches",))
    process = spawned(x)

    def asked(target: str) -> str:
        return x.aish("ask", target, "session", cwd=x.root, input="").stdout.strip()

    assert [asked("@x"), asked("@x")] == ["s1", "s1"]
    assert x.aish("fork", "@x", "--as", "other", cwd=x.root).returncode == 0
    assert [asked("@x"), asked("@x"), asked("@other")] == ["s1+", "s1+", "s1+"], "as each of them names it"
    refused = x.aish("rewind", "@x", "1", cwd=x.root)
    assert (refused.returncode, "has gone on with this one since" in refused.stderr) == (69, True)

    def checkpoints() -> list[dict[str, Any]]:
        listed: list[dict[str, Any]] = json.loads(x.aish("checkpoint", "ls", process.id, "--json", cwd=x.root).stdout)
        return listed

    (forked,) = [each["id"] for each in checkpoints() if each["why"] == "fork"]
    assert x.aish("rewind", "@x", forked, cwd=x.root).returncode == 0
    assert asked("@x") == "s1+"
    assert x.aish("stop", process.id, cwd=x.root).returncode == 0
    assert x.aish("restore", checkpoints()[-1]["id"], "--as", "again", cwd=x.root).returncode == 0
    assert asked("@again") == "s1++"


@pytest.mark.slow
def test_without_a_program_nothing_is_started(x: Home) -> None:
    done = x.aish("run", "@acp", "hello", cwd=x.root, input="")
    assert (done.returncode, "program: NAME" in done.stderr) == (2, True)
