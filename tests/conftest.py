"""What all tests share: a private home per test or per file, and marks that say why they skip."""

from __future__ import annotations

import atexit
import copy
import fcntl
import functools
import os
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from aish import cli
from aish.cli import shutdown
from aish.client import Aish
from aish.errors import NotRunningError
from aish.sandbox.tier import VARIABLE as TIER_VARIABLE

from .verbs import Verbs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from aish.plugins.simprovider.thread import Running


# How fast examples are drawn is the machine's business: one that is busy with other work must not fail a test.
settings.register_profile("aish", suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("aish")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    root = os.geteuid() == 0
    for item in items:
        if item.get_closest_marker("root") and not root:
            item.add_marker(pytest.mark.skip(reason="needs root; .ci/run runs it last"))
        if item.get_closest_marker("gpu") and not Path("/dev/nvidiactl").exists():
            item.add_marker(pytest.mark.skip(reason="needs an NVIDIA GPU: /dev/nvidiactl is not there"))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """`supervisor.x` and `aish.supervisor.x` would be two identities of one file."""
    twins = [name for name in sys.modules if name.split(".")[0] in ("supervisor", "plugins")]
    if twins:
        session.exitstatus = 1
        print(f"\nimported outside aish: {', '.join(twins)}", file=sys.stderr)


class Home:
    """Private folders for one test, and the environment that points there."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.started: list[subprocess.Popen[bytes]] = []
        self._client: Aish | None = None
        self.runtime = root / "run" / "aish"
        self.state = root / "state" / "aish"
        self.data = root / "data" / "aish"
        self.config = root / "config" / "aish"
        kept = ("PATH", "LANG", "LC_ALL", "TERM", "PIP_CERT", "PIP_FIND_LINKS", "PIP_INDEX_URL", TIER_VARIABLE)
        self.environ = {name: os.environ[name] for name in kept if name in os.environ} | {
            "HOME": str(root),
            "PIP_CACHE_DIR": os.environ.get("PIP_CACHE_DIR") or os.path.expanduser("~/.cache/pip"),
            "XDG_RUNTIME_DIR": str(root / "run"),
            "XDG_STATE_HOME": str(root / "state"),
            "XDG_DATA_HOME": str(root / "data"),
            "XDG_CONFIG_HOME": str(root / "config"),
        }
        for name in ("run", "state", "data", "config"):
            (root / name).mkdir(mode=0o700)

    def store(self, models: Path) -> None:
        """Have the models of another store, whose weights are shared."""
        self.data.mkdir(mode=0o700, exist_ok=True)
        shutil.copytree(models, self.data / "models", copy_function=_link_blob)

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Have this process's environment point there."""
        with pytest.MonkeyPatch.context() as patch:
            for name, value in self.environ.items():
                if name != TIER_VARIABLE:  # a test that has set another one knows why
                    patch.setenv(name, value)
            patch.delenv("AISH_ID", raising=False)
            yield

    def aish(self, *words: str, **options: object) -> subprocess.CompletedProcess[str]:
        """Run `aish words…` to its end, with a bound of 60 s; output as text. A verb is forked: see verbs.py."""
        settings: dict[str, object] = {"capture_output": True, "text": True, "timeout": 60, "env": self.environ}
        settings |= options
        if "stdin" not in settings and "input" not in settings:
            settings["stdin"] = subprocess.DEVNULL
        if cli.is_verb(list(words)) and Verbs.takes(words, settings):
            return _verbs().run(words, settings)
        return subprocess.run([sys.executable, "-m", "aish", *words], check=False, **settings)  # type: ignore[call-overload,no-any-return]

    @property
    def client(self) -> Aish:
        """Sets up and looks without a process for each verb; starts the supervisor where none runs."""
        self._client = self._client or Aish(program="test")
        return self._client

    def popen(self, *words: str, **options: object) -> subprocess.Popen[bytes]:
        """Start `aish words…`; what still runs at the end of the test is killed."""
        made = subprocess.Popen([sys.executable, "-m", "aish", *words], env=self.environ, **options)  # type: ignore[call-overload]
        self.started.append(made)
        return made  # type: ignore[no-any-return]

    def close(self) -> None:
        """Let go of what the test held; it goes before what is supervised does."""
        for process in self.started:
            process.kill()
            process.wait()
        if self._client is not None:
            self._client.close()


@functools.cache
def _verbs() -> Verbs:
    """Of all tests of this process; it goes with it."""
    made = Verbs()
    atexit.register(made.close)
    return made


@contextmanager
def _private_home() -> Iterator[Home]:
    root = Path(tempfile.mkdtemp(prefix="aish-t-", dir="/tmp"))  # short: a socket's path has 107 bytes
    made = Home(root)
    try:
        yield made
    finally:
        with made.entered():
            made.close()
        try:
            if made.runtime.exists():
                with made.entered():
                    shutdown.main([])  # without a process for it
        finally:
            left = _left(root)
            for pid in left:
                os.kill(pid, 9)
            shutil.rmtree(root, ignore_errors=True)
    assert not left, f"processes left behind: {left}"


@pytest.fixture
def home() -> Iterator[Home]:
    """A private home; what a test left supervised there is ended afterwards, and must then be gone."""
    with _private_home() as made, made.entered():
        yield made


@pytest.fixture(scope="module")
def module_home() -> Iterator[Home]:
    """A private home that the tests of one file share, where starting everything anew would take most of the time."""
    with _private_home() as made, made.entered():
        yield made


@pytest.fixture
def shared_home(module_home: Home) -> Iterator[Home]:
    """The home of this file's tests, whose supervisor goes on from one to the next: a test's processes are ended and
    forgotten after it. Only ids, events, the gateway and what fixtures of the file started go on. `root` is a folder
    of the test's own.

    Not for a test that configures the supervisor, or looks at what it starts with or at all that it knows.
    """
    view = copy.copy(module_home)
    view.root = Path(tempfile.mkdtemp(dir=module_home.root))
    view.environ = dict(module_home.environ)
    view.started, view._client = [], None
    before = _table()
    try:
        yield view
    finally:
        view.close()
        made = _table() - before
        if made:
            with Aish(start=False, program="test") as client:
                client.stop(*made, grace_s=0)
                for id in made:
                    client.forget(id)
    assert _table() == before


def _table() -> set[str]:
    """The ids of what is supervised, ended or not, without the gateway, which comes when somebody wants it."""
    try:
        with Aish(start=False, program="test") as client:
            return {row.id for row in client.processes(all=True) if row.kind != "system"}
    except NotRunningError:
        return set()


@pytest.fixture(scope="session")
def new_home() -> Callable[[], AbstractContextManager[Home]]:
    """Makes a private home for as long as its maker says; each test that uses it has to enter it."""
    return _private_home


@pytest.fixture(scope="session")
def embedded_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The store with the embedded model in it: pulled once for all tests and workers, removed by the last of them."""
    with _pulled(tmp_path_factory, "embedded", "smollm2") as models:
        yield models


@pytest.fixture(scope="session")
def both_store(tmp_path_factory: pytest.TempPathFactory, embedded_store: Path) -> Iterator[Path]:
    """The same with the embedding model, too."""
    with _pulled(tmp_path_factory, "both", "minilm", embedded_store) as models:
        yield models


@contextmanager
def _pulled(factory: pytest.TempPathFactory, folder: str, model: str, first: Path | None = None) -> Iterator[Path]:
    """A store with this model, and with what is in `first`."""
    base = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent  # that of the whole run
    data = base / folder
    # One at a time pulls or removes (turn); each holds `users` shared as long as it needs the folder.
    with open(base / f"{folder}.turn", "w") as turn, open(base / f"{folder}.users", "w") as users:
        fcntl.flock(turn, fcntl.LOCK_EX)
        fcntl.flock(users, fcntl.LOCK_SH)
        if not data.exists():
            data.mkdir(mode=0o700)
            if first is not None:
                (data / "aish").mkdir(mode=0o700)
                shutil.copytree(first, data / "aish" / "models", copy_function=_link_blob)
        pulled = subprocess.run(
            [sys.executable, "-m", "aish", "model", "pull", model],
            env={**os.environ, "XDG_DATA_HOME": str(data)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        fcntl.flock(turn, fcntl.LOCK_UN)
        if pulled.returncode == 69:
            pytest.skip(f"the embedded model cannot be had here: {pulled.stderr.strip()}")
        assert pulled.returncode == 0, pulled.stderr
        yield data / "aish" / "models"
        fcntl.flock(turn, fcntl.LOCK_EX)
        try:
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return  # another worker still has tests to run
        shutil.rmtree(data)


@pytest.fixture
def embedded_model(home: Home, embedded_store: Path) -> str:
    """The name of the embedded model, which is in this home's store without being fetched again."""
    home.store(embedded_store)
    return "smollm2"


def _link_blob(source: str, target: str) -> None:
    """Blobs never change and may be shared; the index and the locks must not."""
    if "/blobs/" in source:
        try:
            os.link(source, target)
            return
        except OSError:
            pass  # another file system
    shutil.copy2(source, target)


def _left(root: Path) -> list[int]:
    """Who is still there after the shutdown, once keeper and holder, which go last, had a moment to."""
    deadline = time.monotonic() + 5.0
    while (left := _processes_of(root)) and time.monotonic() < deadline:
        time.sleep(0.01)  # they are not our children: there is no event
    return left


def _processes_of(root: Path) -> list[int]:
    """Processes whose environment points into this test's home."""
    marker = f"XDG_RUNTIME_DIR={root}/run".encode()
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdecimal() and int(entry) != os.getpid():
            try:
                environ = Path(f"/proc/{entry}/environ").read_bytes()
            except OSError:
                continue
            if marker in environ.split(b"\0"):
                found.append(int(entry))
    return found


@pytest.fixture(scope="module")
def sim(module_home: Home) -> Iterator[Running]:
    """A scripted provider, whose model is served as `sim`."""
    from aish.plugins.simprovider.thread import Running  # a web server: not for every test

    running = Running()
    try:
        done = module_home.aish("model", "serve", "sim", "--url", running.url)
        assert done.returncode == 0, done.stderr
        yield running
    finally:
        running.stop()
