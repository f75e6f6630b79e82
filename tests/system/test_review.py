"""examples/review.aish as people run it: three agents in worktrees, one question, mail among them, one report, and
totals that are those of the model's own server."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from aish.plugins.simprovider import said, script
from aish.plugins.simprovider.thread import Running
from tests.deadline import until

from .conftest import System

if TYPE_CHECKING:
    from collections.abc import Iterator

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
DEADLINE_S = 90.0


def call(tool: str, **arguments: Any) -> str:
    return f"call {tool} {json.dumps(arguments)}"


class Project:
    """A git repository whose HEAD has changed two files: `one`, `two` are what its lines make the model do."""

    def __init__(self, system: System, one: str = "say 2", two: str = "say 3") -> None:
        self.system, self.root = system, system.home.root / "a project"
        self.environ = system.home.environ
        self.environ["PATH"] = f"{Path(sys.executable).parent}:{self.environ['PATH']}"
        self.root.mkdir()
        self.git("init", "-q", "-b", "main")
        for name in ("user.name", "user.email"):
            self.git("config", name, "a@example.org")
        for texts in ({"a.py": "x = 1\n", "b.py": "y = 1\n"}, {"a.py": f"# {one}\n", "b.py": f"# {two}\n"}):
            for name, text in texts.items():
                (self.root / name).write_text(text)
            self.git("add", "-A")
            self.git("commit", "-q", "-m", "change")

    def git(self, *words: str) -> str:
        done = subprocess.run(["git", *words], cwd=self.root, env=self.environ, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def begin(self, *, tests: str, path: Path = EXAMPLES / "review.aish") -> subprocess.Popen[str]:
        self.environ["TESTS"] = tests
        made: Any = self.system.home.popen(
            str(path),
            cwd=self.root,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        return made

    def until_asked(self, running: subprocess.Popen[str]) -> None:
        def asked() -> bool:
            assert running.poll() is None, running.communicate()
            return bool(self.system.home.client.questions())

        until("it asks", asked, DEADLINE_S)

    def nothing_is_left(self) -> None:
        assert self.git("status", "--short") == ""
        assert self.git("branch", "--format=%(refname:short)").split() == ["main"]
        assert not list((self.root / ".aish" / "worktrees").glob("*"))
        assert [row.name for row in self.system.home.client.processes() if row.kind == "agent"] == []


@pytest.fixture
def sim(system: System) -> Iterator[Running]:
    """A scripted model server, which is the model of this home."""
    running = Running(engine="llama.cpp")
    try:
        system.run("model", "serve", "sim", "--url", running.url)
        system.home.environ["AISH_MODEL"] = "sim"
        yield running
    finally:
        running.stop()


def told(sim: Running) -> tuple[int, int, int]:
    """Requests with the tokens of input and output that the server said they had; that of the probe is no agent's."""
    bodies = [each.fields for each in sim.provider.requests if each.path.endswith("/chat/completions")]
    answers = [said.answer(script.read(script.prompt(body)), body) for body in bodies if body.get("stream")]
    return len(answers), sum(int(str(each.input)) for each in answers), sum(int(str(each.output)) for each in answers)


def total(table: str) -> tuple[int, int, int]:
    """Requests, input, output in the last row of `aish usage`."""
    word, _, requests, input_, _, output, *_ = table.splitlines()[-1].split()
    assert word == "all", table
    return int(requests), int(input_), int(output)


