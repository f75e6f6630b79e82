"""A program in a sandbox without a supervisor: a home with secrets in it, a project, and short words for trying.

`box` is each tier that holds here, or a skip that says why not.
"""

from __future__ import annotations

import functools
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from aish.model.sandbox import BWRAP, TIERS
from aish.sandbox import around, order, tier
from aish.sandbox.outlets import Outlets
from aish.sandbox.profile import doors
from aish.sandbox.wrapping import Wanted, Wrapping
from aish.wire.sandbox import SandboxPart

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aish.model.sandbox import Tier
    from aish.sandbox.tier import Holding

DEADLINE_S = 60.0
SECRET = "the secret of this user"
held = functools.cache(lambda name: tier.held((name,)))


class Box:
    """`project` is where programs are started."""

    def __init__(self, root: Path, holding: Holding) -> None:
        self.root, self.holding = root, holding
        self.tier = holding.tier
        self.project = root / "project"
        self.project.mkdir()
        for name in (".ssh/id_ed25519", ".aws/credentials", ".netrc", "state/aish/secret", "other.txt"):
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(SECRET)
        self.folder = root / "run" / "aish" / "agents" / "p1"
        self.folder.mkdir(parents=True)
        self.port = 9009  # nobody listens there
        self.proxy_port = 9011
        self.channel, self._theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.channel.settimeout(DEADLINE_S)

    def environ(self, **more: str) -> dict[str, str]:
        return {"PATH": os.environ["PATH"], "HOME": str(self.root), "LANG": "C.UTF-8", **more}

    def start(
        self,
        *argv: str,
        environ: dict[str, str] | None = None,
        profile: str = "closed",
        program: str | None = None,
        cwd: Path | None = None,
        streams: dict[str, Any] | None = None,
        pass_fds: tuple[int, ...] = (),
        **fields: Any,
    ) -> subprocess.Popen[str]:
        env = [os.fsencode(f"{name}={value}") for name, value in (environ or self.environ()).items()]
        found = program or shutil.which(argv[0], path=os.environ["PATH"]) or argv[0]
        paths = {name: [os.fsencode(path) for path in fields.pop(name, [])] for name in ("write", "read", "hide")}
        part = SandboxPart(profile=profile, **paths, **fields)
        to = self._outlets(part)
        data = Wrapping(around.look(), self.holding).order(
            part,
            Wanted([os.fsencode(word) for word in argv], env, [os.fsencode(found)], os.fsencode(cwd or self.project)),
            to=to,
            folder=str(self.folder),
        )
        fd = os.memfd_create("order")
        given_fds = () if to.channel is None else (to.channel,)
        try:
            os.write(fd, data)
            given = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | (
                streams or {}
            )
            return subprocess.Popen(
                order.words(fd),
                pass_fds=(fd, *given_fds, *pass_fds),
                env={},
                cwd=cwd or self.project,
                text=True,
                **given,
            )
        finally:
            os.close(fd)

    def _outlets(self, part: SandboxPart) -> Outlets:
        channel = self._theirs.fileno() if self.tier == BWRAP and doors(part) else None
        word = "" if self.tier == BWRAP else "word"
        return Outlets(f"http://127.0.0.1:{self.port}", self.proxy_port, word, channel)

    def opened(self) -> tuple[int, dict[str, socket.socket]]:
        """What the next program to tell has told of its network: the end of the pipe, and its doors."""
        data, fds, _, _ = socket.recv_fds(self.channel, 64, 8)
        _, *names = data.decode().split()
        return fds[0], {name: socket.socket(fileno=fd) for name, fd in zip(names, fds[1:], strict=True)}

    def close(self) -> None:
        self.channel.close()
        self._theirs.close()

    def run(self, *argv: str, **fields: Any) -> subprocess.CompletedProcess[str]:
        process = self.start(*argv, **fields)
        try:
            out, err = process.communicate(timeout=DEADLINE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        return subprocess.CompletedProcess(argv, process.returncode, out, err)

    def python(self, code: str, *words: str, **fields: Any) -> subprocess.CompletedProcess[str]:
        """With `sys`, `os` and `attempt`: what is printed is OPEN, or the name of the error."""
        return self.run(sys.executable, "-I", "-S", "-c", _PRELUDE + code, *words, **fields)

    def attempt(self, code: str, *words: str, **fields: Any) -> str:
        """An expression or statements in it: "OPEN", or how it failed."""
        ran = self.python(f"attempt({code!r})", *words, **fields)
        assert ran.returncode == 0, ran.stderr
        return ran.stdout.strip()


_PRELUDE = """
import os, sys, socket, ctypes, signal, fcntl, stat, errno
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *words):
    if libc.syscall(ctypes.c_long(number), *words) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
def attempt(code):
    try:
        exec(code, globals())
        print("OPEN")
    except OSError as error:
        print(errno.errorcode.get(error.errno, type(error).__name__))
"""


@pytest.fixture(params=TIERS)
def box(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Box]:
    name: Tier = request.param
    holding = held(name)
    if holding.tier != name:
        pytest.skip(f"no {name} here: {holding.why_not[0][1] if holding.why_not else 'it does not hold'}")
    with tempfile.TemporaryDirectory(prefix="aish-b-", dir="/tmp") as folder:
        root = Path(folder).resolve()
        for variable, place in (("STATE_HOME", "state"), ("RUNTIME_DIR", "run"), ("DATA_HOME", "data")):
            monkeypatch.setenv(f"XDG_{variable}", str(root / place))
        monkeypatch.setenv("XDG_CONFIG_HOME", str(root / "config"))
        monkeypatch.setenv("HOME", str(root))
        monkeypatch.delenv("AISH_RUNTIME_DIR", raising=False)
        made = Box(root, holding)
        yield made
        made.close()


class Listener:
    """A TCP port on the loopback that notes whether anybody came."""

    def __init__(self) -> None:
        self.sock = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.sock.getsockname()[1]
        self.came = 0
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        while True:
            try:
                connection, _ = self.sock.accept()
            except OSError:
                return
            self.came += 1
            connection.close()

    def close(self) -> None:
        self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()
        self._thread.join()


@pytest.fixture
def listener() -> Iterator[Listener]:
    made = Listener()
    yield made
    made.close()
