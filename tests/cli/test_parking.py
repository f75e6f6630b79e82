"""Agents that end for a while when a usage window is reserved for others, and go on when it has room: a real daemon,
gateway and built-in agent, and a scripted server that tells of windows in its headers.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from aish.client import connect
from aish.errors import AishError
from aish.plugins.simprovider.server import LLAMACPP
from aish.plugins.simprovider.thread import Running
from aish.supervisor.daemon.parking import PARK_LEAST_S
from aish.supervisor.holder import link, wire
from aish.wire.message import Events
from aish.wire.reply import EventList

from .person import Person

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from conftest import Home

    from aish.plugins.simprovider.server import Provider
    from aish.wire.part import ProcessPart

DEADLINE_S = 60.0
HEAD = "tools: [shell]\npermissions: allow\nwhen_reserved: park\n"
ASKS = HEAD.replace("allow", "ask")
USED = "anthropic-ratelimit-unified-7d-utilization"
DAYS_S = 3 * 86400.0
# By the protocol's own words: a server that needs no library.
SERVER = """
import json, sys
for line in sys.stdin:
    asked = json.loads(line)
    method, params = asked.get("method"), asked.get("params") or {}
    if method == "initialize":
        result = {"protocolVersion": params["protocolVersion"], "capabilities": {"tools": {}},
                  "serverInfo": {"name": "sums", "version": "1"}}
    elif method == "tools/list":
        schema = {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}}
        result = {"tools": [{"name": "add", "description": "Adds.", "inputSchema": schema}]}
    elif method == "tools/call":
        total = params["arguments"]["a"] + params["arguments"]["b"]
        result = {"content": [{"type": "text", "text": str(total)}]}
    elif "id" in asked:
        error = {"code": -32601, "message": "no"}
        print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "error": error}), flush=True)
        continue
    else:
        continue
    print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": result}), flush=True)
