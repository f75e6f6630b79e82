"""The network of a sandbox, whole: a real gateway and a real proxy behind its doors, in each tier, whoever dies."""

from __future__ import annotations

import contextlib
import functools
import http.server
import os
import re
import select
import shutil
import signal
import socketserver
import subprocess
import sys
import threading
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from aish.model.sandbox import BWRAP, LANDLOCK, TIERS
from aish.sandbox import tier as tiers
from aish.sandbox.enter.landlock import NET_ABI
from aish.supervisor.daemon.table import EGRESS_ID
from aish.wire import key
from aish.wire.message import Answer, Questions, Signal, Stop
from aish.wire.reply import Answered, Done, QuestionList
from aish.wire.sandbox import SandboxPart
from tests.supervisor.daemon.conftest import DEADLINE_S
from tests.supervisor.daemon.sandboxed import CONNECT, Sandboxed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Supervised

pytestmark = [
    pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl"),
    pytest.mark.usefixtures("home"),
]
held = functools.cache(lambda name: tiers.held((name,)))


@pytest.fixture(params=TIERS)
def held_by(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    name: Any = request.param
    if held(name).tier != name:
        pytest.skip(f"no {name} here: {held(name).why_not}")
    if name == LANDLOCK and held(name).abi < NET_ABI:
        pytest.skip("Landlock of this kernel has no rules for TCP: inspect says so")
    monkeypatch.setenv(tiers.VARIABLE, name)
    monkeypatch.setenv("SOME_API_KEY", "a key of the person's")
    return str(name)


@pytest.fixture
def bwrap(monkeypatch: pytest.MonkeyPatch) -> None:
    if held(BWRAP).tier != BWRAP:
        pytest.skip(f"no bwrap here: {held(BWRAP).why_not}")
    monkeypatch.setenv(tiers.VARIABLE, BWRAP)


class Box(Sandboxed):
    def open(self, *hosts: str, profile: str = "dev", **fields: Any) -> SandboxPart:
        return SandboxPart(profile=profile, hosts=list(hosts), **fields)

    def question(self) -> Any:
        found: list[Any] = []

        def asked() -> bool:
            found[:] = self.up.client.ask(QuestionList, Questions()).questions
            return bool(found)

        self.up.until("somebody is asked", asked)
        return found[0]

    def answer(self, option: str) -> str:
        asked = self.question()
        self.up.client.ask(Answered, Answer(number=asked.number, option=option))
        return str(asked.title)

    def until_said(self, id_: str, text: str) -> None:
        self.up.until(f"it says {text!r}", lambda: text in self.up.log(id_)[0])

    def kill(self, name: str) -> None:
        """SIGKILL, and until another one runs."""
        before = self.up.row(name)
        assert before.pid is not None
        pidfd = os.pidfd_open(before.pid)
        self.up.client.ask(Done, Signal(target=name, signal=signal.SIGKILL))
        assert select.select([pidfd], [], [], DEADLINE_S)[0]
        os.close(pidfd)


@pytest.fixture
def box(held_by: str, up: Supervised) -> Box:
    return Box(up)


@pytest.fixture
def netted(bwrap: None, up: Supervised) -> Box:
    return Box(up)


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def site(tmp_path: Path) -> Iterator[tuple[Path, int]]:
    """A folder that is served, and the port where."""
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "index.html").write_text("from the site")
    handler = functools.partial(Quiet, directory=str(folder))
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield folder, server.server_address[1]
        server.shutdown()
        thread.join()


# --- the gateway ----------------------------------------------------------------------------------------------------

USAGE = 'curl -sS -m 20 -o /dev/null -w "%{http_code} " '


def test_its_door_is_its_name_and_a_key_of_another_is_worth_nothing_there(netted: Box) -> None:
    other = netted.spawn("sleep", "60")
    secret = (netted.up.home.state / "secret").read_bytes()
    epoch = netted.up.client.welcome.epoch
    stolen, named = key.derive(secret, other.id, epoch), "sk-aish-" + "x" * 43
    script = f"""
{USAGE} $AISH_GATEWAY_URL/v1/aish/usage
for key in "$OPENAI_API_KEY" "{stolen}" "{named}" "nothing"; do
    {USAGE} -H "Authorization: Bearer $key" $AISH_GATEWAY_URL/v1/aish/usage
done
curl -sS -m 20 $AISH_GATEWAY_URL/v1/aish/usage
"""
    started = netted.spawn("sh", "-c", script)
    netted.up.wait(started.id)
    out, err = netted.up.log(started.id)
    assert out.startswith("200 200 401 401 401 "), (out, err)
    assert f'"id":"{started.id}"' in out


