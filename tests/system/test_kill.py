"""kill -9 of daemon, holder, keeper and gateway while five agents work: each ends as if nothing had happened, nothing
is asked twice, transcripts have no gap, and all that the model's server was asked is counted."""

from __future__ import annotations

import json
import os
import random
import select
import signal
import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from aish.plugins.simprovider import said, script
from aish.plugins.simprovider.thread import Running
from aish.supervisor.holder import link, wire
from tests.deadline import DEADLINE_S, until

from .conftest import System

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aish.client.process import Process

ACP_AGENT = Path(__file__).resolve().parents[1] / "plugins" / "acp" / "agent.py"
PACE_S = 0.06

SDK = """
import http.client, json, os, sys, urllib.parse

def said(content):
    url = urllib.parse.urlsplit(os.environ["OPENAI_BASE_URL"])
    connection = http.client.HTTPConnection(url.hostname, url.port, timeout=60)
    body = {"model": os.environ["AISH_MODEL"], "stream": True, "messages": [{"role": "user", "content": content}]}
    headers = {"Authorization": "Bearer " + os.environ["OPENAI_API_KEY"], "Content-Type": "application/json"}
    connection.request("POST", url.path + "/chat/completions", json.dumps(body), headers)
    text = ""
    for line in connection.getresponse():
        if line.startswith(b"data: {"):
            choices = json.loads(line[6:]).get("choices")
            text += (choices[0]["delta"].get("content") or "") if choices else ""
        elif line.startswith(b"data: [DONE]"):
            return text
    raise ConnectionError("cut")

for step in sys.stdin.read().split(";"):
    while True:
        try:
            print(said(step).strip(), flush=True)
            break
        except (OSError, http.client.HTTPException):
            pass  # as SDKs do: once more
"""


def call(tool: str, **arguments: Any) -> str:
    return f"call {tool} {json.dumps(arguments)}"