"""


def until(what: str, found: Callable[[], Any]) -> Any:
    end_s = time.monotonic() + DEADLINE_S
    while not (value := found()):
        assert time.monotonic() < end_s, what
        time.sleep(0.03)
    return value


class Park(Person):
    """A person with an agent that parks, one that asks, too, and a subscription."""

    provider: Provider
    front: dict[str, str]

    def week(self, used: float, ends_in_s: float | None = DAYS_S) -> None:
        """So much of the week is used, from the next answer on. None: nobody tells when it begins anew."""
        told = {USED: str(used), "anthropic-ratelimit-unified-7d-status": "allowed"}
        if ends_in_s is not None:
            told["anthropic-ratelimit-unified-7d-reset"] = f"{time.time() + ends_in_s:.0f}"
        self.provider.told = told

    def tell(self, used: float, ends_in_s: float | None = DAYS_S) -> None:
        """The same, and by an answer to somebody in front it is known at once."""
        self.week(used, ends_in_s)
        body = {"model": "sub", "messages": [{"role": "user", "content": "say 1"}]}
        url = f"{self.front['base_url']}/chat/completions"
        headers = {"Authorization": f"Bearer {self.front['key']}", "Content-Type": "application/json"}
        with urllib.request.urlopen(
            urllib.request.Request(url, json.dumps(body).encode(), headers), timeout=60
        ) as got:
            assert got.status == 200

    def reserve(self) -> None:
        self.aish("window", "set", "sub", "reserve=40%")

    def room(self) -> None:
        """Until it is heard: the gateway may just have been killed."""
        until("the rule is gone", lambda: self.home.aish("window", "unset", "sub").returncode == 0)

    def refused(self, *words: str) -> str:
        done = self.home.aish(*words, cwd=self.repo, input="")
        assert done.returncode not in (0, 1), (done.stdout, done.stderr)
        assert "Traceback" not in done.stderr
        return done.stderr

    def state(self, agent: Any, word: str) -> Any:
        return until(f"{agent.id} is {word}", lambda: agent.row() if agent.row().state == word else None)

    def task(self, agent: Any, log: Path, wait: str = "parked") -> int:
        """A message of two requests: between them it writes a line."""
        number = self.json("send", agent.id, f"{shell(f'echo line >> {log}')} then say 3")["number"]
        if wait:
            self.state(agent, wait)
        return int(number)

    def idle(self, *options: str, agent: str = "@fix") -> Any:
        """Spawned, and waiting for messages."""
        process = self.home.client.process(self.json("spawn", *options, "--", agent)["id"])
        self.state(process, "idle")
        return process

    def parked(self, *options: str, log: str = "log") -> Any:
        """An agent in the middle of a message, parked by three days of the week."""
        agent = self.idle(*options)
        self.reserve()
        self.week(0.9)
        self.task(agent, self.home.root / log)
        return agent

    def mail(self, agent: Any) -> Any:
        return self.json("mail", agent.id)[-1]

    def answered(self, agent: Any) -> Any:
        return until("it is answered", lambda: found if (found := self.mail(agent))["state"] == "answered" else None)

    def kinds(self, agent: Any) -> list[str]:
        return [event.kind for event in self.home.client.events(names=[agent.id])]

    def asked(self) -> list[int]:
        """Of each request of a conversation: how many results of tools the model saw."""
        chats = [each for each in self.provider.requests if each.path.endswith("/chat/completions")]
        return [sum(message["role"] == "tool" for message in chat.fields["messages"]) for chat in chats]

    def pid(self, name: str) -> int:
        return int(self.json("inspect", "gateway")["process"]["pid"] if name == "gateway" else self.programs()[name])

    def another_client(self) -> None:
        """That of before was of a daemon that is gone."""
        self.home.client.close()
        self.home._client = None

    def programs(self) -> dict[str, int]:
        holder = link.HolderLink.connect(str(self.home.runtime))
        try:
            told = holder.call("hello", version=wire.VERSION, role=wire.CLIENT).body
        finally:
            holder.close()
        return {"daemon": told["daemon_pid"], "holder": told["pid"]}


def end(pid: int) -> None:
    """SIGKILL, until it is gone."""
    pidfd = os.pidfd_open(pid)
    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    assert select.select([pidfd], [], [], DEADLINE_S)[0]
    os.close(pidfd)


def shell(command: str) -> str:
    return "call shell " + json.dumps({"command": command})


@pytest.fixture(scope="module")
def subscription(module_home: Home) -> Iterator[Provider]:
    running = Running(engine=LLAMACPP, address="127.0.0.2")
    try:
        done = module_home.aish("model", "serve", "sub", "--url", running.url)
        assert done.returncode == 0, done.stderr
        yield running.provider
    finally:
        running.stop()


@pytest.fixture(scope="module")
def front(module_home: Home) -> dict[str, str]:
    """Of somebody in front: named keys are."""
    found: dict[str, str] = json.loads(module_home.aish("key", "new", "front", "--json").stdout)
    return found


@pytest.fixture
def park(subscription: Provider, front: dict[str, str], shared_home: Home) -> Iterator[Park]:
    shared_home.environ["AISH_MODEL"] = "sub"
    person = Park(shared_home, HEAD)
    (person.repo / ".aish" / "agents" / "asks.md").write_text(f"---\n{ASKS}---\nDo what is asked.")
    person.provider, person.front = subscription, front
    person.tell(0.1)
    subscription.requests.clear()
    yield person
    person.room()


def test_a_turn_in_its_middle_is_parked_and_goes_on_there(park: Park) -> None:
    """A week's reserve: the agent's processes are gone, and nothing of its turn is done, asked or lost twice."""
    agent = park.idle("--worktree", "--budget", "100k", agent="@asks")
    park.reserve()
    park.week(0.9)
    pid, log = agent.row().pid, park.home.root / "log"
    number = park.task(agent, log, wait="needs-input")
    park.aish("answer", agent.id, "allow")
    row = park.state(agent, "parked")
    assert not os.path.exists(f"/proc/{pid}"), "its memory is not given back"
    assert (row.pid, row.holds, row.rss_bytes) == (None, [], None)
    parked = row.parked
    assert (parked.owner, parked.what, parked.used, parked.budget) == ("window:sub/7d", "window_reserve", 0.9, 0.6)
    assert parked.until_s - time.time() == pytest.approx(DAYS_S, abs=60)
    assert 0 <= time.time() - parked.since_s < DEADLINE_S
    said = "90% of the window sub/7d is used, and what is above 60% is reserved until "
    assert said in park.aish("ps")
    assert "parked       by sub/7d, since " in park.aish("inspect", agent.id)
    why = " ".join(park.aish("why", agent.id).split())
    assert "has been parked for" in why
    assert "It goes on by itself in 3 days at the latest; `aish cont asks` lets it go on now." in why
    assert f"{agent.id} (parked)" in park.aish("usage", "--windows")
    assert f"{agent.id} (parked)" in park.aish("window", "show", "sub")
    assert park.mail(agent)["state"] == "waiting"
    used = until("its request is settled", lambda: agent.row().tokens)
    park.room()
    found = park.answered(agent)
    assert (found["number"], found["answer"], found["status"]) == (number, "w0 w1 w2", 0)
    assert log.read_text() == "line\n", "what was done was done again"
    assert park.asked() == [0, 1], "the same request was made twice"
    assert park.kinds(agent).count("asked") == 1, "a person was asked twice"
    tail = [
        kind for kind in park.kinds(agent) if kind in ("parking", "parked", "unparked", "started", "mail-answered")
    ]
    assert tail == ["started", "parking", "parked", "unparked", "started", "mail-answered"]
    after = until("and the next", lambda: row if (row := agent.row()).tokens.output > used.output else None)
    assert after.tokens.input > used.input, "its counts began anew"
    assert (after.parked, after.restarts, after.name) == (None, 0, "asks")
    assert park.tree("asks").is_dir()
    runs = park.json("inspect", "--history", agent.id)["runs"]
    over = next(run for run in runs if run["exit"] is not None)
    assert (over["exit"]["reason"], over["ended_by"]) == ("parked", "a usage window")


@pytest.mark.slow
def test_two_at_once_one_with_its_task_as_words_go_on_once_each_after_the_daemon_is_killed(park: Park) -> None:
    """A run that has its prompt as words begins it anew at each start, unless it was parked in its middle."""
    park.reserve()
    logs = [park.home.root / name for name in ("first", "second")]
    first = park.idle("--name", "first")
    words = f"{shell(f'echo line >> {logs[1]}')} then say 4"
    second = park.home.client.process(park.json("spawn", "--name", "second", "--", "@asks", words)["id"])
    park.state(second, "needs-input")
    park.week(0.9)
    park.task(first, logs[0])
    park.aish("answer", second.id, "allow")
    park.state(second, "parked")
    end(park.pid("daemon"))
    park.another_client()
    assert {first.row().state, second.row().state} == {"parked"}
    park.room()
    assert second.wait(timeout_s=DEADLINE_S).code == 0
    assert park.answered(first)["answer"] == "w0 w1 w2"
    assert [log.read_text() for log in logs] == ["line\n", "line\n"]
    assert (park.kinds(second).count("asked"), park.kinds(second).count("unparked")) == (1, 1)
    assert "w0 w1 w2 w3" in park.aish("logs", second.id)


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("name", ["daemon", "holder", "gateway"])
def test_whoever_is_killed_at_any_step_it_goes_on_exactly_once(park: Park, name: str) -> None:
    agent = park.idle()
    for at in ("parking", "stopping", "parked", "unparked", "started"):
        park.tell(0.1)
        park.reserve()
        park.week(0.9)
        log = park.home.root / f"{name}-{at}"
        since = list(park.home.client.events(names=[agent.id]))[-1].number
        killer = threading.Thread(target=kill_at, args=(park, agent, at, since, name), daemon=True)
        park.task(agent, log, wait="")
        killer.start()
        until("it is parked", partial(was_parked, park, agent, since))
        park.room()
        killer.join(DEADLINE_S)
        assert not killer.is_alive(), f"there was no event {at}"
        park.another_client()
        found = park.answered(agent)
        assert (found["answer"], found["status"]) == ("w0 w1 w2", 0), at
        assert log.read_text() == "line\n", at
        assert kinds_since(park, agent, since).count("mail-answered") == 1, at


def was_parked(park: Park, agent: Any, since: int) -> bool:
    return "parked" in kinds_since(park, agent, since)


def kinds_since(park: Park, agent: Any, since: int) -> list[str]:
    """By a connection of its own, since whom it asks may just have been killed: then nothing is known yet."""
    try:
        with connect(program="test", start=False) as client:
            found = client.ask(EventList, Events(since=since)).events
    except AishError:
        return []
    return [each.kind for each in found if each.process == agent.id]


def kill_at(park: Park, agent: Any, kind: str, since: int, name: str) -> None:
    """As soon as that has happened."""
    pid = park.pid(name)
    end_s = time.monotonic() + DEADLINE_S
    while kind not in kinds_since(park, agent, since):
        assert time.monotonic() < end_s
    end(pid)


@pytest.mark.slow
def test_its_mcp_servers_go_with_it_and_come_again(park: Park) -> None:
    """Days of a server that nobody asks are what parking is to spare."""
    (park.repo / "server.py").write_text(SERVER)
    entry = {"command": sys.executable, "args": [str(park.repo / "server.py")]}
    (park.repo / ".mcp.json").write_text(json.dumps({"mcpServers": {"sums": entry}}))
    head = "mcp_servers: .mcp.json\npermissions: allow\nwhen_reserved: park\n"
    (park.repo / ".aish" / "agents" / "adds.md").write_text(f"---\n{head}---\nDo what is asked.")
    agent = park.idle("--name", "adds", agent="@adds")
    park.reserve()
    park.week(0.9)
    steps = [f"call sums_add {json.dumps({'a': 2, 'b': b})}" for b in (3, 4)]
    park.aish("send", agent.id, " then ".join([*steps, "say 2"]))
    park.state(agent, "parked")
    before = servers(park, agent)
    assert [row.lifecycle for row in before] == ["exited"]
    assert not any(os.path.exists(f"/proc/{row.pid}") for row in before)
    park.room()
    assert park.answered(agent)["answer"] == "w0 w1"
    assert len(servers(park, agent)) == 2
    results = [entry["text"] for entry in park.entries(agent.id) if entry["kind"] == "result"]
    assert results == ["5", "6"]


def servers(park: Park, agent: Any) -> list[ProcessPart]:
    rows = park.home.client.processes(all=True)
    return [row for row in rows if row.parent == agent.id]


@pytest.mark.slow
def test_a_rule_that_goes_while_it_is_being_parked_lets_it_go_on(park: Park) -> None:
    agent = park.idle()
    park.reserve()
    park.week(0.9)
    log = park.home.root / "log"
    park.task(agent, log, wait="")
    until("it is being parked", lambda: agent.row().parked)
    park.room()
    assert park.answered(agent)["answer"] == "w0 w1 w2"
    assert log.read_text() == "line\n"


@pytest.mark.slow
def test_a_stop_while_it_is_being_parked_or_is_parked_is_final(park: Park) -> None:
    agent = park.idle("--name", "one")
    park.reserve()
    park.week(0.9)
    park.task(agent, park.home.root / "log", wait="")
    until("it is being parked", lambda: agent.row().parked)
    park.aish("stop", agent.id)
    end = agent.wait(timeout_s=DEADLINE_S)
    assert end.reason == "cancelled"
    assert agent.row().state == "exited"
    assert (park.mail(agent)["state"], agent.row().parked) == ("returned", None)
    other = park.parked("--name", "two", log="other")
    asking = park.home.popen("ask", other.id, "say 9", cwd=park.repo, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    until("it waits", lambda: len(park.json("mail", other.id)) == 2)
    park.aish("kill", other.id)
    assert other.row().state == "exited"
    out, err = asking.communicate(timeout=DEADLINE_S)
    assert asking.returncode != 0
    assert b"two" in err, (out, err)
    park.room()
    assert other.row().state == "exited", "it came to life again"


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["cont", "switch"])
def test_what_a_person_says_while_it_is_being_parked_counts_when_it_is(park: Park, verb: str) -> None:
    """Its end takes a while (who sends the signal stands still): it is neither here nor parked then, and the word was
    lost."""
    agent = park.idle()
    park.reserve()
    park.week(0.9)
    log, holder = park.home.root / verb, park.pid("holder")
    os.kill(holder, signal.SIGSTOP)
    try:
        number = park.task(agent, log, wait="stopping")
        park.aish(verb, agent.id, *(("--model", "sub") if verb == "switch" else ()))
        assert agent.row().state == "stopping", "it was over: nothing is shown"
    finally:
        os.kill(holder, signal.SIGCONT)
    until("it goes on", lambda: "unparked" in park.kinds(agent))
    if verb == "switch":  # that model has the same window
        park.room()
    found = park.answered(agent)
    assert (found["number"], found["answer"]) == (number, "w0 w1 w2")
    assert log.read_text() == "line\n"


@pytest.mark.slow
def test_a_run_of_words_that_was_killed_begins_anew_and_one_that_is_parked_by_sigint_does_not(park: Park) -> None:
    """What was killed left the middle of its turn, and the next run went on with it, whatever its words were; a host
    that is ended by SIGINT tells of a turn that was cancelled."""
    log = park.home.root / "log"
    words = f"{shell(f'echo line >> {log}')} then say 4"
    park.reserve()
    park.week(0.9)
    agent = park.home.client.process(park.json("spawn", "--stop-signal", "INT", "--", "@fix", words)["id"])
    park.state(agent, "parked")
    park.room()
    assert agent.wait(timeout_s=DEADLINE_S).code == 0
    assert log.read_text() == "line\n", "it began anew"
    park.tell(0.1)
    park.reserve()
    park.week(0.9)
    park.aish("start", agent.id)
    park.state(agent, "parked")
    assert log.read_text() == "line\n" * 2
    park.aish("kill", agent.id)
    park.room()
    park.aish("start", agent.id)
    assert agent.wait(timeout_s=DEADLINE_S).code == 0
    assert log.read_text() == "line\n" * 3, "it went on with what was killed"


@pytest.mark.slow
def test_what_a_person_may_do_with_one_that_is_parked(park: Park) -> None:
    agent = park.parked()
    assert "is parked" in park.refused("wrapup", agent.id)
    park.aish("limit", agent.id, "tokens=50k")
    park.aish("pause", agent.id)
    park.room()
    time.sleep(1)  # nothing is to happen: there is no event for that
    assert agent.row().state == "parked", "a person's pause does not count"
    park.reserve()
    park.aish("cont", agent.id)
    assert (agent.row().state, agent.row().holds) == ("parked", [])
    park.aish("cont", agent.id)
    assert park.answered(agent)["answer"] == "w0 w1 w2", "the person's word does not count"
    assert park.ask(agent.id, "say 4") == "w0 w1 w2 w3", "only for one request"
    assert agent.row().budget_tokens == 50_000
    park.aish("restart", agent.id)
    park.state(agent, "idle")
    park.aish("window", "set", "sub", "reserve=none", "share.@fix=0%")
    park.task(agent, park.home.root / "again")
    assert "has used its share of sub/7d" in park.refused("cont", agent.id)


@pytest.mark.slow
@pytest.mark.timeout(200)
@pytest.mark.parametrize("killed", [("gateway", "daemon", "gateway"), ("holder", "gateway", "daemon")])
def test_many_that_are_parked_and_woken_together_go_on_once_each_whoever_is_killed(
    park: Park, killed: tuple[str, str, str]
) -> None:
    """One window holds them all, so all begin at once when it has room: no more than ran at once before."""
    agents = [park.idle("--name", f"of-many-{number}") for number in range(6)]
    logs = [park.home.root / agent.id for agent in agents]
    park.reserve()
    park.week(0.9)
    for agent, log in zip(agents, logs, strict=True):
        park.task(agent, log, wait="")
    until("one is being parked", lambda: any(agent.row().parked for agent in agents))
    end(park.pid(killed[0]))
    park.another_client()
    agents = [park.home.client.process(agent.id) for agent in agents]
    for agent in agents:
        park.state(agent, "parked")
    since = list(park.home.client.events())[-1].number
    park.room()
    until("one is woken", lambda: any("unparked" in kinds_since(park, agent, since) for agent in agents))
    for name in killed[1:]:
        end(park.pid(name))
    park.another_client()
    agents = [park.home.client.process(agent.id) for agent in agents]
    for agent, log in zip(agents, logs, strict=True):
        found = park.answered(agent)
        assert (found["answer"], found["status"]) == ("w0 w1 w2", 0)
        assert log.read_text() == "line\n"
        assert kinds_since(park, agent, since).count("mail-answered") == 1


@pytest.mark.slow
def test_a_window_that_is_full_all_the_same_parks_it_again(park: Park) -> None:
    """Nobody knows how full a window is after it has begun anew: the vendor's word that nothing is left, which is one
    to come again in hours, ended the turn of whoever was woken; and so did the rest that the server has then."""
    agent = park.idle()
    park.reserve()
    park.week(0.9)
    log = park.home.root / "log"
    words = f"{shell(f'echo line >> {log}')} then say 3 fault status-429-hours first 1"
    number = park.json("send", agent.id, words)["number"]
    park.state(agent, "parked")
    park.tell(0.1)
    park.week(1.0)
    park.provider.told[USED.replace("utilization", "status")] = "rejected"
    until("it was woken", lambda: "unparked" in park.kinds(agent))
    until("it is parked again", lambda: park.kinds(agent).count("parked") == 2)
    end(park.pid("gateway"))  # a new one has not heard that the server wants to be left alone
    park.tell(0.1)
    found = park.answered(agent)
    assert (found["number"], found["answer"], found["status"]) == (number, "w0 w1 w2", 0)
    assert log.read_text() == "line\n"


@pytest.mark.slow
def test_a_short_hold_is_one_and_is_parked_where_it_becomes_longer(park: Park) -> None:
    agent = park.idle()
    park.reserve()
    park.tell(0.9, PARK_LEAST_S - 20)
    park.task(agent, park.home.root / "log", wait="over-budget")
    assert "parking" not in park.kinds(agent)
    park.tell(0.9)
    park.state(agent, "parked")


@pytest.mark.slow
def test_without_its_environment_it_waits_for_another_one(park: Park) -> None:
    """After the machine was started anew: the conversation is on the disk, what it was started with was not."""
    agent = park.parked()
    for path in (park.home.runtime / "environ").iterdir():
        if path.name.startswith(agent.id):
            path.unlink()
    end(park.pid("daemon"))
    park.another_client()
    park.room()
    row = until("it is told", lambda: row if "aish start" in ((row := agent.row()).reason or "") else None)
    assert (row.state, row.parked.stranded) == ("parked", True)
    assert "cannot go on yet" in park.refused("cont", agent.id)
    park.aish("start", agent.id)
    assert park.answered(agent)["answer"] == "w0 w1 w2"


def test_what_cannot_go_on_later_is_refused_at_once(shared_home: Home) -> None:
    person = Park(shared_home, "when_reserved: park\n")
    assert "fix.md:2" in (said := person.refused("spawn", "--", "@fix", "x")), said
    assert "keeps no conversation" in said
    said = person.refused("spawn", "--when-reserved", "park", "--", "sleep", "1")
    assert "--when-reserved" in said
    assert "a command keeps no conversation" in said
    (person.repo / ".aish" / "agents" / "fix.md").write_text("---\nadapter: aider\nwhen_reserved: park\n---\nx")
    assert "aider keeps no conversation" in person.refused("spawn", "--", "@fix", "x")
    (person.repo / "aish.toml").write_text('[services.a]\ncommand = ["sleep", "1"]\nwhen_reserved = "park"\n')
    assert "aish.toml" in (said := person.refused("up")), said
    assert "keeps no conversation" in said