def test_hooks_and_probes_have_doors_of_their_own(netted: Box) -> None:
    hook = [b"sh", b"-c", b"curl -sS -m 20 -o hook $AISH_GATEWAY_URL/v1/aish/usage"]
    started = netted.spawn("true", before=hook)
    netted.up.wait(started.id)
    assert f'"id":"{started.id}"' in (netted.project / "hook").read_text()


# --- the proxy ------------------------------------------------------------------------------------------------------


def test_dev_reaches_what_is_named_and_nothing_beside_the_proxy(box: Box, site: tuple[Path, int]) -> None:
    _, port = site
    script = f"""
curl -sS -m 20 http://localhost:{port}/; echo
curl -sS -m 20 -p http://localhost:{port}/; echo
curl -sS -m 5 --noproxy '*' http://127.0.0.1:{port}/ 2>&1 || echo direct $?
curl -sS -m 20 -o /dev/null -w '%{{http_code}}\\n' -x "$(echo $http_proxy | sed 's/[^@/]*@//')" -U $AISH_ID:x http://localhost:{port}/
"""
    started = box.spawn("sh", "-c", script, sandbox=box.open(f"localhost:{port}"))
    assert box.up.code(started.id) == 0
    lines = box.up.log(started.id)[0].splitlines()
    assert lines[:2] == ["from the site", "from the site"], box.up.log(started.id)
    assert lines[-2] == "direct 7"
    assert lines[-1] == "407"
    found = box.up.inspect(started.id)
    assert found.spec.sandbox == box.open(f"localhost:{port}")
    box.up.until("it is told what passed", lambda: box.up.inspect(started.id).traffic)
    (traffic,) = box.up.inspect(started.id).traffic
    assert (traffic.host, traffic.port, traffic.connections) == ("localhost", port, 2), "refused ones are none"
    assert traffic.sent_bytes > 2 * len("GET / HTTP/1.1"), "of a tunnel, and of a request"
    assert traffic.received_bytes > 2 * len("from the site")
    row = box.up.row(started.id)
    assert (row.sent_bytes, row.received_bytes) == (traffic.sent_bytes, traffic.received_bytes)
    environ = Path(f"/proc/{box.up.row(EGRESS_ID).pid}/environ").read_bytes()
    assert b"XDG_STATE_HOME" in environ
    assert b"SOME_API_KEY" not in environ, "who relays bytes of hostile programs has somebody's key"


class Corp(socketserver.StreamRequestHandler):
    """A proxy of the person's own."""

    heads: ClassVar[list[bytes]] = []

    def handle(self) -> None:
        head = b""
        while not head.endswith(b"\r\n\r\n") and (line := self.rfile.readline()):
            head += line
        self.heads.append(head)
        if head.startswith(b"CONNECT "):
            self.wfile.write(b"HTTP/1.1 200 yes\r\n\r\n")
            while self.rfile.readline().strip():
                pass
        self.wfile.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nfrom corp\n")


@pytest.fixture
def corp(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bytes]]:
    """One that the person's environment names before the supervisor is started: the heads that it has got."""
    Corp.heads.clear()
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Corp) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        for name in ("HTTP_PROXY", "HTTPS_PROXY"):
            monkeypatch.setenv(name, f"http://me:s3cret@127.0.0.1:{server.server_address[1]}")
        monkeypatch.setenv("NO_PROXY", "")
        yield Corp.heads
        server.shutdown()
        thread.join()


def test_out_through_a_proxy_of_the_person_s_own(corp: list[bytes], held_by: str, up: Supervised) -> None:
    """In networks without another way out `dev` reached nothing. Its password is none of the program's."""
    box = Box(up)
    script = "curl -sS -m 20 http://pypi.org/a; curl -sS -m 20 -p http://pypi.org/b; env"
    started = box.spawn("sh", "-c", script, sandbox=box.open())
    assert up.code(started.id) == 0
    out, err = up.log(started.id)
    assert out.startswith("from corp\nfrom corp\n"), (out, err)
    assert "s3cret" not in out
    assert [head.split(b" HTTP/1.1")[0] for head in corp] == [b"GET http://pypi.org/a", b"CONNECT pypi.org:80"]
    assert all(b"Proxy-Authorization: Basic bWU6czNjcmV0\r\n" in head for head in corp)


