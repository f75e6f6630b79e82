"""What a model can do by its tools in a sandbox: each try through the tool itself, in each tier that holds here."""

from __future__ import annotations

import functools
import json
import os
import signal
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from aish.agents.host.confinement import Confined
from aish.model.sandbox import BWRAP, TIERS
from aish.sandbox import tier
from aish.sandbox.hosted import Sandbox
from aish.wire.sandbox import SandboxPart
from tests.deadline import until

from .whole import call

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .conftest import Bench

SECRET = "the secret of this user"
held = functools.cache(lambda name: tier.held((name,)))


class Box:
    """An agent in a sandbox of one tier: `home` has secrets, `outside` is another folder."""

    def __init__(self, bench: Bench, home: Path, name: str) -> None:
        self.bench, self.home, self.tier = bench, home, name
        self.cwd, self.outside = bench.cwd, home / "other"
        self.outside.mkdir(parents=True)
        for path in (home / ".ssh" / "id", home / "state" / "aish" / "secret", self.outside / "file"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(SECRET)

    def tried(self, *calls: str, profile: str = "closed", **fields: Any) -> list[str]:
        """What the tools answer."""
        acting = {key: fields.pop(key) for key in ("hosts", "paths", "mcp_servers") if key in fields}
        part = SandboxPart(profile=profile, hosts=fields.pop("reach", []), hosted=True, **fields)
        confined = Confined(
            Sandbox(part, held(self.tier)), "http://127.0.0.1:9", str(self.bench.private), str(self.cwd)
        )
        tools = ("shell", "read", "write", "edit", "search", "fetch")
        steps = " then ".join([*calls, "say 1"])
        return self.bench.run(steps, tools=tools, confinement=confined, **acting).results()

    def shell(self, command: str, **fields: Any) -> str:
        (result,) = self.tried(call("shell", command=command), **fields)
        return result


@pytest.fixture(params=TIERS)
def box(request: pytest.FixtureRequest, bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Box:
    holding = held(request.param)
    if holding.tier != request.param:
        why = holding.why_not[0][1] if holding.why_not else "it does not hold"
        pytest.skip(f"no {request.param} here: {why}")
    home = tmp_path.resolve() / "home"
    for variable, place in (("STATE_HOME", "state"), ("RUNTIME_DIR", "run"), ("DATA_HOME", "data")):
        monkeypatch.setenv(f"XDG_{variable}", str(home / place))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / "config"))
    monkeypatch.setenv("HOME", str(home))
    return Box(bench, home, request.param)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        sock.setblocking(False)
        yield sock


def test_its_shell_works_in_its_folder(box: Box) -> None:
    told = box.shell('echo made > made; cat made; echo "$PWD"; exit 3')
    assert told == f"made\n{box.cwd}\n\n[exit status 3]"
    assert (box.cwd / "made").read_text() == "made\n"


def test_its_shell_writes_nowhere_else(box: Box) -> None:
    (box.cwd / "link").symlink_to(box.outside)
    told = box.shell(f"echo x > {box.outside}/new; echo x > link/new; echo x >> {box.outside}/file; echo end")
    assert told.endswith("end\n")
    assert [path.name for path in box.outside.iterdir()] == ["file"]
    assert (box.outside / "file").read_text() == SECRET


def test_its_shell_reads_no_key_and_no_secret_of_aish(box: Box) -> None:
    told = box.shell("cat ~/.ssh/id ~/state/aish/secret ../home/other/file; ls ~/.ssh; echo end", profile="open")
    assert SECRET not in told
    assert "end" in told


def test_closed_its_shell_reaches_no_port(box: Box, listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    connect = f"import socket; socket.create_connection(('127.0.0.1', {port}), 5); print('con' + 'nected')"
    assert "connected" not in box.shell(f'{sys.executable} -IS -c "{connect}"')
    with pytest.raises(BlockingIOError):
        listener.accept()


def test_its_shell_signals_nobody_outside(box: Box) -> None:
    """Its host, above all: the one that keeps it in."""
    if held(box.tier).abi < 6 and box.tier != BWRAP:
        pytest.skip(f"Landlock's version {held(box.tier).abi} does not keep signals in")
    heard: list[int] = []
    before = signal.signal(signal.SIGURG, lambda number, _: heard.append(number))
    try:
        told = box.shell(f"kill -URG {os.getpid()} && echo sent; kill -URG -1; echo end")
    finally:
        signal.signal(signal.SIGURG, before)
    assert heard == []
    assert "sent" not in told
    assert "end" in told


def test_its_shell_connects_to_no_socket_of_the_user(box: Box) -> None:
    """The supervisor's: by it it would answer its own questions and raise its own limits."""
    path = box.cwd.parent / "sock"
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))
        sock.listen()
        sock.setblocking(False)
        connect = f"import socket; socket.socket(socket.AF_UNIX).connect('{path}'); print('con' + 'nected')"
        assert "connected" not in box.shell(f'{sys.executable} -IS -c "{connect}"', profile="open")
        with pytest.raises(BlockingIOError):
            sock.accept()


