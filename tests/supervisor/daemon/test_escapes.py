"""What a hostile program of the user's tries, in each tier and without a sandbox, under a real supervisor: as
docs/security.md has it in its table, no more and no less. As root and as an ordinary user, whoever runs the tests."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import re
import signal
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from aish.model.sandbox import LANDLOCK, NONE, TIERS
from aish.sandbox import tier as tiers
from aish.sandbox.enter.landlock import NET_ABI, SCOPE_ABI
from aish.supervisor.daemon import proc
from aish.wire import key
from aish.wire.message import Questions, Stop
from aish.wire.reply import Done, QuestionList
from aish.wire.sandbox import SandboxPart
from aish.wire.spec import LimitPart
from tests.supervisor.daemon.sandboxed import CLOSED, Sandboxed

if TYPE_CHECKING:
    from conftest import Supervised

pytestmark = pytest.mark.usefixtures("home")
held = functools.cache(lambda name: tiers.held((name,)))
PAGE = Path(__file__).parents[3] / "docs" / "security.md"
YAMA = Path("/proc/sys/kernel/yama/ptrace_scope")
SECRET = "the secret of this user"

ASKS = """
import sys
from aish.client import Aish
with Aish() as aish:
    print(aish.ask_person(sys.argv[1]).option, flush=True)
"""

PRELUDE = """
import ctypes, json, os, signal, socket, sys, time, urllib.request
libc = ctypes.CDLL(None, use_errno=True)
got = {}
def attempt(name, code):
    try:
        exec(code, globals())
        got[name] = "open"
    except OSError as error:
        got[name] = type(error).__name__
def told():
    print(json.dumps(got), flush=True)
"""

# It asks, and then has itself, a child, and a daemon that nothing tells where it comes from say yes to that and to
# what a sibling asks, and raise its budget. Each leaves what it got in a file; argv[1] is this text.
CHEAT = """
import json, os, subprocess, sys, threading, time
from aish.client import Aish, connect
from aish.errors import AishError
from aish.wire.message import Answer, Limit
text, *words = sys.argv[1:]
def tried(request):
    try:
        client = connect(start=False)
        try:
            return type(client.request(request)).__name__
        finally:
            client.close()
    except AishError as error:
        return error.code
def tries(path, me):
    requests = [Answer(number=number, option="allow") for number in (1, 2)]
    requests += [Limit(target=who, tokens=how) for who, how in ((me, "+1M"), (me, "none"), ("user", "none"))]
    found = [tried(request) for request in requests]
    with open(path + ".new", "w") as file:
        json.dump(found, file)
    os.rename(path + ".new", path)
if words:
    tries(*words)
    sys.exit()
me = os.environ["AISH_ID"]
threading.Thread(target=lambda: Aish().ask_person("my own"), daemon=True).start()
with Aish() as aish:
    while not aish.questions():
        time.sleep(0.01)
tries("self", me)
again = [sys.executable, "-c", text, text]
subprocess.run([*again, "child", me])
kept = {name: word for name, word in os.environ.items() if not name.startswith(("AISH_", "OPENAI_"))}
if os.fork() == 0:
    os.setsid()
    if os.fork():
        os._exit(0)
    os.execve(again[0], [*again, "daemon", me], kept)
os.wait()
while not os.path.exists("daemon"):
    time.sleep(0.02)
print("done", flush=True)
"""


class Row(NamedTuple):
    """Of the page's table: the words of a cell by tier."""

    cells: dict[str, str]

    def open(self, tier: str) -> bool:
        return self.cells[tier].startswith("**can**")


def page() -> dict[str, Row]:
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in PAGE.read_text().splitlines()
        if line.startswith("| ") and line.count("|") == 5
    ]
    return {words[0]: Row(dict(zip((NONE, "bwrap", LANDLOCK), words[1:], strict=True))) for words in rows}


class Hostile(Sandboxed):
    def __init__(self, up: Supervised, tier: str) -> None:
        super().__init__(up)
        self.tier = tier
        self.part: SandboxPart | None = None if tier == NONE else CLOSED
        for path in (".ssh/id_ed25519", ".aws/credentials"):
            (self.root / path).parent.mkdir(exist_ok=True)
            (self.root / path).write_text(SECRET)

    def may(self, row: str) -> bool:
        return page()[row].open(self.tier)

    def tries(self, attempts: dict[str, str], **fields: Any) -> dict[str, str]:
        """What became of each piece of code: "open", or the kind of its error."""
        code = PRELUDE + "".join(f"attempt({name!r}, {code!r})\n" for name, code in attempts.items()) + "told()\n"
        words = (sys.executable, "-I", "-S", "-c", code)
        started = self.spawn(*words, **{"sandbox": self.part} | fields)
        assert self.up.code(started.id) == 0, self.up.log(started.id)
        found = json.loads(self.up.log(started.id)[0])
        assert set(found) == set(attempts)
        return dict(found)

    def sibling(self) -> Any:
        code = "import time; print('up', flush=True); time.sleep(600)"
        started = self.spawn(sys.executable, "-c", code, sandbox=None)
        self.up.until("it is up", lambda: "up" in self.up.log(started.id)[0])
        return started