def test_closed_reaches_what_is_named_and_nobody_is_asked(netted: Box, site: tuple[Path, int]) -> None:
    _, port = site
    script = f"curl -sS -m 20 http://localhost:{port}/; curl -sS -m 20 -p http://pypi.org/"
    started = netted.spawn("sh", "-c", script, sandbox=netted.open(f"localhost:{port}", profile="closed"))
    netted.up.wait(started.id)
    out, err = netted.up.log(started.id)
    assert out == "from the site"
    assert "403" in err
    assert netted.up.client.ask(QuestionList, Questions()).questions == []


def test_a_host_that_is_not_named_asks_the_person_once(box: Box, site: tuple[Path, int]) -> None:
    """Allowed once, it goes on; for the run, nobody is asked again; however many wait, it is one question."""
    _, port = site
    script = f"""
for n in 1 2 3; do curl -sS -m 60 -p http://localhost:{port}/ & done; wait; echo; echo first
read line; curl -sS -m 60 http://localhost:{port}/; echo second; sleep 60
"""
    fifo = box.project / "fifo"
    os.mkfifo(fifo)
    started = box.spawn("sh", "-c", f"exec 0<>fifo; {script}", sandbox=box.open("localhost:1"))
    assert box.answer("always") == f"reach localhost:{port}"
    box.until_said(started.id, "first")
    assert box.up.log(started.id)[0].count("from the site") == 3
    kinds = [event.kind for event in box.up.events() if event.process == started.id]
    assert kinds.count("asked") == 1
    box.up.kill_daemon()
    box.up.next_daemon()
    fifo.write_text("go\n")
    box.until_said(started.id, "second")
    assert box.up.client.ask(QuestionList, Questions()).questions == []


def test_what_a_person_denies_is_refused_with_the_reason(netted: Box) -> None:
    started = netted.spawn("sh", "-c", "curl -v -m 60 https://example.org/", sandbox=netted.open())
    assert netted.answer("deny") == "reach example.org"
    assert netted.up.code(started.id) != 0
    assert re.search(r"403 .*did not allow it", netted.up.log(started.id)[1])


def test_an_end_withdraws_what_was_asked(netted: Box) -> None:
    started = netted.spawn("sh", "-c", "curl -sS -m 60 https://example.org/", sandbox=netted.open())
    netted.question()
    netted.up.client.ask(Done, Stop(target=started.id, grace_s=0))
    netted.up.wait(started.id)
    assert netted.up.client.ask(QuestionList, Questions()).questions == []


def test_nobody_asks_in_the_supervisor_s_name(netted: Box) -> None:
    """Its answer would be taken for leave to reach a host."""
    code = (
        CONNECT + "print(json.dumps(tried(Ask(token='network evil.org', kind='permission', title='x', words=True))))"
    )
    assert netted.python(code, sandbox=SandboxPart(spawn=True)) == "input"


def test_what_dev_starts_is_never_open_and_has_no_more_hosts(netted: Box, site: tuple[Path, int]) -> None:
    _, port = site
    other = f"localhost:{port}"
    code = (
        CONNECT
        + f"""
script = "curl -sS -m 20 --noproxy '*' http://127.0.0.1:{port}/; curl -sS -m 20 http://localhost:{port}/"
wide = SandboxPart(profile="open", hosts=["{other}", "a.org", "pypi.org"], spawn=True)
closed = SandboxPart(profile="closed", hosts=["{other}"], spawn=True)
print(json.dumps([ran("sh", "-c", script, sandbox=wide), ran("sh", "-c", script, sandbox=closed)]))
"""
    )
    wide, closed = netted.python(code, sandbox=netted.open("a.org", spawn=True))
    part = netted.up.inspect(wide).spec.sandbox
    assert part is not None
    assert (part.profile, part.hosts) == ("dev", ["a.org", "pypi.org"])
    part = netted.up.inspect(closed).spec.sandbox
    assert part is not None
    assert (part.profile, part.hosts) == ("closed", [])
    assert "from the site" not in netted.up.log(wide)[0] + netted.up.log(closed)[0]