def test_what_leaves_its_group_is_ended_with_the_command(box: Box) -> None:
    if box.tier != BWRAP:
        pytest.skip("without a pid namespace it lives until its agent's end: test_confined_whole")
    mark = f"3612.{os.getpid()}"  # others run this test meanwhile
    box.shell(f"setsid sh -c 'echo x > began; exec sleep {mark}' & until [ -s began ]; do :; done")
    until("nothing of it is left", lambda: not _running(mark))


@pytest.mark.slow
def test_a_command_that_does_not_want_to_end_is_ended_in_time(box: Box) -> None:
    """Three processes more stand between, and none of them may stay."""
    mark = f"3614.{os.getpid()}"  # others run this test meanwhile
    script = f"trap '' TERM; (trap '' TERM; exec sleep {mark}) & echo begun; while :; do wait; done"
    (told,) = box.tried(call("shell", command=script, timeout_s=1))
    assert told == "begun\n\n[ended after 1 s]"
    until("nothing of it is left", lambda: not _running(mark))


def test_what_its_shell_starts_has_the_agent_s_environment_but_not_its_sandbox_s(box: Box) -> None:
    assert "AISH_SANDBOX=" not in box.shell("env; tr '\\0' '\\n' </proc/1/environ")


def test_its_file_tools_reach_what_the_sandbox_reads_and_writes(box: Box) -> None:
    (box.cwd / ".env").write_text(SECRET)
    more = box.home / "more"
    more.mkdir()
    (more / "data").write_text("data")
    hidden, read = [os.fsencode(box.cwd / ".env")], [os.fsencode(more)]
    results = box.tried(
        call("write", path="deep/new", content="written"),
        call("read", path=str(more / "data")),
        call("write", path=str(more / "data"), content="changed"),
        call("read", path=".env"),
        call("edit", path=".env", old="the", new="a"),
        call("read", path="/etc/shadow"),
        call("read", path=str(box.home / ".ssh" / "id")),
        call("write", path=str(box.outside / "new"), content="x"),
        call("read", path=str(box.outside / "file")),
        call("write", path=".git/hooks/pre-commit", content="x"),
        call("search", pattern="secret", path="."),
        call("search", pattern="secret", path=str(box.outside)),
        hide=hidden,
        read=read,
    )
    assert (box.cwd / "deep" / "new").read_text() == "written"
    assert "data" in results[1]
    assert all("outside of the sandbox" in result for result in (*results[2:9], results[11])), results
    assert "nothing is written below .git" in results[9]
    assert SECRET not in json.dumps(results)
    assert (more / "data").read_text() == "data"


def test_search_is_kept_from_what_is_hidden_and_from_writing(box: Box) -> None:
    (box.cwd / "notes").write_text("a word\n")
    (result,) = box.tried(call("search", pattern="w[o]rd"))
    assert result.removeprefix("./") == "notes:1:a word\n"


@pytest.mark.parametrize(
    ("profile", "reach", "told"),
    [
        ("closed", [], "reaches no host"),
        ("closed", ["a.example"], "cannot be fetched: Cannot connect to host 127.0.0.1"),
        ("dev", [], "cannot be fetched: Cannot connect to host 127.0.0.1"),
    ],
)
def test_fetch_goes_by_the_proxy_of_the_sandbox_and_no_other_way(
    bench: Bench, box: Box, profile: str, reach: list[str], told: str
) -> None:
    """Nobody listens at the proxy's port here."""
    (result,) = box.tried(call("fetch", url="http://a.example/"), profile=profile, reach=reach, hosts=("a.example",))
    assert told in result


def _running(word: str) -> bool:
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if word in entry.read_bytes().decode(errors="replace").split("\0"):
                return True
        except OSError:
            continue
    return False
