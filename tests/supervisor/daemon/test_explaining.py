"""`Why` of real processes: what really happened is told, over a daemon's death and to the right ones."""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING

import pytest

from aish.errors import NotFoundError
from aish.wire.message import Label, Limit, Pause, Signal, Stop, Why
from aish.wire.reply import Done, Explained
from aish.wire.spec import LimitPart, NeedPart, ProbePart, RestartPart, SecretPart

from .test_gpus import cards, sleeper

if TYPE_CHECKING:
    from conftest import Supervised

pytestmark = pytest.mark.slow
"""Many processes each: some half a minute together. `./dev soak` runs them."""

NEVER = RestartPart(delay_s=600.0, longest_s=600.0)


def why(up: Supervised, target: str) -> Explained:
    return up.client.ask(Explained, Why(target=target))


def rules(found: Explained) -> list[str]:
    return [cause.rule for cause in found.causes]


@pytest.mark.usefixtures("home")
def test_the_chain_of_needs_is_followed_to_the_gpu(up: Supervised) -> None:
    cards(up, 24)
    sleeper(up, 20, name="big")
    sleeper(up, 16, name="db")
    up.spawn("true", name="web", needs=[NeedPart(name="db")])
    up.spawn("true", name="front", needs=[NeedPart(name="web")])
    told = why(up, "front").paragraph
    assert "It waits for web, which is queued itself. web itself waits for db, which is queued itself." in told
    assert "db wants 16G of a GPU; GPU 0 has 4.0G of 24G free. There big (p1) has 20G." in told
    sleeper(up, 16, name="late")
    late = why(up, "late")
    assert rules(late)[:2] == ["gpu", "behind"]
    assert "db (p2) is before it in the queue" in late.paragraph
    assert any((line.source, line.text) == ("gpu", "GPU 0: big (p1) has 20G") for line in late.evidence)


@pytest.mark.usefixtures("home")
def test_sigkill_from_outside_is_told_as_that_and_a_week_later(up: Supervised) -> None:
    """Also by the next daemon, whose ring is empty: what was seen at that moment is in the journal."""
    started = up.spawn("sleep", "60", name="nap")
    assert started.pid is not None
    os.kill(started.pid, signal.SIGKILL)
    up.wait("nap")
    up.kill_daemon()
    up.next_daemon()
    found = why(up, "nap")
    first = rules(found)[0]
    assert first in ("outside", "memory-pressure", "machine-oom"), "what the machine did meanwhile decides"
    assert any(line.text.startswith("struck ") for line in found.evidence)
    assert [event.kind for event in up.events() if event.process == started.id] == [
        "created",
        "started",
        "struck",
        "exited",
    ]


def test_a_signal_through_us_has_its_sender(up: Supervised) -> None:
    up.spawn("sleep", "60", name="nap")
    up.client.ask(Done, Signal(target="nap", signal=signal.SIGKILL))
    up.wait("nap")
    assert "It was sent SIGKILL by the user." in why(up, "nap").paragraph
    up.spawn("sleep", "60", name="other")
    up.client.ask(Done, Stop(target="other"))
    up.wait("other")
    assert "It was stopped by the user." in why(up, "other").paragraph
    assert not [event for event in up.events() if event.kind == "struck"]


def test_a_program_that_is_not_there(up: Supervised) -> None:
    up.spawn("/no/such/program", name="bad")
    found = why(up, "bad")
    assert rules(found)[0] == "start"
    assert "It never ran: the program cannot be run: No such file or directory." in found.paragraph
    assert "The program is /no/such/program." in found.paragraph


def test_a_secret_that_cannot_be_had(up: Supervised) -> None:
    """Nothing explained it, while the reason stood in the lines below."""
    up.spawn("true", name="file", secret_sources={"T": SecretPart(file=b"/none/such")})
    up.wait("file")
    assert rules(why(up, "file"))[0] == "secret"
    assert "It was not started: its secret T cannot be had from file:/none/such" in why(up, "file").paragraph
    line = SecretPart(command=[b"sh", b"-c", b"echo the safe is shut >&2; exit 3"])
    up.spawn("true", name="line", secret_sources={"T": line}, restart="on-failure", restarts=NEVER)
    up.until("it has been tried", lambda: up.row("line").state == "backoff")
    found = why(up, "line")
    assert rules(found)[:2] == ["secret", "backoff"]
    assert "the safe is shut" in [each.text for each in found.evidence if each.source == "log"]


def test_hooks_and_checks(up: Supervised) -> None:
    up.spawn("true", name="hooked", before=[b"sh", b"-c", b"echo no disk >&2; exit 4"])
    up.wait("hooked")
    told = why(up, "hooked").paragraph
    assert "It was not started: its hook before the start ended with 4; its output is in the log." in told
    assert '"no disk"' in told
    up.spawn("true", name="checked", check=[b"false"])
    up.wait("checked")
    assert rules(why(up, "checked"))[0] == "check"
    up.spawn("true", name="afterwards", after=[b"sh", b"-c", b"exit 5"])
    up.wait("afterwards")
    up.until("the hook has failed", lambda: "hook-failed" in {event.kind for event in up.events()})
    assert "hook-after" in rules(why(up, "afterwards"))


