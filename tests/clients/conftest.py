"""The real programs, a supervisor of their own, and a simulated provider that says what its prompts say."""

from __future__ import annotations

import json
import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from aish.plugins.simprovider import said, script
from aish.plugins.simprovider.thread import Running

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Home

DEADLINE_S = 60.0
MODELS = {"aider": "sim", "claude": "simclaude", "codex": "sim", "gemini": "sim", "opencode": "sim"}
_PATHS = ("/messages", "/chat/completions", "/responses")


def where(name: str) -> str | None:
    """The folder of that program: of ./dev test-clients, else of PATH."""
    pinned = os.environ.get("AISH_TEST_CLIENTS")
    folders = os.environ["PATH"]
    if pinned:
        folders = f"{os.path.join(pinned, 'node_modules', '.bin')}{os.pathsep}{folders}"
    found = shutil.which(name, path=folders)
    return os.path.dirname(found) if found else None


@dataclass
class Client:
    """One of the programs, in a folder of the test's."""

    name: str
    home: Home
    running: Running

    @property
    def model(self) -> str:
        return MODELS[self.name]

    def tool(self, command: str, *, say: int = 2) -> str:
        """A prompt that calls its shell with a command that has to be allowed, after some words."""
        if self.name == "claude":
            return f"think 1 say {say} call Bash " + json.dumps({"command": command})
        if self.name in ("gemini", "opencode"):
            tool = {"gemini": "run_shell_command", "opencode": "bash"}[self.name]
            return f"say {say} call {tool} " + json.dumps({"command": command, "description": "a test"})
        more = {"yield_time_ms": 30000, "sandbox_permissions": "require_escalated", "justification": "May I?"}
        return f"think 1 say {say} call exec_command " + json.dumps({"cmd": command, **more})

    @property
    def shell(self) -> str:
        """What it calls its shell."""
        return {"claude": "Bash", "codex": "shell", "opencode": "bash"}[self.name]

    def spawn(self, prompt: str, *options: str, agent: str = "") -> Any:
        """`agent`: by its file, with the model that is in there."""
        model = () if agent else ("--model", self.model)
        words = ["spawn", "--json", *model, *options, "--", f"@{agent or self.name}", prompt]
        done = self.home.aish(*words, cwd=self.home.root)
        assert done.returncode == 0, done.stderr
        return self.home.client.process(json.loads(done.stdout)["id"])

    def agent_file(self, name: str, head: str) -> None:
        folder = self.home.root / ".aish" / "agents"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.md").write_text(f"---\nadapter: {self.name}\n{head}---\n")

    def until(self, process: Any, kind: str) -> None:
        """That event of it. Ends with what it said where it ends before."""
        for event in self.home.client.events(follow=True, names=[process.id]):
            if event.kind == kind:
                return
            assert event.kind not in ("exited", "failed", "lost"), self.log(process)

    def until_again(self, process: Any, kind: str, times: int) -> None:
        """The event of that kind that is the last of so many."""
        for event in self.home.client.events(follow=True, names=[process.id]):
            times -= event.kind == kind
            if not times:
                return
            assert event.kind not in ("exited", "failed", "lost"), self.log(process)

    def until_doing(self, process: Any, doing: str) -> Any:
        deadline_s = time.monotonic() + DEADLINE_S
        while (row := process.row()).doing != doing:
            assert row.ended_s is None, self.log(process)
            assert time.monotonic() < deadline_s, (row.state, row.doing)
        return row

    def question(self, process: Any) -> Any:
        (found,) = self.home.client.questions(process.id)
        return found

    def log(self, process: Any, *streams: str) -> str:
        return "".join(line.text for line in self.home.client.logs(process, streams=streams or ("stdout", "stderr")))

    def key(self, process: Any) -> str:
        """The one that it has at the gateway."""
        environ = Path(f"/proc/{process.row().pid}/environ").read_bytes().split(b"\0")
        (found,) = [each.partition(b"=")[2].decode() for each in environ if each.startswith(b"OPENAI_API_KEY=")]
        return found

    def entries(self, process: Any) -> list[dict[str, Any]]:
        (path,) = (self.home.state / "agents").glob(f"*-{process.id}/transcript.jsonl")
        return [json.loads(line) for line in path.read_text().splitlines()]

    def asked(self) -> list[Any]:
        """Requests for answers that came to the provider, without aish's own."""
        found = [each for each in self.running.provider.requests if each.path.partition("?")[0].endswith(_PATHS)]
        return [each for each in found if script.limit(each.fields) != 1]

    def told_tokens(self) -> tuple[int, int]:
        """Input and output of all of them, as the provider told it."""
        answers = [said.answer(script.read(script.prompt(each.fields)), each.fields) for each in self.asked()]
        return sum(int(str(each.input)) for each in answers), sum(int(str(each.output)) for each in answers)

    def counted(self, process: Any) -> tuple[int, int]:
        """The same as aish has counted it."""
        found = [each for each in self.home.client.requests() if each.process == process.id]
        assert not any(each.estimated for each in found)
        return sum(each.input for each in found), sum(each.output for each in found)


@pytest.fixture
def running() -> Iterator[Running]:
    made = Running()
    yield made
    made.stop()


@pytest.fixture
def client(home: Home, running: Running, request: pytest.FixtureRequest) -> Client:
    """By the parameter: which one."""
    name = request.param
    folder = where(name)
    if folder is None:
        pytest.skip(f"{name} is not installed: ./dev test-clients does that for those of npm")
    path = f"{folder}{os.pathsep}{home.environ['PATH']}"
    home.environ["PATH"] = path
    os.environ["PATH"] = path  # of this test: `home` puts it back
    origin = running.url.removesuffix("/v1")
    served = {
        "simclaude": ("--url", origin, "--dialect", "anthropic"),
        "sim": ("--url", running.url),
    }
    model = MODELS[name]
    done = home.aish("model", "serve", model, *served[model], "--upstream-name", "sim")
    assert done.returncode == 0, done.stderr
    return Client(name, home, running)


def helpers(marker: str) -> list[int]:
    """Processes whose command line has that word."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdecimal() and int(entry) != os.getpid():
            try:
                words = Path(f"/proc/{entry}/cmdline").read_bytes()
            except OSError:
                continue
            if marker.encode() in words:
                found.append(int(entry))
    return found
