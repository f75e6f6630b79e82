"""`aish wrapup` on a real daemon and gateway: a last message within a grace, then the stop signal."""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import TYPE_CHECKING

import pytest

from aish.errors import ConflictError, UsageError
from aish.supervisor.daemon.wrapups import MESSAGE
from aish.wire.message import Cont, Limit, Pause, Wait, Wrapup
from aish.wire.reply import Done, Waited
from aish.wire.spec import RestartPart

if TYPE_CHECKING:
    from conftest import Supervised

    from aish.wire.part import ExitPart

ASK = """
import json, os, sys, time, urllib.error, urllib.request
body = json.dumps({"model": "made-up", "max_tokens": 5, "messages": [{"role": "user", "content": "work"}]}).encode()
while True:
    request = urllib.request.Request(os.environ["OPENAI_BASE_URL"] + "/chat/completions", body,
        {"Authorization": "Bearer " + os.environ["OPENAI_API_KEY"], "Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request) as reply:
            print(json.load(reply)["choices"][0]["message"]["content"], flush=True)
    except urllib.error.HTTPError as error:
        print(error.code, flush=True)
        if sys.argv[1:] == ["leaves"]:
            raise SystemExit(3)
        time.sleep(600)
    except OSError:
        time.sleep(0.05)
"""


def held(up: Supervised, *words: str, **more: object) -> str:
    """An agent that its budget holds: made-up's bound for `work` does not fit any more."""
    asker = up.python(ASK, *words, kind="agent", name="asker", budget_tokens=600, **more)
    up.until("it is held", lambda: up.row("asker").state == "over-budget")
    return asker.id


def end(up: Supervised, id: str) -> ExitPart:
    found = up.client.ask(Waited, Wait(target=id, timeout_s=60)).exit
    assert found is not None, up.row(id)
    return found


@pytest.mark.usefixtures("home")
def test_a_held_process_says_what_it_has_and_gets_its_stop_signal(up: Supervised) -> None:
    up.serve("--echo")
    id = held(up, restart="always", restarts=RestartPart(delay_s=0.01))
    before = up.log("asker")[0]
    done = up.home.aish("wrapup", "asker", "--grace", "tokens=2k", "--json")
    assert done.returncode == 0, done.stderr
    (told,) = json.loads(done.stdout)
    assert (told["exit"]["signal"], told["exit"]["reason"]) == (signal.SIGTERM, "wrapup")
    assert up.log("asker")[0] == before + f"to: {MESSAGE}\n402\n"
    row = up.row("asker")
    assert (row.state, row.restarts, row.reason) == ("exited", 0, "it has said its last message")
    kinds = [event.kind for event in up.events() if event.process == id]
    assert kinds.index("wrapup") < kinds.index("released") < kinds.index("stopping")
    (asked,) = [event.text for event in up.events() if event.kind == "wrapup"]
    assert asked == "by the user, within 30s: tokens=2000 requests=1"
    (released,) = [event.text for event in up.events() if event.kind == "released"]
    assert released == "it may say a last message"
    assert "had it wrapped up: it has said its last message." in " ".join(up.home.aish("why", "asker").stdout.split())
    assert up.home.aish("start", "asker").returncode == 0
    up.until("another run is an ordinary one", lambda: up.row("asker").state == "over-budget")


def test_who_ends_by_itself_is_not_started_again(up: Supervised) -> None:
    """That it fails, since nothing more is answered, is no reason for its restart policy."""
    up.serve("--echo")
    id = held(up, "leaves", restart="always", restarts=RestartPart(delay_s=0.01))
    assert up.client.ask(Done, Wrapup(target="asker", message="bye")).changed
    assert not up.client.ask(Done, Wrapup(target="asker")).changed, "it is wrapped up already"
    found = end(up, id)
    assert (found.code, found.reason) == (3, "wrapup")
    assert up.log("asker")[0].endswith("to: bye\n402\n")
    row = up.row("asker")
    assert (row.restarts, row.reason) == (0, "it ended by itself")


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(
    "victim", ["both", *(pytest.param(victim, marks=pytest.mark.slow) for victim in ("daemon", "gateway"))]
)
def test_it_survives_the_daemon_and_the_gateway(up: Supervised, victim: str) -> None:
    up.serve("--echo")
    id = held(up)
    up.client.request(Wrapup(target="asker", message="bye", within_s=60))
    gateway = up.row("gateway").pid
    assert gateway is not None
    if victim in ("gateway", "both"):
        os.kill(gateway, signal.SIGKILL)
    if victim in ("daemon", "both"):
        up.kill_daemon()
        up.next_daemon()
    found = end(up, id)
    assert (found.signal, found.reason) == (signal.SIGTERM, "wrapup")
    log = up.log("asker")[0]
    assert log.endswith("to: bye\n402\n")
    assert log.count("to: bye") <= 2, "one more where the crash took the first one's answer"


@pytest.mark.usefixtures("home")
def test_who_says_nothing_is_stopped_when_the_time_is_over(up: Supervised) -> None:
    """Over the daemon's death, with the time that is left."""
    idle = up.spawn("sleep", "600", name="idle", kind="agent")
    up.client.request(Wrapup(target="idle", within_s=3))
    row = up.row("idle")
    assert (row.state, row.reason) == ("running", "it is asked for its last message, within 3s: requests=1")
    why = up.home.aish("why", "idle").stdout
    assert "It is being wrapped up by the user: its next request to a model is asked for that" in " ".join(
        why.split()
    )
    up.kill_daemon()
    up.next_daemon()
    found = end(up, idle.id)
    assert (found.signal, found.reason) == (signal.SIGTERM, "wrapup")
    assert "it had 3s for its last message" in " ".join(up.home.aish("why", "idle").stdout.split())


ITSELF = """
from aish.client import connect
from aish.wire.message import Wrapup
connect(start=False).request(Wrapup(target="other"))
"""


def test_who_cannot_say_anything_is_refused(up: Supervised) -> None:
    other = up.spawn("sleep", "600", name="other")
    assert up.code(up.spawn(sys.executable, "-c", ITSELF, name="rogue").id) != 0, "a grace is beyond every budget"
    assert up.row("other").reason is None
    up.client.request(Pause(target="other"))
    with pytest.raises(ConflictError, match="it stands still"):
        up.client.request(Wrapup(target="other"))
    up.client.request(Cont(target="other"))
    for wrong in ("wall=5m", "rpm=3", "speed=1", "tokens=5/day"):
        with pytest.raises(UsageError):
            up.client.request(Wrapup(target="other", grace=wrong))
    with pytest.raises(ConflictError, match="asks no models itself"):
        up.client.request(Wrapup(target="gateway"))
    up.client.request(Limit(target="other", nice="5"))
    assert up.row(other.id).lifecycle == "running"


def test_a_stop_goes_first(up: Supervised) -> None:
    idle = up.spawn("sleep", "600", name="idle")
    up.client.request(Wrapup(target="idle", within_s=600))
    assert up.home.aish("stop", "idle").returncode == 0
    found = end(up, idle.id)
    assert found.reason == "cancelled"
    with pytest.raises(ConflictError, match="has ended"):
        up.client.request(Wrapup(target=idle.id))
