"""A real supervisor for a test: keeper, holder and daemon in a private home, and short words for talking to it.

The tests of a file share one, as most of their time would else go into starting it; each finds it empty and must not
end its daemon. Who does, or needs a configuration or the first ids, has a home of its own:
`@pytest.mark.usefixtures("home")`.
"""

from __future__ import annotations

import os
import secrets
import select
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from aish.client import Client, connect, launch
from aish.supervisor.holder import link, wire
from aish.wire.message import Events, Forget, Inspect, Logs, Snapshot, Spawn, Stop, Wait
from aish.wire.part import EventPart, ProcessPart
from aish.wire.reply import Done, EventList, Inspected, Started, View, Waited
from aish.wire.spec import LaunchPart, RoutePart, SpecPart
from tests.deadline import DEADLINE_S, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager


class Supervised:
    """A client with the test's own words. `home` is the private home of tests/conftest.py."""

    def __init__(self, home: Any) -> None:
        self.home = home
        self.client: Client = connect(program="test")
        self.first = 0
        """Number of the last event before the test."""

    @property
    def daemon_pid(self) -> int:
        return self.client.welcome.pid

    def spec(self, *argv: str, **fields: Any) -> SpecPart:
        return SpecPart(argv=[os.fsencode(word) for word in argv], cwd=os.fsencode(self.home.root), **fields)

    def spawn(
        self,
        *argv: str,
        environ: dict[str, str] | None = None,
        fds: dict[int, int] | None = None,
        token: str | None = None,
        rename: bool = False,
        part: LaunchPart | None = None,
        **fields: Any,
    ) -> Started:
        """`fds` maps numbers in the child to ours."""
        request = Spawn(
            token=token or secrets.token_hex(16),
            spec=self.spec(*argv, **fields),
            launch=part or launch.capture(environ),
            targets=list(fds or {}),
            rename=rename,
        )
        return self.client.ask(Started, request, list((fds or {}).values()))

    def request(self, *argv: bytes, **fields: Any) -> Spawn:
        """For a connection of its own: the answer comes only when it runs."""
        spec = SpecPart(argv=list(argv), cwd=os.fsencode(self.home.root), **fields)
        return Spawn(token=secrets.token_hex(16), spec=spec, launch=launch.capture())

    def python(self, code: str, *words: str, **fields: Any) -> Started:
        return self.spawn(sys.executable, "-I", "-S", "-c", code, *words, **fields)

    def model(self, *options: str, name: str = "made-up", concurrent: int | None = None) -> str:
        """Start a server of a made-up model, with the options of made_up_model.py; its id."""
        program = os.path.join(os.path.dirname(__file__), "made_up_model.py")
        route = RoutePart(url="http://127.0.0.1:{port}/v1", concurrent=concurrent)
        words = (sys.executable, "-I", "-S", program, "{port}", *options)
        return self.spawn(*words, kind="model", route=route, name=name).id

    def serve(self, *options: str, name: str = "made-up", concurrent: int | None = None) -> str:
        """The same until it is ready."""
        id_ = self.model(*options, name=name, concurrent=concurrent)
        assert self.wait(id_, until="ready").state in ("ready", "running", "idle"), self.log(id_)
        return id_

    def wait(self, target: str, until: str = "ended", timeout_s: float = DEADLINE_S) -> Waited:
        waited = self.client.ask(Waited, Wait(target=target, until=until, timeout_s=timeout_s))
        assert not waited.timed_out, f"{target} is still {waited.state}"
        return waited

    def code(self, target: str) -> int | None:
        end = self.wait(target).exit
        return None if end is None else end.code

    def view(self, **fields: Any) -> View:
        return self.client.ask(View, Snapshot(**fields))

    def row(self, target: str) -> ProcessPart:
        return self.inspect(target).process

    def inspect(self, target: str) -> Inspected:
        return self.client.ask(Inspected, Inspect(target=target))

    def log(self, target: str) -> tuple[str, str]:
        _, fds = self.client.request_with_fds(Logs(target=target))
        texts = []
        for fd in fds:
            with open(fd, "rb") as file:
                texts.append(file.read().decode(errors="replace"))
        return texts[0], texts[1]

    def events(self, since: int = 0) -> list[EventPart]:
        """Those of this test only."""
        found: list[EventPart] = []
        since = max(since, self.first)
        while True:
            page = self.client.ask(EventList, Events(since=found[-1].number if found else since)).events
            if not page:
                return found
            found += page

    def until(self, what: str, holds: Callable[[], bool]) -> None:
        until(what, holds)

    def kill_daemon(self) -> None:
        """SIGKILL, and wait until it is gone: the holder starts another."""
        pidfd = os.pidfd_open(self.daemon_pid)
        try:
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            assert select.select([pidfd], [], [], DEADLINE_S)[0], "SIGKILL did not end the daemon"
        finally:
            os.close(pidfd)

    def next_daemon(self) -> None:
        self.client.reconnect()

    def programs(self) -> dict[str, int]:
        """The pids of daemon, holder and keeper, as they say themselves. Raises HolderError, OSError, TypeError."""
        holder = link.HolderLink.connect(str(self.home.runtime))
        try:
            told = holder.call("hello", version=wire.VERSION, role=wire.CLIENT).body
        finally:
            holder.close()
        pids = {"daemon": told["daemon_pid"], "holder": told["pid"], "keeper": told["keeper_pid"]}
        for name, pid in pids.items():  # never signal anybody else's
            environ = Path(f"/proc/{pid}/environ").read_bytes()
            if not environ:  # it has ended since, and nobody has reaped it yet
                raise ProcessLookupError(f"the {name} has just ended")
            assert str(self.home.root).encode() in environ
        return pids

    def kill_parents(self) -> None:
        """Keeper and holder, at once: neither must notice the other's death."""
        pids = self.holder_pids()
        pidfds = [os.pidfd_open(pid) for pid in pids]
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for pidfd in pidfds:
                signal.pidfd_send_signal(pidfd, number)
        for pidfd in pidfds:
            assert select.select([pidfd], [], [], DEADLINE_S)[0], "SIGKILL did not end it"
            os.close(pidfd)

    def holder_pids(self) -> tuple[int, int]:
        """(keeper, holder), as they say themselves: parents in /proc are others after a take-over, even strangers."""
        found: dict[str, int] = {}

        def told() -> bool:
            try:
                found.update(self.programs())
            except (wire.HolderError, OSError, TypeError):  # one of them is just being replaced
                return False
            return True

        self.until("keeper and holder answer", told)
        return found["keeper"], found["holder"]

    def close(self) -> None:
        self.client.close()


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def gone(pid: int) -> bool:
    """Ended (a zombie has ended)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True


class Shared(Supervised):
    """What one test has of a supervisor that a whole file shares."""

    def __init__(self, home: Any) -> None:
        super().__init__(home)
        self.daemon = self.daemon_pid
        self.first = max((event.number for event in self.client.ask(EventList, Events(last=1)).events), default=0)
        assert not self.table(), "the test before left something"

    def table(self) -> list[ProcessPart]:
        """All but the parts of aish."""
        return [row for row in self.view(all=True, figures=False).processes if row.kind != "system"]

    def clear(self) -> None:
        """End and forget what the test left, so that the next one cannot lean on it."""
        self.client.close()
        self.client = connect(program="test")
        assert self.daemon_pid == self.daemon, "who ends the daemon has a home of its own: usefixtures('home')"
        while rows := self.table():
            for row in rows:
                if row.ended_s is None:
                    self.client.ask(Done, Stop(target=row.id, grace_s=0))
            for row in rows:
                self.wait(row.id)
            for row in rows:
                self.client.ask(Done, Forget(target=row.id))


TIERS = ("control groups", "rlimits")


@pytest.fixture(scope="module", params=TIERS)
def tier(request: pytest.FixtureRequest) -> str:
    """Which tier of limits the supervisor is to have."""
    return str(request.param)


def _configure(home: Any, tier: str) -> None:
    if tier == "rlimits":
        home.config.mkdir()
        (home.config / "config.toml").write_text("[limits]\ncontrol_groups = false\n")


@pytest.fixture(scope="module")
def shared_home(new_home: Callable[[], AbstractContextManager[Any]]) -> Iterator[Any]:
    with new_home() as home:
        yield home


@pytest.fixture(scope="module")
def tiered_home(tier: str, new_home: Callable[[], AbstractContextManager[Any]]) -> Iterator[Any]:
    with new_home() as home:
        _configure(home, tier)
        yield home


@pytest.fixture
def up(request: pytest.FixtureRequest) -> Iterator[Supervised]:
    """A running supervisor: of the test's own home, where it has one; else the file's, with an empty table."""
    own, tiered = ("home" in request.fixturenames, "tier" in request.fixturenames)
    home = request.getfixturevalue("home" if own else "tiered_home" if tiered else "shared_home")
    if own and tiered:
        _configure(home, request.getfixturevalue("tier"))
    log = home.state / "daemon.log"
    begin = log.stat().st_size if log.exists() else 0
    with home.entered():
        supervised = Supervised(home) if own else Shared(home)
        try:
            yield supervised
            if isinstance(supervised, Shared):
                supervised.clear()
        finally:
            supervised.close()
    text = log.read_bytes()[begin:].decode(errors="replace") if log.exists() else ""
    assert "Traceback" not in text, text
    assert "was destroyed" not in text, text
