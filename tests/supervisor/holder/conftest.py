"""A real keeper and holder in a folder of their own, and a controller's connection to them."""

from __future__ import annotations

import os
import select
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from aish.supervisor.holder import kernel, link, wire

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

PATIENCE_S = 20.0
PATH = b"PATH=/usr/local/bin:/usr/bin:/bin"


def gone(pid: int, timeout_s: float = PATIENCE_S) -> bool:
    """Whether `pid` is dead, or dies within the time."""
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        return bool(poll.poll(timeout_s * 1000))
    finally:
        os.close(pidfd)


def alive(pid: int) -> bool:
    """Whether `pid` runs (a zombie does not)."""
    return not gone(pid, 0)


def eventually(true: Callable[[], Any], what: str, timeout_s: float = PATIENCE_S) -> Any:
    """Wait for what /proc or a file shows: the kernel has no event for it."""
    deadline = time.monotonic() + timeout_s
    while not (result := true()):
        assert time.monotonic() < deadline, f"never: {what}"
        select.select([], [], [], 0.005)
    return result


def payload(argv: Sequence[str | bytes], **changes: Any) -> bytes:
    """A payload with an ordinary environment, changed where the test says so."""
    fields: dict[str, Any] = {"env": [PATH], "cwd": b"/", "umask": 0o022, "nice": os.nice(0)} | changes
    return wire.encode_payload([os.fsencode(word) for word in argv], **fields)


class World:
    """One runtime folder, its keeper and holder, and a connection (the controller unless told otherwise)."""

    gone = staticmethod(gone)
    alive = staticmethod(alive)
    eventually = staticmethod(eventually)
    payload = staticmethod(payload)
    patience_s = PATIENCE_S

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.runtime_dir = str(folder / "run")
        self.log = folder / "log"
        self.null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
        self.links: list[link.HolderLink] = []
        self.seen: list[dict[str, Any]] = []
        self._known: dict[int, int] = {}  # pid: start time, of all that must be dead in the end

    def launch(self, daemon_argv: Sequence[str] | None = None, **options: Any) -> World:
        link.launch(self.runtime_dir, daemon_argv, str(self.log), **options)
        return self

    def connect(self, role: str = wire.CONTROLLER) -> link.HolderLink:
        """A new connection that has said hello; the first one is `self.link`."""
        connection = link.HolderLink.connect(self.runtime_dir)
        self.links.append(connection)
        self.hello = connection.call("hello", version=wire.VERSION, role=role).body
        for key in ("pid", "keeper_pid", "daemon_pid"):
            self.note(self.hello[key])
        self.link = connection
        return connection

    def note(self, pid: int | None) -> None:
        """Remember a process that has to be gone in the end."""
        started = None if pid is None else kernel.start_time(pid)
        if pid is not None and started is not None:
            self._known[pid] = started

    def call(self, op: str, fds: Sequence[int] = (), **fields: Any) -> dict[str, Any]:
        """A request and its reply, through `self.link`."""
        return self.link.call(op, fds, timeout_s=PATIENCE_S, **fields).body

    def spawn(
        self, id: str, argv: Sequence[str | bytes], fds: Sequence[int] | None = None, **changes: Any
    ) -> dict[str, Any]:
        """Spawn and wait for the reply. Raises Refusal."""
        memfd = wire.payload_fd(payload(argv, **changes))
        try:
            reply = self.call("spawn", [memfd, *([self.null] * 3 if fds is None else fds)], id=id)
        finally:
            os.close(memfd)
        self.note(reply["pid"])
        return reply

    def events(self, enough: Callable[[list[dict[str, Any]]], bool], timeout_s: float = PATIENCE_S) -> None:
        """Collect pushed events in `self.seen` until there are enough."""
        deadline = time.monotonic() + timeout_s
        poll = select.poll()
        while True:
            self.link.on_writable()
            poll.register(self.link, select.POLLIN | (select.POLLOUT if self.link.wants_write else 0))
            if self.link.backlog or poll.poll(0):
                self.seen += [message.body for message in self.link.on_readable() if "event" in message.body]
            if enough(self.seen):
                return
            left_s = deadline - time.monotonic()
            assert left_s > 0, f"missing events; {len(self.seen)} seen, the last {self.seen[-1:]}"
            poll.poll(left_s * 1000)

    def exit(self, id: str) -> dict[str, Any]:
        """The exit event of `id`, waited for."""

        def found() -> list[dict[str, Any]]:
            return [event for event in self.seen if event["event"] == "exit" and event["id"] == id]

        self.events(lambda _: bool(found()))
        return found()[-1]

    def everything(self, op: str = "list") -> dict[str, list[dict[str, Any]]]:
        """All pages of `list` or `names`."""
        pages: dict[str, list[dict[str, Any]]] = {}
        cursor: dict[str, Any] = {}
        while True:
            page = self.call(op, **cursor)
            for key, rows in page.items():
                if isinstance(rows, list):
                    pages.setdefault(key, []).extend(rows)
            if page["next"] is None:
                return pages
            cursor = {"after": page["next"]}

    def output(self, id: str, argv: Sequence[str | bytes], **changes: Any) -> bytes:
        """What a child writes to its standard output and error until both are closed."""
        ours, theirs = os.pipe()
        with open(ours, "rb") as pipe:
            try:
                self.spawn(id, argv, [self.null, theirs, theirs], **changes)
            finally:
                os.close(theirs)
            return pipe.read()

    def kill(self, who: str) -> None:
        """SIGKILL the holder ("pid") or the keeper ("keeper_pid") of the last hello."""
        os.kill(self.hello[who], signal.SIGKILL)
        assert gone(self.hello[who])

    def replace(self, who: str) -> None:
        """Kill it, and connect to the holder that there is once somebody has taken over."""
        dead: int = self.hello[who]
        self.kill(who)

        def answered() -> bool:
            try:
                self.connect()
            except link.GoneError:
                return False
            return dead not in (self.hello["pid"], self.hello["keeper_pid"])

        eventually(answered, "another holder answers")

    def close(self) -> None:
        """End all of it, however the test left it."""
        for connection in self.links:
            connection.close()
        os.close(self.null)
        for pid, started in self._known.items():
            if kernel.start_time(pid) == started:
                for target in (os.kill, os.killpg):
                    try:
                        target(pid, signal.SIGKILL)
                    except OSError:  # it ended meanwhile, or leads no group
                        continue
                assert gone(pid)


