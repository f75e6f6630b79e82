"""Sandboxes of supervised processes: they are around all that is started, and none is widened from inside."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from aish.errors import InputError, UnavailableError
from aish.model.sandbox import BWRAP, NONE, PROFILES
from aish.sandbox import tier, told
from aish.sandbox.outlets import Outlets
from aish.supervisor.daemon.row import Row
from aish.supervisor.daemon.sandboxes import Sandboxes
from aish.wire.message import Cont, Pause, Signal, Stop
from aish.wire.reply import Done
from aish.wire.sandbox import SandboxPart
from aish.wire.spec import LimitPart, ProbePart, SpecPart
from tests.supervisor.daemon.sandboxed import CLOSED, CONNECT, Sandboxed

if TYPE_CHECKING:
    from conftest import Supervised

HELD = tier.here()
pytestmark = pytest.mark.skipif(HELD.tier == NONE, reason=f"no sandbox holds here: {HELD.why_not}")
only_bwrap = pytest.mark.skipif(HELD.tier != BWRAP, reason="the daemon's socket is out of reach in this tier")


@pytest.fixture
def box(up: Supervised) -> Sandboxed:
    return Sandboxed(up)


def test_a_process_is_in_its_sandbox_and_that_is_told(box: Sandboxed) -> None:
    started = box.spawn("sh", "-c", f"cat {box.root}/other.txt; echo x >{box.root}/new; echo y >mine; sleep 60")
    box.up.until("it has written", (box.project / "mine").exists)
    found = box.up.inspect(started.id)
    assert found.sandbox_tier == HELD.tier
    assert found.sandbox_open == told.remains(CLOSED, HELD.tier, HELD.abi)
    assert found.process.sandbox == "closed"
    box.up.client.ask(Done, Stop(target=started.id))
    assert box.up.log(started.id)[0] == ""
    assert not (box.root / "new").exists()


def test_what_it_would_find_missing_is_told_as_without_a_sandbox(box: Sandboxed) -> None:
    (box.project / "plain").write_text("x")
    for word in ("no-such-program", "./none", "./plain"):
        with_one, without = box.spawn(word), box.spawn(word, sandbox=None)
        assert with_one.state == without.state == "failed"
        assert (with_one.reason or "").startswith("the program cannot be run")


def test_the_state_of_aish_is_out_of_reach(box: Sandboxed) -> None:
    """Its secret would make every key, its table and transcripts are of others."""
    state, runtime = box.up.home.state, box.up.home.runtime
    script = f"ls {state}; cat {state}/secret {state}/processes.db {runtime}/environ/* {runtime}/notify/*; echo end"
    assert box.sh(script) == "end\n"
    assert box.sh(f"ls {runtime} {runtime}/agents | grep -v :").split() in ([], ["agents", *_latest(box)])


def _latest(box: Sandboxed) -> list[str]:
    """Its own folder there, and no other's."""
    return [max(box.up.view(all=True).processes, key=lambda row: row.created_s).id]


def test_hooks_and_probes_are_in_it_as_well(box: Sandboxed) -> None:
    """They are started by the daemon, beside the process."""
    words = [b"sh", b"-c", os.fsencode(f"echo x >{box.root}/$0; echo x >$0"), b"name"]
    for field in ("before", "after", "check"):
        words[-1] = field.encode()
        started = box.spawn("true", **{field: list(words)})
        box.up.wait(started.id)
        box.up.until("the hook has run", lambda field=field: (box.project / field).exists())  # type: ignore[misc]
        assert not (box.root / field).exists()
    words[-1] = b"ready"
    started = box.spawn("sleep", "60", ready=ProbePart(command=list(words)))
    box.up.until("the probe has run", (box.project / "ready").exists)
    assert not (box.root / "ready").exists()


def test_a_program_that_tells_by_itself_is_heard(box: Sandboxed) -> None:
    code = "import os, socket, time; s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM);"
    code += "s.sendto(b'READY=1', os.environ['NOTIFY_SOCKET']); time.sleep(60)"
    started = box.spawn(sys.executable, "-I", "-S", "-c", code, ready=ProbePart(notify=True))
    if HELD.tier == BWRAP:
        box.up.wait(started.id, "ready")
    else:
        assert started.state == "failed"
        assert "NOTIFY_SOCKET" in (started.reason or "")


# --- its life -------------------------------------------------------------------------------------------------------


def test_stop_pause_and_signals_reach_it(box: Sandboxed) -> None:
    script = "trap 'echo got; exit 5' TERM; trap 'echo usr' USR1; echo ready; while :; do sleep 0.05; done"
    started = box.spawn("sh", "-c", script)
    box.up.until("it is ready", lambda: "ready" in box.up.log(started.id)[0])
    box.up.client.ask(Done, Pause(target=started.id))
    assert box.up.row(started.id).holds == ["user"]
    box.up.client.ask(Done, Cont(target=started.id))
    box.up.client.ask(Done, Signal(target=started.id, signal=signal.SIGUSR1))
    box.up.until("it was signalled", lambda: "usr" in box.up.log(started.id)[0])
    box.up.client.ask(Done, Stop(target=started.id))
    assert box.up.code(started.id) == 5
    assert box.up.log(started.id)[0].count("got") == 1
    assert box.up.log(started.id)[0].count("usr") == 1


