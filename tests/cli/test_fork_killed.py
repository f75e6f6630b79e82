"""`aish fork` while somebody is killed with SIGKILL: there is another agent with a worktree, or neither of them, and
what is left of one that was never begun in is told, or gone with the next."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from .person import files, write

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .person import Person

FORK = """
import os, select, sys
from aish.cli.fork import main
from aish.client.connection import Client
from aish.wire.message import Spawn
from aish.worktree.git import Git

left, whom = int(sys.argv[1]), int(sys.argv[2]) or os.getpid()

def step():
    # Before a run of git, before a file gets its name, before and after a question to the supervisor.
    global left
    left -= 1
    if left == -1:
        pidfd = os.pidfd_open(whom)
        os.kill(whom, 9)
        select.select([pidfd], [], [])  # another one is really gone before the next step

def counting(do, after=False):
    def done(*words, **more):
        step()
        found = do(*words, **more)
        if after:
            step()
        return found
    return done

Git._once = counting(Git._once)
os.replace = counting(os.replace)
Client.ask = counting(Client.ask, after=True)
status = main(sys.argv[3:])
print("steps left", left, file=sys.stderr)
sys.exit(status)
"""
CLIENT = 0


def fork(person: Person, step: int, whom: int, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", "-c", FORK, str(step), str(whom), *words],
        cwd=person.repo,
        env=person.home.environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def trees(person: Person) -> dict[str, Any]:
    return {line["name"]: line for line in person.json("land")}


def begun(person: Person, *, commit: bool) -> Any:
    """The agent after a turn that has left a file in its worktree."""
    agent = person.spawn("--worktree", "--budget", "tokens=64k")
    person.ask("@fix", write("shared.txt", "both"), "say 1")
    if commit:
        person.git("add", ".", folder=person.tree("fix"))
        person.git("commit", "-q", "-m", "work of the agent", folder=person.tree("fix"))
    return agent


def of_all(person: Person) -> int:
    return sum(row.budget_tokens or 0 for row in person.home.client.processes() if row.kind == "agent")


@pytest.mark.timeout(600)
@pytest.mark.parametrize("spread", [(5, 40), pytest.param(range(0, 80, 2), marks=pytest.mark.slow)])
def test_the_client_at_any_moment(person: Person, spread: Sequence[int]) -> None:
    agent = begun(person, commit=True)
    source = files(person.tree("fix"))
    seen = set()
    for step in spread:
        name = f"way-{step}x"
        died = fork(person, step, CLIENT, "@fix", "--as", name)
        if died.returncode == 0:
            assert "steps left" in died.stderr
            assert int(died.stderr.split()[-1]) >= 0, died.stderr
            break
        assert died.returncode == -9, died.stderr
        happened = name in {row.name for row in person.home.client.processes()}
        found = trees(person)
        if happened:
            assert found[name]["agents"], found
        elif name in found:
            seen.add(found[name]["state"])
            assert found[name]["state"] in ("half made", "unused"), f"killed at step {step}"
        else:
            seen.add("nothing")
        if not happened:
            person.aish("fork", "@fix", "--as", name)
            assert name in trees(person), f"what step {step} has left is in the way"
        made = files(person.tree(name))
        assert made.keys() == source.keys()
        assert made["shared.txt"] == source["shared.txt"]
        assert of_all(person) == 64_000, "what one has got the other has less"
        person.home.client.stop(name, grace_s=0)
        person.aish("discard", name, "--yes")
        person.home.client.forget(name)
        person.aish("limit", "@fix", "tokens=64000")
    assert seen >= {"nothing", "half made"}, "no kill hit while the worktree was made"
    assert set(trees(person)) <= {"fix", f"way-{step}x"}
    branches = person.git("branch", "--format=%(refname:short)").splitlines()
    assert {each.removeprefix("aish/") for each in branches} == {"main", *trees(person)}, "an orphan"
    assert files(person.tree("fix")) == source
    assert person.ask("@fix", "say 2") == "w0 w1"
    assert agent.row().lifecycle == "running"


@pytest.mark.slow
@pytest.mark.parametrize("commit", [True, False])
def test_the_last_moment_before_there_is_a_process(person: Person, commit: bool) -> None:
    """Files that nobody has committed are in two places then, and nobody can tell which are copies."""
    begun(person, commit=commit)
    for step in range(60, 0, -1):  # the last moment before the process is there
        died = fork(person, step, CLIENT, "@fix", "--as", f"way-{step}x")
        if f"way-{step}x" not in {row.name for row in person.home.client.processes()}:
            break
        person.home.client.stop(f"way-{step}x", grace_s=0)
        person.aish("discard", f"way-{step}x", "--yes")
    assert died.returncode == -9
    assert trees(person)[f"way-{step}x"]["state"] == "unused"
    said = person.home.aish("fork", "@fix", "--as", f"way-{step}x", cwd=person.repo)
    assert said.returncode == 0, said.stderr
    if commit:
        assert f"the worktree way-{step}x, in which nobody has begun, is taken away first" in said.stderr
        assert trees(person).keys() == {"fix", f"way-{step}x"}
        return
    assert f"nobody has begun in the worktree way-{step}x, which has 1 uncommitted file" in said.stderr
    assert trees(person).keys() == {"fix", f"way-{step}x", f"way-{step}x-2"}
    person.aish("discard", f"aish/way-{step}x", "--yes")
    assert trees(person).keys() == {"fix", f"way-{step}x-2"}


def daemon_of(person: Person) -> int:
    (text,) = [each["text"] for each in person.json("doctor") if each["topic"] == "programs"]
    return int(text.partition("daemon ")[2].split()[0].rstrip(":;,"))


@pytest.mark.timeout(600)
@pytest.mark.parametrize("spread", [(40,), pytest.param(range(0, 60, 4), marks=pytest.mark.slow)])
def test_the_daemon_at_any_moment(person: Person, spread: Sequence[int]) -> None:
    """The client asks the next one, with the same token: it is one agent in any case."""
    begun(person, commit=True)
    for step in spread:
        name = f"way-{step}x"
        done = fork(person, step, daemon_of(person), "@fix", "--as", name)
        assert done.returncode == 0, f"killed at step {step}: {done.stderr}"
        rows = [row for row in person.home.client.processes(all=True) if row.name.startswith(name)]
        assert len(rows) == 1, f"killed at step {step}"
        assert trees(person).keys() == {"fix", name}, f"killed at step {step}"
        assert of_all(person) == 64_000
        person.home.client.stop(name, grace_s=0)
        person.aish("discard", name, "--yes")
        person.home.client.forget(name)
        person.aish("limit", "@fix", "tokens=64000")


@pytest.mark.timeout(600)
@pytest.mark.parametrize("spread", [pytest.param(range(0, 60, 9), marks=pytest.mark.slow)])
def test_the_host_of_the_first_at_any_moment(person: Person, spread: Sequence[int]) -> None:
    """What it has said so far is kept; whether it lives has nothing to do with the other one."""
    agent = person.spawn("--worktree", "--restart", "on-failure", "--restart-limit", "none")
    person.ask("@fix", write("shared.txt", "both"), "say 1")
    for step in spread:
        name = f"way-{step}x"
        while (pid := agent.row().pid) is None or agent.row().state != "idle":
            assert agent.row().lifecycle in ("queued", "starting", "running", "backoff")
        done = fork(person, step, pid, "@fix", "--as", name)
        assert done.returncode == 0, f"killed at step {step}: {done.stderr}"
        assert person.ask(name, "say 3") == "w0 w1 w2"
        assert (person.tree(name) / "shared.txt").read_text() == "both"
        person.home.client.stop(name, grace_s=0)
        person.aish("discard", name, "--yes")
    assert person.ask("@fix", "say 2") == "w0 w1"
    assert trees(person).keys() == {"fix"}