def test_a_traceback_and_the_wait_for_the_next_try(up: Supervised) -> None:
    code = "import sys; sys.stderr.write('\\x1b[31mhello\\x1b[0m\\n'); raise ValueError('bad shape')"
    up.python(code, name="loop", restart="on-failure", restarts=NEVER)
    up.until("it has failed twice", lambda: [event.kind for event in up.events()].count("ended") == 2)
    assert (up.row("loop").state, up.row("loop").restarts) == ("backoff", 1), "it waits for its second restart"
    found = why(up, "loop")
    assert rules(found)[:2] == ["traceback", "backoff"]
    assert 'The last line of its stderr is "ValueError: bad shape".' in found.paragraph
    assert "starts it again in" in found.paragraph
    assert "hello" in [line.text for line in found.evidence if line.source == "log"]


def test_a_probe_and_a_run_that_follows_it(up: Supervised) -> None:
    """Why it restarts is told while it runs again, by the words of the run before."""
    probe = ProbePart(command=[b"sh", b"-c", b"test ! -e sick"], every_s=0.02, failures=1)
    script = "echo words of $$ >&2; touch up; exec sleep 60"
    up.spawn("sh", "-c", script, name="web", live=probe, restart="always", restarts=RestartPart(delay_s=0.01))
    up.until("it wrote", (up.home.root / "up").exists)
    first = up.row("web").pid
    (up.home.root / "sick").touch()
    up.until("it is ended", lambda: up.row("web").pid not in (first, None))
    (up.home.root / "sick").unlink()
    up.until("it is well", lambda: up.row("web").state == "running" and up.row("web").pid is not None)
    found = why(up, "web")
    assert "probe" in rules(found)
    assert "started again" in found.paragraph
    assert "its probe failed" in found.paragraph


def test_paused_and_by_whom(up: Supervised) -> None:
    up.spawn("sleep", "60", name="nap")
    up.client.ask(Done, Pause(target="nap"))
    assert "It stands still: the user paused it" in why(up, "nap").paragraph


def test_over_its_limit_of_memory(up: Supervised) -> None:
    code = "import time; x = bytearray(256 << 20); x[::4096] = b'x' * len(x[::4096]); time.sleep(300)"
    up.python(code, name="greedy", limits=LimitPart(memory_bytes=64 << 20))
    up.wait("greedy")
    found = why(up, "greedy")
    assert rules(found)[0] == "own-oom"
    assert "64M" in found.paragraph


def test_stopped_between_two_runs_tells_why_there_were_two(up: Supervised) -> None:
    """What had ended its runs was hidden by the stop."""
    up.python("raise ValueError('bad shape')", name="loop", restart="on-failure", restarts=NEVER)
    up.until(
        "it waits for its second restart", lambda: up.row("loop").restarts == 1 and up.row("loop").state == "backoff"
    )
    up.client.ask(Done, Stop(target="loop"))
    up.wait("loop")
    found = why(up, "loop")
    assert "It was stopped by the user while it waited for its next run. Its last run ended" in found.paragraph
    assert "with status 1, after it had run for" in found.paragraph
    assert "a Python exception ended it." in found.paragraph
    assert {"stopped", "traceback"} <= set(rules(found))


def test_what_runs_well_says_so_and_what_it_costs(up: Supervised) -> None:
    up.spawn("sleep", "60", name="nap")
    found = why(up, "nap")
    assert {"fine", "cost"} <= set(rules(found))
    assert "has been running for" in found.paragraph
    assert found.knows_from_s is not None


def test_what_began_since_the_last_look_has_its_figures_too(up: Supervised) -> None:
    """A sample was good enough for 0.2 s, also for what it did not know: every other new process had used nothing."""
    for name in ("one", "two", "three"):
        up.spawn("sleep", "60", name=name)
        assert "cost" in rules(why(up, name)), name
        row = next(part for part in up.view().processes if part.name == name)
        assert row.rss_bytes is not None


def test_its_changes_are_among_the_evidence(up: Supervised) -> None:
    up.spawn("sleep", "60", name="nap")
    up.client.ask(Done, Limit(target="nap", nice="5"))
    up.client.ask(Done, Label(target="nap", set={"a": "b"}))
    texts = [line.text for line in why(up, "nap").evidence]
    assert any(text.startswith("limited by the user") for text in texts)
    assert any("a=b" in text for text in texts)


def test_a_process_may_ask_about_itself_and_learns_nothing_of_others(up: Supervised) -> None:
    up.spawn("sleep", "60", name="db", ready=ProbePart(pattern="up"))
    inner = (
        "aish spawn --name inside --needs db -- true >/dev/null; aish why inside; "
        "aish why db 2>&1; aish why asker --json"
    )
    asks = f'aish() {{ {sys.executable} -m aish "$@"; }}; {inner}'
    up.spawn("sh", "-c", asks, name="asker")
    up.wait("asker", timeout_s=60)
    out, err = up.log("asker")
    assert "It waits for db, which is not ready yet." in " ".join(out.split()), err
    assert "refused" in out
    assert '"name": "asker"' in out


def test_nobody_of_that_name(up: Supervised) -> None:
    with pytest.raises(NotFoundError):
        why(up, "nobody")