def test_what_leaves_session_tree_and_environment_is_ended_with_it(box: Sandboxed) -> None:
    mark = f"escaped-{secrets.token_hex(8)}"
    code = f"""
import os, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        script = "trap '' TERM HUP; echo x >alive; while :; do sleep 0.05; done"
        os.execve('/bin/sh', ['sh', '-c', script, '{mark}'], {{'PATH': '/usr/bin:/bin'}})
    os._exit(0)
os.wait()
print('ready', flush=True)
time.sleep(60)
"""
    started = box.spawn(sys.executable, "-I", "-S", "-c", code, grace_s=0.3)
    box.up.until("it has left", (box.project / "alive").exists)
    box.up.client.ask(Done, Stop(target=started.id))
    box.up.wait(started.id)
    left = [int(pid) for pid in os.listdir("/proc") if pid.isdecimal() and _words(pid) == mark.encode()]
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    if HELD.tier != BWRAP and box.up.inspect(started.id).limit_tier == "rlimits":
        pytest.skip("neither a pid namespace nor a control group: it lives on, in its sandbox (ADR 8)")
    assert not left


def _words(pid: str) -> bytes:
    """The last word that it was started with."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").rpartition(b"\0")[2]
    except OSError:
        return b""


@pytest.mark.usefixtures("home")
def test_it_outlives_the_daemon(box: Sandboxed) -> None:
    started = box.spawn("sh", "-c", "trap 'exit 6' TERM; echo ready; while :; do sleep 0.05; done")
    box.up.until("it is ready", lambda: "ready" in box.up.log(started.id)[0])
    box.up.kill_daemon()
    box.up.next_daemon()
    row = box.up.row(started.id)
    assert (row.lifecycle, row.pid) == ("running", started.pid)
    box.up.client.ask(Done, Stop(target=started.id))
    assert box.up.code(started.id) == 6


def test_its_limits_hold_in_it(box: Sandboxed) -> None:
    code = """
import os, time
made = 0
try:
    while made < 200:
        if os.fork() == 0:
            time.sleep(60)
        made += 1
except OSError:
    pass
print(made, flush=True)
time.sleep(60)
"""
    started = box.spawn(sys.executable, "-I", "-S", "-c", code, limits=LimitPart(pids=40), grace_s=0.3)

    def held() -> bool:
        """Without control groups it is counted, and ended."""
        made, row = box.up.log(started.id)[0].split(), box.up.row(started.id)
        return (bool(made) and int(made[0]) < 40) or (row.exit is not None and row.exit.reason == "pids")

    box.up.until("its limit holds", held)


# --- what it may not ask for ----------------------------------------------------------------------------------------


@only_bwrap
def test_without_leave_it_finds_no_supervisor(box: Sandboxed) -> None:
    code = "\ntry:\n    connect(start=False)\n    print('1')\nexcept AishError:\n    print('0')\n"
    assert box.python(code) == 0


@only_bwrap
def test_with_leave_it_is_taken_for_itself_and_decides_nothing(box: Sandboxed) -> None:
    other = box.up.spawn("sleep", "61", name="other")
    code = (
        CONNECT
        + """
me = os.environ["AISH_ID"]
words = [tried(request) for request in (
    Limit(target=me, tokens="none"), Answer(number=1, option="allow"), Stop(target="other"), Logs(target="other"),
    KeyNew(name="x"), Shutdown(force=True), spawn("true", rights="owner"),
    Amend(target=me, spec=SpecPart(argv=[b"x"])))]
print(json.dumps([client.welcome.caller == me, words]))
"""
    )
    known, words = box.python(code, sandbox=SandboxPart(spawn=True))
    assert known
    assert set(words) <= {"refused", "input"}, words
    assert box.up.row(other.id).state == "running"


@only_bwrap
def test_what_it_starts_is_in_no_wider_sandbox(box: Sandboxed) -> None:
    """The holder starts it outside: only what the daemon takes away keeps it in."""
    script = f"cat {box.root}/other.txt; echo x >{box.root}/escaped; echo x >{box.project}/in"
    code = (
        CONNECT
        + f"""
script = {script!r}
wide = SandboxPart(profile="open", write=[{os.fsencode(box.root)!r}], read=[b"/home"], spawn=True, settled=True)
ids = [ran("sh", "-c", script), ran("sh", "-c", script, sandbox=wide), ran("sh", "-c", script, cwd={str(box.root)!r}),
       ran("true", before=[b"sh", b"-c", script.encode()]), ran("true", after=[b"sh", b"-c", script.encode()]),
       ran("sh", "-c", script, environ={{"LD_PRELOAD": "/nowhere.so", "HOME": "/", "PATH": "/:/usr/bin:/bin"}})]