class Team:
    """Five agents: `coder` wants a permission, `reader` reads and streams, `sdk` is a program of its own, `other`
    speaks ACP and wants a permission, `clerk` answers mail."""

    def __init__(self, system: System, sim: Running) -> None:
        self.system, self.sim, self.home = system, sim, system.home
        self.client = system.home.client
        root = system.home.root
        (root / "sdk.py").write_text(SDK)
        (root / "a.txt").write_text("a line\n")
        python = sys.executable
        heads = {
            "coder": "tools: [shell]",
            "reader": "tools: [read]\npermissions: allow",
            "clerk": "tools: [read]\npermissions: allow",
            "sdk": f"adapter: program\nprogram: {python}\narguments: [{root}/sdk.py]",
            "other": f"adapter: acp\nprogram: {python}\narguments: [{ACP_AGENT}]",
        }
        folder = root / ".aish" / "agents"
        folder.mkdir(parents=True)
        for name, head in heads.items():
            (folder / f"{name}.md").write_text(f"---\n{head}\n---\n")
        slow = f"say 9 pace {PACE_S}"
        read = call("read", path="a.txt")
        self.prompts = {
            "coder": f"{call('shell', command='echo once >> ran')} then {slow}",
            "reader": f"{slow} {read} then {slow} {read} then {slow}",
            "sdk": ";".join([slow] * 3),
            "other": "say=one ask=push tool=x say=two",
        }
        self.agents: dict[str, Process] = {}
        self.mail: list[int] = []

    def begin(self) -> None:
        for name in ("coder", "reader", "sdk", "other", "clerk"):
            words = [self.prompts[name]] if name in self.prompts else []
            done = self.system.run("spawn", "--json", "--", f"@{name}", *words, cwd=self.home.root)
            self.agents[name] = self.client.process(json.loads(done.stdout)["id"])
        self.mail = [self.client.send(self.agents["clerk"], f"say {n} pace {PACE_S}") for n in (9, 8, 7)]

    def asks(self, name: str) -> int:
        """The number of its question, once it is there."""
        until(f"{name} asks", lambda: self.client.questions(self.agents[name]), DEADLINE_S)
        (question,) = self.client.questions(self.agents[name])
        return question.number

    def streams(self) -> None:
        """Until a request is under way at the model's server."""
        with self.sim.provider.changed:
            assert self.sim.provider.changed.wait_for(lambda: self.sim.provider.busy, DEADLINE_S), "nobody streams"

    # --- at the end -------------------------------------------------------------------------------------------------

    def ended_well(self) -> None:
        words = " ".join(f"w{number}" for number in range(9))
        answers = {
            "coder": f"{words}\n",
            "reader": f"{words}\n",
            "sdk": f"{words}\n" * 3,
            "other": "two\n",
        }
        for name, text in answers.items():
            process = self.agents[name]
            end = process.wait(timeout_s=DEADLINE_S)
            log, errors = (
                "\n".join(line.text.rstrip() for line in self.client.logs(process, streams=(stream,)))
                for stream in ("stdout", "stderr")
            )
            assert (end.code, log + "\n") == (0, text), f"{name}: {end}\n{errors}"
        for number, count in zip(self.mail, (9, 8, 7), strict=True):
            mail = self.client.response(number, timeout_s=DEADLINE_S)
            assert (mail.status, mail.answer) == (0, " ".join(f"w{n}" for n in range(count))), mail
            assert mail.deliveries >= 1
        assert (self.home.root / "ran").read_text() == "once\n", "it ran what was allowed once, twice"
        self.agents["clerk"].stop()

    def asked_once(self) -> None:
        events = list(self.client.events())
        numbers = [event.number for event in events]
        assert numbers == sorted(set(numbers))
        kinds = Counter((event.process, event.kind) for event in events)
        for name, process in self.agents.items():
            asks = int(name in ("coder", "other"))
            found = [kinds[process.id, kind] for kind in ("asked", "answered", "withdrawn")]
            assert found == [asks, asks, 0], (name, found)
            assert [kinds[process.id, kind] for kind in ("created", "started", "exited")] == [1, 1, 1], name
        mails = [kinds[self.agents["clerk"].id, kind] for kind in ("mail", "mail-answered", "mail-returned")]
        assert mails == [3, 3, 0]

    def transcripts_are_whole(self) -> None:
        turn = ["prompt", "text", "end"]
        tool = ["tool", "result"]
        kinds = {
            "coder": ["prompt", "said", "question", "answer", *tool, "text", "end"],
            "reader": ["prompt", *["said", *tool] * 2, "text", "end"],
            "sdk": turn,
            "clerk": turn * 3,
            "other": [
                "prompt",
                "session",
                "said",
                "tool",
                "question",
                "answer",
                "said",
                *tool,
                "text",
                "usage",
                "end",
            ],
        }
        for name, wanted in kinds.items():
            (path,) = (self.home.state / "agents").glob(f"*-{self.agents[name].id}/transcript.jsonl")
            text = path.read_text()
            assert text.endswith("\n")
            entries = [json.loads(line) for line in text.splitlines()]
            found = [entry["kind"] for entry in entries]
            assert found == wanted, f"{name}: {found}"
            assert [entry.get("status") for entry in entries if entry["kind"] == "end"] == ["done"] * wanted.count(
                "end"
            )
            times = [entry["time_s"] for entry in entries]
            assert times == sorted(times)

    def counted(self, *, all_arrived: bool) -> None:
        """Each request that the model's server had is a row at the gateway, with its figures; what a kill cut off is
        estimated. `all_arrived`: none was cut off before the model's server had it."""
        bodies = [each.fields for each in self.sim.provider.requests if each.path.endswith("/chat/completions")]
        answers = [said.answer(script.read(script.prompt(body)), body) for body in bodies if body.get("stream")]
        told = Counter((answer.input, answer.output) for answer in answers)
        ours = {process.id for process in self.agents.values()}
        rows = [row for row in self.client.requests(last=500) if row.process in ours]
        settled = Counter((row.input, row.output) for row in rows if row.status == 200)
        cut = [row for row in rows if row.status == 0]
        assert settled <= told, (settled, told)
        assert len(rows) == settled.total() + len(cut)
        lacking = told.total() - settled.total()
        assert lacking == len(cut) if all_arrived else lacking <= len(cut)
        assert all(row.estimated for row in cut)
        assert not any(row.estimated for row in rows if row.status == 200)