def end_roles(world: World) -> None:
    """Keepers and holders follow one another: kill until nobody listens."""

    def nobody_listens() -> bool:
        try:
            connection = link.HolderLink.connect(world.runtime_dir)
        except link.GoneError:
            return True
        try:
            hello = connection.call("hello", version=wire.VERSION, role=wire.CLIENT).body
        except link.GoneError:  # one that is about to change its role
            return False
        finally:
            connection.close()
        world.note(hello["daemon_pid"])
        for pid in (hello["keeper_pid"], hello["pid"]):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
            assert gone(pid)
        return False

    eventually(nobody_listens, "keeper and holder are gone")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Not launched yet."""
    made = World(tmp_path)
    try:
        yield made
    finally:
        end_roles(made)
        made.close()


@pytest.fixture
def held(world: World) -> World:
    """Launched without a daemon, with the controller's connection."""
    world.launch()
    world.connect()
    return world


@pytest.fixture(scope="module")
def _lasting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("holder"))
    try:
        made.launch()
        made.connect()
        yield made
    finally:
        end_roles(made)
        made.close()


@pytest.fixture
def lasting(_lasting: World) -> Iterator[World]:
    """The file's: for what is refused. Nothing may come of it, in the holder neither."""
    before = _lasting.everything(), os.listdir(f"/proc/{_lasting.hello['pid']}/fd")
    assert before[0] == {"children": [], "exits": []}
    yield _lasting
    assert (_lasting.everything(), os.listdir(f"/proc/{_lasting.hello['pid']}/fd")) == before
