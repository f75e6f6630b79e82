"""The gateway as a process of its own, between a scripted model server and a stand-in for the daemon."""

from __future__ import annotations

import gc
import json
import os
import select
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from aish.wire import key

from . import recorded
from .daemon import Daemon
from .upstream import Upstream

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .matrix import Matrix

DEADLINE_S = 60.0


STAND_INS = (
    "ignore:Exception ignored in. <function _SelectorTransport.__del__:pytest.PytestUnraisableExceptionWarning"
)
"""asyncio's servers from Python 3.12 on, where a connection outlives its server: those of the stand-ins here do."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Here alone: elsewhere a connection that is left open is a fault of ours."""
    if sys.version_info >= (3, 12):
        for item in items:
            if Path(__file__).parent in item.path.parents:
                item.add_marker(pytest.mark.filterwarnings(STAND_INS))


@pytest.fixture(scope="package", autouse=True)
def _collected() -> Iterator[None]:
    """What the tests here left is found here, and not in the midst of others."""
    yield
    gc.collect()


class GatewayProcess:
    """`python -m aish.supervisor.gateway` on a listening socket that outlives it, as the holder keeps it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.state = root / "state" / "aish"
        self.log = root / "gateway.log"
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(512)
        self.port: int = self.listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None
        self.environ: dict[str, str] = {}
        """What it has besides."""

    def start(self) -> GatewayProcess:
        environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.root),
            "XDG_STATE_HOME": str(self.root / "state"),
            "XDG_RUNTIME_DIR": str(self.root / "run"),
            "LISTEN_FDS": "1",
            **self.environ,
        }
        # The shell moves the socket to descriptor 3 without a hook that runs between fork and exec.
        command = f'exec "$0" -m aish.supervisor.gateway 3<&{self.listener.fileno()} {self.listener.fileno()}<&-'
        fd = self.listener.fileno()
        if fd == 3:
            command = 'exec "$0" -m aish.supervisor.gateway'
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                ["/bin/bash", "-c", command, sys.executable],
                env=environ,
                pass_fds=(fd,),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self.wait_up()
        return self

    def wait_up(self) -> None:
        """The listening socket queues connections, so the first answer comes when it is up."""
        with urllib.request.urlopen(f"{self.url}/health", timeout=DEADLINE_S) as reply:
            assert reply.status == 200

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait(DEADLINE_S)

    def ended(self) -> int:
        """The exit status, once it has ended by itself."""
        assert self.process is not None
        return self.process.wait(DEADLINE_S)

    def stop(self) -> int:
        """SIGTERM; returns the exit status."""
        if self.process is None:
            return 0
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(DEADLINE_S)
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()

    def close(self) -> None:
        self.stop()
        self.listener.close()

    def call(
        self, path: str, body: object = None, key: str | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, Any, dict[str, str]]:
        """(status, JSON, headers) of one request."""
        request = urllib.request.Request(
            self.url + path,
            data=None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode(),
            headers={"Content-Type": "application/json", **({"Authorization": f"Bearer {key}"} if key else {})}
            | (headers or {}),
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as reply:
                return reply.status, json.loads(reply.read()), dict(reply.headers)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.loads(error.read()), dict(error.headers)

    def chat(self, key: str, text: str, **fields: object) -> tuple[int, Any, dict[str, str]]:
        body = {"model": "small", "messages": [{"role": "user", "content": text}], **fields}
        return self.call("/v1/chat/completions", body, key)

    def rows(self, where: str = "1") -> list[sqlite3.Row]:
        """Rows of requests that ended."""
        return recorded.ended(self.state / "gateway.db", f"dialect != 'probe' AND ({where})")

    def read_log(self) -> str:
        return self.log.read_text()


class World:
    """Everything together: `gateway`, `daemon`, and one model `small` served by `upstream`."""

    def __init__(self, root: Path, *, llamacpp: bool = True) -> None:
        self.root = root
        for name in ("run/aish", "state/aish"):
            (root / name).mkdir(parents=True, mode=0o700)
        self.secret = key.load_secret(str(root / "state" / "aish" / "secret"))
        self.daemon = Daemon(str(root / "run" / "aish" / "daemon.sock"), self.secret)
        self.upstream = Upstream(f"unix:{root}/model.sock", llamacpp=llamacpp)
        self.gateway = GatewayProcess(root)
        self._agents = 100

    def start(self) -> World:
        self.upstream.start()
        self.daemon.model("p1", "small", self.upstream.route)
        self.daemon.start()
        self.gateway.start()
        self.daemon.ready("p1")
        return self

    def agent(self, **more: Any) -> tuple[str, str]:
        """A new agent: (id, key)."""
        self._agents += 1
        id = f"p{self._agents}"
        return id, self.daemon.agent(id, **more)

    def stop(self) -> None:
        self.gateway.close()
        self.daemon.stop()
        self.upstream.stop()


@pytest.fixture(scope="module")
def shared() -> Iterator[World]:
    """A world for tests that do not harm it; each takes agents of its own."""
    root = Path(tempfile.mkdtemp(prefix="aish-g-", dir="/tmp"))
    world = World(root)
    try:
        yield world.start()
    finally:
        world.stop()
        shutil.rmtree(root, ignore_errors=True)


@pytest.fixture
def world() -> Iterator[World]:
    """A world of its own, for tests that break things. Not started."""
    root = Path(tempfile.mkdtemp(prefix="aish-g-", dir="/tmp"))
    made = World(root)
    try:
        yield made
    finally:
        made.stop()
        shutil.rmtree(root, ignore_errors=True)


@pytest.fixture(scope="module")
def matrix() -> Iterator[Matrix]:
    """All clients, all servers, scripted by faults."""
    from .matrix import running

    with running() as made:
        yield made


def wait_readable(fd: int, deadline_s: float = DEADLINE_S) -> bool:
    return bool(select.select([fd], [], [], deadline_s)[0])


@pytest.fixture
def not_in_a_row(request: pytest.FixtureRequest) -> Iterator[None]:
    """Between the faults of several tests the shared server answers once: else it would rest (breaker.py)."""
    yield
    if "shared" in request.fixturenames:
        world: World = request.getfixturevalue("shared")
        assert world.gateway.chat(world.agent()[1], "say 1")[0] == 200