@pytest.fixture
def team(system: System) -> Iterator[Team]:
    sim = Running(engine="llama.cpp")
    try:
        system.run("model", "serve", "sim", "--url", sim.url)
        system.home.environ["AISH_MODEL"] = "sim"
        yield Team(system, sim)
    finally:
        sim.stop()


class Victims:
    """daemon, holder, keeper and gateway of a home, as they are now."""

    def __init__(self, system: System) -> None:
        self._system = system

    def kill(self, name: str) -> None:
        """And wait for its end: what comes next meets the one after it, or none yet."""
        pidfd = os.pidfd_open(self._pid(name))
        try:
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            assert select.select([pidfd], [], [], DEADLINE_S)[0], f"SIGKILL did not end the {name}"
        finally:
            os.close(pidfd)

    def _pid(self, name: str) -> int:
        found: list[int] = []

        def known() -> bool:
            found[:] = [pid] if (pid := self._look(name)) else []
            return bool(found)

        until(f"there is a {name}", known)
        return found[0]

    def _look(self, name: str) -> int | None:
        if name == "gateway":
            return self._system.look("gateway").pid
        try:
            holder = link.HolderLink.connect(str(self._system.home.runtime))
        except (wire.HolderError, OSError):
            return None
        try:
            told = holder.call("hello", version=wire.VERSION, role=wire.CLIENT).body
        except (wire.HolderError, OSError):
            return None
        finally:
            holder.close()
        pid = told[{"daemon": "daemon_pid", "holder": "pid", "keeper": "keeper_pid"}[name]]
        return pid if isinstance(pid, int) else None


def after_all(team: Team, *, all_arrived: bool) -> None:
    team.ended_well()
    team.asked_once()
    team.transcripts_are_whole()
    team.counted(all_arrived=all_arrived)


@pytest.mark.parametrize(
    "victims",
    [("holder", "gateway", "daemon"), pytest.param(("daemon", "gateway", "keeper"), marks=pytest.mark.slow)],
    ids=" ".join,
)
def test_at_the_moments_that_matter(team: Team, system: System, victims: tuple[str, ...]) -> None:
    """While two questions are open, answers stream and a message is read; then when an answer was given, not
    heard."""
    dies = Victims(system)
    team.begin()
    numbers = [team.asks(name) for name in ("coder", "other")]
    team.streams()
    for victim in victims[:2]:
        dies.kill(victim)
    assert sorted(question.number for question in team.client.questions()) == sorted(numbers)
    coder = team.agents["coder"].row().pid
    assert coder is not None
    os.kill(coder, signal.SIGSTOP)  # it does not hear it
    try:
        for number in numbers:
            team.client.answer(number, "once")
        dies.kill(victims[2])
    finally:
        os.kill(coder, signal.SIGCONT)
    after_all(team, all_arrived=True)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", range(6))
def test_at_random_moments(team: Team, system: System, seed: int) -> None:
    """Of holder and keeper at most one: with both gone a process has no parent that would know of its end."""
    rng = random.Random(seed)
    dies = Victims(system)
    victims = ["daemon", "daemon", "gateway", "gateway", rng.choice(("holder", "keeper"))]
    rng.shuffle(victims)
    team.begin()
    for victim in victims:
        time.sleep(rng.uniform(0.0, 1.5))  # at any moment: that is what is tested
        dies.kill(victim)
        for question in team.client.questions():
            if rng.random() < 0.4:
                team.client.answer(question.number, "once")
    for name in ("coder", "other"):
        process = team.agents[name]

        def over(process: Any = process) -> bool:
            for question in team.client.questions(process):
                team.client.answer(question.number, "once")
            return process.row().exit is not None

        until(f"{name} ends", over, DEADLINE_S)
    after_all(team, all_arrived=False)
