"""Authority with real processes: what an agent, and what it started, may and may not do."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Supervised

PROGRAM = """
import json, os, secrets, sys
from aish.client import connect, launch
from aish.errors import AishError
from aish.wire.message import *
from aish.wire.reply import *
from aish.wire.part import *
from aish.wire.spec import *
client = connect(start=False)
def spawn(*argv, **fields):
    spec = SpecPart(argv=[os.fsencode(word) for word in argv], cwd=b"/", **fields)
    return client.ask(Started, Spawn(token=secrets.token_hex(16), spec=spec, launch=launch.capture()))
def tried(request):
    try:
        return type(client.request(request)).__name__
    except AishError as error:
        return error.code
"""


def agent(up: Supervised, code: str, **fields: Any) -> Any:
    """What a supervised program prints as JSON on its last line."""
    started = up.spawn(sys.executable, "-c", PROGRAM + code, **{"name": "agent", "kind": "command", **fields})
    assert up.code(started.id) == 0, up.log(started.id)[1]
    return json.loads(up.log(started.id)[0].splitlines()[-1])


def test_an_agent_is_refused_what_is_not_its_own(up: Supervised) -> None:
    """limit, kill, logs, pause of others; and of everything that only the user decides."""
    other = up.spawn("sleep", "62", name="other")
    told = agent(
        up,
        """
words = {}
for request in (Limit(target="other", tokens="1"), Signal(target="other", signal=9), Stop(target="other"),
                Pause(target="other"), Cont(target="other"), Logs(target="other"), Inspect(target="other"),
                Wait(target="other"), Forget(target="other"), Events(target="other"), Attach(target="other"),
                Limit(target="agent", tokens="none"), Cont(target="agent"), Forget(target="agent"),
                KeyNew(name="x"), KeyList(), KeyRevoke(name="x"), UsageQuery(), RequestsQuery(), Doctor(),
                WindowList(), Shutdown(force=True), GatewayHello(pid=os.getpid())):
    words[type(request).__name__ + ":" + getattr(request, "target", "")] = tried(request)
print(json.dumps(words))
""",
    )
    assert set(told.values()) == {"refused"}, told
    row = up.row("other")
    assert (row.state, row.pid, row.budget_tokens) == ("running", other.pid, None)


def test_an_agent_controls_what_it_started(up: Supervised) -> None:
    up.spawn("sleep", "62", name="other")
    told = agent(
        up,
        """
child = spawn("sleep", "62", name="child")
rows = client.ask(View, Snapshot()).processes
words = [client.welcome.caller, [[row.name, row.parent] for row in rows]]
for request in (Inspect(target="child"), Pause(target="child"), Cont(target="child"),
                Signal(target="child", signal=10)):
    words.append(tried(request))
client.request(Wait(target="child"))
words.append(sorted({event.name for event in client.ask(EventList, Events()).events}))
words.append(tried(Logs(target="child")))
words.append(tried(Forget(target="child")))
print(json.dumps(words))
""",
    )
    id_ = up.row("agent").id
    assert told == [
        id_,
        [["agent", None], ["child", id_]],
        "Inspected",
        "Done",
        "Done",
        "Done",
        ["agent", "child"],
        "LogFiles",
        "Done",
    ]


def test_an_agent_gives_no_more_than_it_has(up: Supervised) -> None:
    told = agent(
        up,
        """
def spawned(**fields):
    try:
        return spawn("true", **fields).state
    except AishError as error:
        return error.code
print(json.dumps([spawned(budget_tokens=2000), spawned(budget_tokens=500), spawned(rights="owner"),
                  spawned(kind="model", route=RoutePart(url="http://127.0.0.1:1/v1"))]))
""",
        budget_tokens=1000,
    )
    assert told[0] == "limit"
    assert told[1] in ("running", "exited")
    assert told[2:] == ["refused", "refused"]


def test_a_users_pause_is_not_lifted_by_the_parent(up: Supervised) -> None:
    code = """
import signal
child = spawn("sleep", "62", name="child")
os.write(1, b"up")
signal.sigwait([signal.SIGUSR1])
print(json.dumps([tried(Cont(target="child")), tried(Pause(target="child"))]))
"""
    started = up.spawn(
        sys.executable, "-c", "import signal; signal.pthread_sigmask(0, [10])\n" + PROGRAM + code, name="a"
    )
    up.until("the child is there", lambda: up.log("a")[0] == "up")
    from aish.wire.message import Pause, Signal, Stop

    up.client.request(Pause(target="child"))
    up.client.request(Signal(target="a", signal=10))
    assert up.code(started.id) == 0
    assert json.loads(up.log("a")[0].removeprefix("up")) == ["refused", "Done"]
    assert up.row("child").state == "paused"
    up.client.request(Stop(target="child"))


@pytest.mark.parametrize(
    ("flight", "expected"),
    [
        ("pass", "process"),
        ("os.setsid()", "process"),  # its parent is still there
        ("if os.fork(): os._exit(0)", "process"),  # lost its parent: its session tells
        ("os.setsid()\nif os.fork(): os._exit(0)", "nobody"),
    ],
)
def test_no_escape_by_forking(up: Supervised, tmp_path: Path, flight: str, expected: str) -> None:
    """Leaving session and parents leads to fewer rights, never to the user's."""
    code = (
        "import os, sys, time\n"
        f"result = {str(tmp_path / 'result')!r}\n"
        "if os.fork() == 0:\n"
        "    parent = os.getpid()\n"
        + "".join(f"    {line}\n" for line in flight.splitlines())
        + "    while os.getpid() != parent and os.getppid() == parent: time.sleep(0.005)\n"
        "    import subprocess\n"
        "    code = sys.argv[1]\n"
        "    out = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)\n"
        "    open(result + '.new', 'w').write(out.stdout + out.stderr)\n"
        "    os.rename(result + '.new', result)\n"
        "    os._exit(0)\n"
        "time.sleep(60)\n"
    )
    ask = PROGRAM + (
        "print(json.dumps([client.welcome.caller, tried(Snapshot()), tried(Stop(target='other')),"
        " tried(Doctor()), tried(Inspect(target='agent'))]))"
    )
    up.spawn("sleep", "62", name="other")
    started = up.spawn(sys.executable, "-c", code, ask, name="agent")
    result = tmp_path / "result"
    up.until("it has told", result.exists)
    told = json.loads(result.read_text())
    if expected == "process":
        assert told == [started.id, "View", "refused", "refused", "Inspected"]
    else:
        assert told == [None, "refused", "refused", "refused", "refused"]
    assert up.row("other").state == "running"


def test_the_rights_of_the_owner_are_the_users(up: Supervised) -> None:
    up.spawn("sleep", "62", name="other")
    told = agent(up, "print(json.dumps([tried(Limit(target='other', tokens='5')), tried(Doctor())]))", rights="owner")
    assert told == ["Done", "Findings"]


@pytest.mark.usefixtures("home")
def test_a_new_daemon_knows_the_places_again(up: Supervised) -> None:
    code = "import signal; signal.pthread_sigmask(0, [10]); import os; os.write(1, b'up'); signal.sigwait([10])\n"
    started = up.spawn(
        sys.executable, "-c", code + PROGRAM + "print(json.dumps([client.welcome.caller, tried(Doctor())]))", name="a"
    )
    up.until("it waits", lambda: up.log("a")[0] == "up")
    up.kill_daemon()
    up.next_daemon()
    os.kill(started.pid or 0, 10)
    assert up.code("a") == 0
    assert json.loads(up.log("a")[0].removeprefix("up")) == [started.id, "refused"]