host = [sys.executable, "-P", "-m", "aish.agents.host", "--adapter", "program", "--", "x"]
ids.append(ran(*host, sandbox=SandboxPart(hosted=True)))
print(json.dumps(ids))
"""
    )
    ids = box.python(code, sandbox=SandboxPart(spawn=True))
    assert len(ids) == 7
    for id_ in ids:
        part = box.up.inspect(id_).spec.sandbox
        assert part is not None
        assert (part.profile, part.spawn, part.hosted, part.settled) == (
            "closed",
            id_ != ids[-1],
            False,
            True,
        )
        assert part.write in ([os.fsencode(box.project)], [])
        assert "secret" not in "".join(box.up.log(id_))
    assert (box.project / "in").exists()
    assert not (box.root / "escaped").exists()


@only_bwrap
def test_a_folder_that_it_makes_a_link_does_not_open_another(box: Sandboxed) -> None:
    code = (
        CONNECT
        + f"""
os.mkdir("sub")
part = SandboxPart(write=[os.fsencode(os.getcwd() + "/sub")])
for number in range(20):
    request = spawn("sh", "-c", "cat sub/other.txt", sandbox=part, schedule=None)
    os.rename("sub", "was"); os.symlink({str(box.root)!r}, "sub")
    try:
        started = client.ask(Started, request)
        client.ask(Waited, Wait(target=started.id, timeout_s=60))
    except AishError as error:
        pass
    os.unlink("sub"); os.rename("was", "sub")
print(json.dumps(1))
"""
    )
    assert box.python(code, sandbox=SandboxPart(spawn=True)) == 1
    for row in box.up.view(all=True).processes:
        assert "secret" not in "".join(box.up.log(row.id)) or row.kind == "system"


@only_bwrap
def test_the_supervisor_does_nothing_for_it_that_it_could_not_do_itself(box: Sandboxed) -> None:
    code = (
        CONNECT
        + """
asked = (spawn("sleep", "60", ready=ProbePart(url="http://127.0.0.1:1/")),
         spawn("sleep", "60", live=ProbePart(address="unix:/run/x")), spawn("true", observe="codex"),
         spawn("true", secret_sources={"X": SecretPart(file=b"/etc/shadow")}))
print(json.dumps([tried(request) for request in asked]))
"""
    )
    assert set(box.python(code, sandbox=SandboxPart(spawn=True))) == {"refused"}


@only_bwrap
def test_without_leave_nothing_is_started_though_its_socket_is_found(box: Sandboxed) -> None:
    """A path that was named opens the socket, and no right."""
    runtime = os.fsencode(box.up.home.runtime)
    code = "\ntry:\n    connect(start=False)\n    print('1')\nexcept AishError:\n    print('0')\n"
    assert box.python(code, sandbox=SandboxPart(write=[runtime])) == 0


def test_a_sandbox_is_asked_for_in_words_that_mean_something(box: Sandboxed) -> None:
    for part, fields in (
        (SandboxPart(profile="none"), {}),
        (SandboxPart(write=[b"relative"]), {}),
        (SandboxPart(write=[b"/"]), {}),
        (SandboxPart(), {"rights": "owner"}),
        (SandboxPart(hosted=True), {}),
    ):
        with pytest.raises(InputError):
            box.spawn("true", sandbox=part, **fields)  # type: ignore[arg-type]


async def no_channel(id_: str) -> int:
    raise AssertionError(id_)


def test_where_no_tier_holds_nothing_is_started(box: Sandboxed, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refused, with what to install; never without."""
    holding = tier.Holding(NONE, why_not=(("bwrap", "bubblewrap is not installed"), ("landlock", "it is off")))
    monkeypatch.setattr(tier, "here", lambda: holding)
    made = Sandboxes(str(box.root), lambda row: Outlets("http://127.0.0.1:1"), no_channel)
    for profile in PROFILES:
        spec = SpecPart(argv=[b"true"], cwd=b"/", sandbox=SandboxPart(profile=profile))
        row = Row(id="p1", number=1, name="x", spec=spec, created_s=0.0)
        with pytest.raises(UnavailableError) as failed:
            asyncio.run(made.start(row, [b"true"], [b"PATH=/usr/bin:/bin"], ()))
        assert "bubblewrap is not installed" in str(failed.value)
        assert failed.value.hint == tier.INSTALL


@only_bwrap
def test_what_has_no_key_has_no_door_either(box: Sandboxed) -> None:
    """What belongs to its parent's run, as an MCP server does, asks no models: its door would be a key."""
    made = Sandboxes(str(box.root), lambda row: Outlets("http://127.0.0.1:1"), no_channel)

    async def start(with_parent: bool) -> int:
        spec = SpecPart(argv=[b"true"], cwd=b"/", sandbox=CLOSED, with_parent=with_parent)
        row = Row(id="p1", number=1, name="x", spec=spec, created_s=0.0)
        started = await made.start(row, [b"true"], [b"PATH=/usr/bin:/bin"], ())
        for fd, _ in started.passed:
            os.close(fd)
        return len(started.passed)

    assert asyncio.run(start(with_parent=True)) == 1  # its order alone
    with pytest.raises(AssertionError, match="p1"):
        asyncio.run(start(with_parent=False))