@pytest.mark.slow
def test_programs_that_know_nothing_of_it_work(box: Box, site: tuple[Path, int]) -> None:
    """git and pip as they are, with what they find in their environment."""
    if shutil.which("git") is None:
        pytest.skip("there is no git")
    folder, port = site
    place = f"http://localhost:{port}"
    git = ["git", "-c", "user.name=x", "-c", "user.email=x@example.org", "-C", str(folder / "made")]
    subprocess.run(["git", "init", "-q", str(folder / "made")], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "cloned by the proxy"], check=True)
    subprocess.run(["git", "clone", "-q", "--bare", str(folder / "made"), str(folder / "it.git")], check=True)
    subprocess.run(["git", "-C", str(folder / "it.git"), "update-server-info"], check=True)
    (folder / "simple" / "it").mkdir(parents=True)
    name = "it-1-py3-none-any.whl"
    (folder / "simple" / "it" / "index.html").write_text(f'<a href="{name}">{name}</a>')
    with zipfile.ZipFile(folder / "simple" / "it" / name, "w") as wheel:
        wheel.writestr("it.py", "x = 'installed by the proxy'\n")
        wheel.writestr("it-1.dist-info/METADATA", "Metadata-Version: 2.1\nName: it\nVersion: 1\n")
        wheel.writestr("it-1.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr("it-1.dist-info/RECORD", "it.py,,\nit-1.dist-info/METADATA,,\nit-1.dist-info/WHEEL,,\n")
    script = f"""
python={sys.executable}
pip() {{ $python -m pip "$@"; }}
git clone -q {place}/it.git cloned && git -C cloned log --format=%s
pip install -q --no-compile --target lib --index-url {place}/simple it
PYTHONPATH=lib $python -c 'import it; print(it.x)'
$python -c 'import urllib.request as r; print(r.urlopen("{place}/").read().decode())'
$python -c '
import urllib.request as r
try: r.urlopen("https://elsewhere.example/")
except OSError as error: print(error)'
"""
    started = box.spawn("sh", "-c", script, sandbox=box.open(f"localhost:{port}", profile="closed"))
    assert box.up.wait(started.id, timeout_s=90).exit is not None
    out, err = box.up.log(started.id)
    if "No module named pip" in err:
        pytest.skip("there is no pip")
    lines = out.splitlines()
    assert lines[:3] == ["cloned by the proxy", "installed by the proxy", "from the site"], (out, err)
    assert "403 elsewhere.example:443 is not among the hosts of this sandbox" in lines[3], (out, err)


# --- whoever dies ---------------------------------------------------------------------------------------------------


_slow = [pytest.param(name, marks=pytest.mark.slow) for name in ("egress", "holder", "parents")]


@pytest.mark.parametrize("victim", ["gateway", "daemon", *_slow])
def test_it_is_served_again_whoever_is_killed(netted: Box, site: tuple[Path, int], victim: str) -> None:
    _, port = site
    fifo = netted.project / "fifo"
    os.mkfifo(fifo)
    ask = f"curl -sS -m 30 $AISH_GATEWAY_URL/v1/aish/usage; curl -sS -m 30 http://localhost:{port}/; echo"
    script = f"exec 0<>fifo; {ask}; echo first; read line; {ask}; echo second; sleep 60"
    started = netted.spawn("sh", "-c", script, sandbox=netted.open(f"localhost:{port}"))
    netted.until_said(started.id, "first")
    match victim:
        case "gateway" | "egress":
            netted.kill(victim)
        case "daemon":
            netted.up.kill_daemon()
            netted.up.next_daemon()
        case "holder":
            os.kill(netted.up.holder_pids()[1], signal.SIGKILL)
        case _:
            netted.up.kill_parents()
            netted.up.next_daemon()
    fifo.write_text("go\n")
    netted.until_said(started.id, "second")
    out, err = netted.up.log(started.id)
    assert out.count(f'"id":"{started.id}"') == 2, (out, err)
    assert out.count("from the site") == 2, (out, err)
    kinds = {id_: netted.up.row(id_).kind for id_ in ("gateway", "egress")}
    assert kinds == dict.fromkeys(kinds, "system"), "the journal had one row for both, and the other was a stranger's"


def test_its_doors_are_closed_when_it_has_ended(netted: Box) -> None:
    """A socket that is left keeps a whole network of the kernel's."""
    before = _sockets(netted)
    fifo = netted.project / "fifo"
    os.mkfifo(fifo)
    script = f"exec 0<>fifo; {USAGE} $AISH_GATEWAY_URL/v1/aish/usage; echo up; read line"
    started = netted.spawn("sh", "-c", script, sandbox=netted.open())
    netted.until_said(started.id, "up")
    assert len(_sockets(netted)) == len(before) + 2
    fifo.write_text("go\n")
    netted.up.wait(started.id)
    netted.up.until("its doors are closed", lambda: _sockets(netted) == before)


def _sockets(box: Box) -> set[str]:
    """Those that daemon, holder and keeper all have: what is kept, whoever dies."""
    found = []
    for pid in box.up.programs().values():
        links = set()
        for fd in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):
                links.add(os.readlink(f"/proc/{pid}/fd/{fd}"))
        found.append({link for link in links if link.startswith("socket:")})
    return set.intersection(*found)