def test_three_agents_one_question_one_report_and_totals_as_the_server_counts(system: System, sim: Running) -> None:
    one = f"{call('read', path='a.py')} then json " + '{"found":"in a"}'
    project = Project(system, one, 'json {"found":"in b"}')
    (project.root / "tests.sh").write_text(f"""echo '{call("read", path="b.py")} then json {{"verdict":"no"}}'\n""")
    project.git("add", "-A")
    project.git("commit", "-q", "--amend", "-m", "change")
    running = project.begin(tests="sh tests.sh")
    project.until_asked(running)
    (question,) = system.home.client.questions()
    assert (question.title, question.body) == ("run: sh tests.sh", "sh tests.sh\n")
    mail = system.home.client.mail()
    assert {part.sender_name.rpartition("review-")[2].split("-", 1)[1] for part in mail if part.sender_name} == {
        "reader-1",
        "reader-2",
    }
    assert sorted(part.text.strip() for part in mail) == ['{"found":"in a"}', '{"found":"in b"}']
    worktrees = json.loads(system.run("land", "--json", cwd=project.root).stdout)
    assert len(worktrees) == 3
    system.home.client.answer(question.number, "allow")
    out, errors = running.communicate(timeout=DEADLINE_S)
    assert (running.returncode, out) == (0, '{"verdict":"no"}\n'), errors
    assert len([event for event in system.home.client.events() if event.kind == "asked"]) == 1
    assert total(errors) == told(sim)
    assert total(errors)[0] == 5, "two of the first reader and the editor, one of the second reader"
    project.nothing_is_left()


@pytest.mark.slow
def test_a_reader_that_fails_is_told_and_the_others_go_on(system: System, sim: Running) -> None:
    project = Project(system, "fault status-500", 'json {"found":"in b"}')
    running = project.begin(tests="")
    out, errors = running.communicate(timeout=DEADLINE_S)
    assert running.returncode == 69, errors
    assert out == "w0 w1 w2\n", errors
    assert "reader-1 failed with 69: what it had of the change was not read." in errors
    asked = [each.fields["messages"][-1]["content"] for each in sim.provider.requests if b'"tools"' in each.body]
    assert any('{"found":"in b"}' in text and "reader-1 failed with 69" in text for text in asked)
    project.nothing_is_left()


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["asked", "generating"])
def test_ctrl_c_ends_all_of_it(system: System, sim: Running, moment: str) -> None:
    project = Project(system, two="say 9 pace 60" if moment == "generating" else "say 2")
    running = project.begin(tests="true")
    if moment == "asked":
        project.until_asked(running)
    else:
        client = system.home.client
        until("it reads", lambda: any(row.state == "generating" for row in client.processes()), DEADLINE_S)
    os.killpg(running.pid, signal.SIGINT)
    out, errors = running.communicate(timeout=DEADLINE_S)
    assert (running.returncode, out) == (143, ""), errors
    assert system.home.client.questions() == []
    project.nothing_is_left()


@pytest.mark.slow
def test_no_change_is_no_review(system: System, sim: Running) -> None:
    project = Project(system)
    done = system.home.aish(str(EXAMPLES / "review.aish"), "HEAD", cwd=project.root)
    assert (done.returncode, done.stdout, "nothing has changed since HEAD" in done.stderr) == (0, "", True)
    done = system.home.aish(str(EXAMPLES / "review.aish"), "nowhere", cwd=project.root)
    assert (done.returncode, done.stdout, "nowhere" in done.stderr) == (128, "", True)
    assert told(sim) == (0, 0, 0)


@pytest.mark.model
@pytest.mark.slow
@pytest.mark.timeout(400)
def test_with_the_embedded_model(serving: System) -> None:
    """Whatever it says: it comes to an end, and is counted as its server counts. A copy, with shorter answers."""
    project = Project(serving, "total = total - 1", "return total / count")
    folder = serving.home.root / "my scripts"
    shutil.copytree(EXAMPLES / "review", folder / "review")
    shutil.copy(EXAMPLES / "review.aish", folder)
    for file in (folder / "review").iterdir():
        file.write_text(file.read_text().replace("max_output_tokens: 800", "max_output_tokens: 40"))
    before = serving.counted()
    running = project.begin(tests="true", path=folder / "review.aish")
    project.until_asked(running)
    assert serving.run("answer", serving.home.client.questions()[0].process, "allow").returncode == 0
    out, errors = running.communicate(timeout=300)
    assert running.returncode == 0, errors
    assert out.strip()
    after = serving.counted()
    assert total(errors)[1:] == (after[0] - before[0], after[1] - before[1])
    project.nothing_is_left()