@pytest.fixture(params=(NONE, *TIERS))
def hostile(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Hostile:
    name = str(request.param)
    if name != NONE:
        holding = held(name)
        if holding.tier != name:
            pytest.skip(f"no {name} here: {holding.why_not}")
        monkeypatch.setenv(tiers.VARIABLE, name)
    return Hostile(request.getfixturevalue("up"), name)


def test_files(hostile: Hostile) -> None:
    root, state = hostile.root, hostile.up.home.state
    found = hostile.tries(
        {
            "outside": f"open({str(root / 'escaped')!r}, 'w')",
            "inside": "open('mine', 'w')",
            "key": f"open({str(root / '.ssh/id_ed25519')!r}).read()",
            "login": f"open({str(root / '.aws/credentials')!r}).read()",
            "secret": f"open({str(state / 'secret')!r}, 'rb').read()",
            "transcripts": f"os.listdir({str(state)!r})",
        }
    )
    assert found.pop("inside") == "open"
    found.pop("outside")  # its home is in memory by bwrap: what counts is what has come of it
    assert (root / "escaped").exists() is hostile.may("write outside its folder")
    assert {said == "open" for said in found.values()} == {hostile.may("read keys, logins, transcripts")}, found


def test_network(hostile: Hostile) -> None:
    if hostile.tier == LANDLOCK and held(LANDLOCK).abi < NET_ABI:
        pytest.skip("Landlock of this kernel has no rules for TCP: inspect says so")
    with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind(("127.0.0.1", 0))
        udp.setblocking(False)
        tcp.setblocking(False)
        query = "b'\\x00\\x01\\x01\\x00\\x00\\x01\\x00\\x00\\x00\\x00\\x00\\x00\\x01a\\x00\\x00\\x01\\x00\\x01'"
        sends = f"s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.sendto({query}, {udp.getsockname()!r})"
        found = hostile.tries(
            {"tcp": f"socket.create_connection({tcp.getsockname()!r}, 5)", "udp": sends, "dns": sends}
        )
        came = _came(tcp.accept), _came(lambda: udp.recv(64))
    assert (found["tcp"] == "open") is hostile.may("TCP, UDP, DNS")
    assert came == (hostile.may("TCP, UDP, DNS"),) * 2, found  # a network of its own takes datagrams, and loses them


def _came(take: Any) -> bool:
    with contextlib.suppress(BlockingIOError):
        found = take()
        if isinstance(found, tuple):
            found[0].close()
        return True
    return False


def test_other_processes(hostile: Hostile) -> None:
    sibling = hostile.sibling()
    pid = sibling.pid
    trace = f"if libc.ptrace(0x4206, {pid}, 0, 0) < 0: raise OSError(ctypes.get_errno(), '')"
    found = hostile.tries(
        {
            "signal": f"os.kill({pid}, 0)",
            "group": f"os.killpg({pid}, 0)",
            "trace": trace,
            "key": f"open('/proc/{pid}/environ', 'rb').read(1)",
        }
    )
    if not (hostile.tier == LANDLOCK and held(LANDLOCK).abi < SCOPE_ABI):
        assert {found["signal"] == "open", found["group"] == "open"} == {hostile.may("signal others")}, found
    kept = YAMA.exists() and YAMA.read_text().strip() != "0" and os.geteuid() != 0
    assert (found["trace"] == "open") is (hostile.may("ptrace") and not kept), found
    assert (found["key"] == "open") is hostile.may("use a sibling's key"), found
    assert hostile.up.row(sibling.id).state == "running"


def test_a_stolen_key(hostile: Hostile) -> None:
    """Handed to it in another way: where there is a door, that is who asks; else whoever has it may use it."""
    sibling = hostile.sibling()
    stolen = key.derive((hostile.up.home.state / "secret").read_bytes(), sibling.id, hostile.up.client.welcome.epoch)
    ask = (
        "urllib.request.urlopen(urllib.request.Request(os.environ['AISH_GATEWAY_URL'] + '/v1/aish/usage',"
        f" headers={{'Authorization': 'Bearer {stolen}'}}), timeout=30)"
    )
    found = hostile.tries({"stolen": ask})
    assert (found["stolen"] == "open") is (hostile.tier != "bwrap"), found


@pytest.mark.parametrize("limits", [LimitPart(pids=40), LimitPart(memory_bytes=256 << 20)], ids=["pids", "memory"])
def test_exhaustion(hostile: Hostile, limits: LimitPart) -> None:
    """It is refused, or it is ended: it does not get more."""
    code = PRELUDE + (
        """
made = 0
try:
    for made in range(400):
        if os.fork() == 0:
            time.sleep(600)
except OSError:
    pass
print(made, flush=True)
time.sleep(600)
"""
        if limits.pids
        else """
taken = []
for made in range(64):
    try:
        taken.append(b"x" * (32 << 20))
    except MemoryError:
        break
    time.sleep(0.05)
print(made * 20, flush=True)
time.sleep(600)
"""
    )
    words = (sys.executable, "-I", "-S", "-c", code)
    started = hostile.spawn(*words, sandbox=hostile.part, limits=limits, grace_s=0.3)

    def bounded() -> bool:
        row, said = hostile.up.row(started.id), hostile.up.log(started.id)[0].split()
        if said:
            assert int(said[0]) < 300, said
        return bool(said) or row.exit is not None

    hostile.up.until("it is bounded", bounded)


def test_a_daemon_of_its_own(hostile: Hostile) -> None:
    mark = f"escape-{os.getpid()}-{hostile.tier}"
    code = PRELUDE + (
        f"""
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        script = "trap '' TERM HUP; echo x >alive; while :; do sleep 0.1; done"
        os.execve('/bin/sh', ['sh', '-c', script, {mark!r}], {{'PATH': '/usr/bin:/bin'}})
    os._exit(0)
os.wait()
time.sleep(600)
"""
    )
    words = (sys.executable, "-I", "-S", "-c", code)
    started = hostile.spawn(*words, sandbox=hostile.part, grace_s=0.3)
    hostile.up.until("it has left", (hostile.project / "alive").exists)
    groups = hostile.up.inspect(started.id).limit_tier != "rlimits"
    hostile.up.client.ask(Done, Stop(target=started.id))
    hostile.up.wait(started.id)
    left = [int(pid) for pid in os.listdir("/proc") if pid.isdecimal() and _last_word(pid) == mark]
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    word = "**can** without control groups" if hostile.tier == NONE else "as without one"
    may = page()["daemonise and survive"].cells[hostile.tier].startswith(word)
    assert bool(left) is (may and not groups)
    hostile.up.until("it is gone", lambda: all(proc.stat(pid) is None or proc.ended(pid) for pid in left))


def _last_word(pid: str) -> str:
    with contextlib.suppress(OSError):
        return os.fsdecode(Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").rpartition(b"\0")[2])
    return ""


def test_its_own_budget_and_questions(hostile: Hostile) -> None:
    """By itself, by a child, and by a daemon that has left its parents, its session and its environment."""
    if hostile.tier == LANDLOCK:
        pytest.skip("the supervisor is out of reach: test_the_supervisor_is_reached_by_leave_alone")
    asking = hostile.up.spawn(sys.executable, "-c", ASKS, "git push", kind="agent", name="asking")
    hostile.up.until("a sibling asks", lambda: len(_open(hostile)) == 1)
    part = None if hostile.part is None else SandboxPart(spawn=True)
    words = (sys.executable, "-c", CHEAT, CHEAT)
    started = hostile.spawn(*words, sandbox=part, budget_tokens=1000, kind="agent", name="cheat")
    hostile.up.until("it has tried", lambda: "done" in hostile.up.log(started.id)[0] or _over(hostile, started.id))
    for who in ("self", "child", "daemon"):
        said = json.loads((hostile.project / who).read_text())
        assert said == ["refused"] * 5, (who, hostile.up.log(started.id))
    assert hostile.up.row(started.id).budget_tokens == 1000
    assert hostile.up.row(asking.id).state == "needs-input"


def test_the_supervisor_is_reached_by_leave_alone(hostile: Hostile) -> None:
    runtime = hostile.up.home.runtime
    sockets = [str(path) for path in runtime.iterdir() if path.is_socket()]
    assert str(runtime / "daemon.sock") in sockets
    found = hostile.tries({path: f"socket.socket(socket.AF_UNIX).connect({path!r})" for path in sockets})
    reached = {path for path, said in found.items() if said == "open"}
    assert (str(runtime / "daemon.sock") in reached) is (hostile.tier == NONE), found
    assert not reached or hostile.tier == NONE, found


def _open(hostile: Hostile) -> list[Any]:
    return list(hostile.up.client.ask(QuestionList, Questions()).questions)


def _over(hostile: Hostile, id_: str) -> bool:
    return hostile.up.row(id_).exit is not None


def test_the_page_names_what_is_tried() -> None:
    """A row that nobody tries is a promise without a test."""
    tried = set(re.findall(r'may\("([^"]+)"\)', Path(__file__).read_text())) | {
        "daemonise and survive",
        "raise its own budget",
        "answer its own questions",
        "exhaust pids, memory",
        "fill the disk",  # `can`, where it writes: bounded in memory, tests/sandbox/test_exhaustion.py
    }
    assert {row for row in page() if row != "what it may try" and "---" not in row} <= tried
