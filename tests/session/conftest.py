"""Sessions as clients have them: a process, lines in, lines out, each waited for with a deadline."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from aish.supervisor.daemon import proc, tags

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conftest import Home

DEADLINE_S = 60.0
FRONT = (sys.executable, "-P", "-m", "aish.cli.fronting", "--unsupervised=a test")


class Session:
    """A client of one session."""

    def __init__(self, words: tuple[str, ...], environ: dict[str, str], folder: Path) -> None:
        self.folder = folder
        self.process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environ, cwd=folder, bufsize=0
        )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.stdin, self.stdout = self.process.stdin, self.process.stdout
        self._rest = b""
        self.ready = self.answer()

    def write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[self.stdin.write(view) :]

    def send(self, type: str, **fields: Any) -> None:
        self.write(json.dumps({"type": type, **fields}).encode() + b"\n")

    def answer(self) -> dict[str, Any]:
        """The next line."""
        until_s = time.monotonic() + DEADLINE_S
        while b"\n" not in self._rest:
            assert select.select([self.stdout], [], [], max(0.0, until_s - time.monotonic()))[0], "no answer"
            data = os.read(self.stdout.fileno(), 65536)
            assert data, f"the session has ended: {self.process.wait(DEADLINE_S)}"
            self._rest += data
        line, _, self._rest = self._rest.partition(b"\n")
        found: dict[str, Any] = json.loads(line)
        return found

    def until(self, type: str, **fields: Any) -> dict[str, Any]:
        """The next answer of that kind."""
        while True:
            found = self.answer()
            if found["type"] == type and all(found[name] == value for name, value in fields.items()):
                return found

    def run(self, command: str, **fields: Any) -> dict[str, Any]:
        """A command's result."""
        self.send("run", command=command, **fields)
        found = self.answer()
        assert found["type"] == "result", found
        return found

    def out(self, command: str, **fields: Any) -> str:
        """What a command that succeeds writes to stdout."""
        found = self.run(command, **fields)
        assert (found["status"], found["stderr"]) == (0, ""), found
        text: str = found["stdout"]
        return text

    def ask(self, type: str, **fields: Any) -> dict[str, Any]:
        self.send(type, **fields)
        return self.answer()

    def end(self) -> list[dict[str, Any]]:
        """Close stdin; what is still answered. The session has ended well."""
        self.stdin.close()
        found = []
        while not found or found[-1]["type"] != "closed":
            found.append(self.answer())
        assert self.process.wait(DEADLINE_S) == 0
        return found

    def close(self) -> None:
        for stream in (self.stdin, self.stdout):
            stream.close()
        try:
            self.process.wait(DEADLINE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise

    def file(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.write_text(text)
        return path

    def pid_in(self, name: str) -> int:
        """The number that a command writes to a file, once it is there."""
        path = self.folder / name
        wait_for(lambda: path.exists() and path.read_text().endswith("\n"), f"{name} is not written")
        return int(path.read_text())


def wait_for(true: Callable[[], bool], what: str) -> None:
    """Of processes that are not ours there is no event."""
    until_s = time.monotonic() + DEADLINE_S
    while not true():
        assert time.monotonic() < until_s, what
        time.sleep(0.005)


def lives(pid: int) -> bool:
    """Whether it is there, and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] not in (b"Z", b"X")
    except OSError:
        return False


def processes(session: Session) -> set[int]:
    """All of the session's, but for its front, its warden and its shell."""
    own = session.ready["pid"]
    found = [pid for pid in tags.below([own], proc.tree(), set()) if lives(pid)]
    return set(found) - {own, *proc.children(own), *(pid for each in proc.children(own) for pid in shells(each))}


def shells(warden: int) -> list[int]:
    """Its first child is the shell; the others are what has lost its parents."""
    return proc.children(warden)[:1]


def gone(*pids: int) -> None:
    wait_for(lambda: not any(map(lives, pids)), "something of the session is left")


LEAVER = """
import os, sys, time
def leave(name):  # as daemon(3): away from parent, group and session
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            with open(name + ".new", "w") as file:
                file.write(f"{os.getpid()}\\n")
            os.rename(name + ".new", name)
            time.sleep(600)
        os._exit(0)
    os.wait()
leave(sys.argv[1])
"""


@pytest.fixture
def leaver(tmp_path: Path) -> str:
    """Words of a program that starts a daemon without any mark, and ends; the daemon's pid is in the file that is
    named behind them."""
    path = tmp_path / "leaver.py"
    path.write_text(LEAVER)
    return f"env -i {sys.executable} -I -S {path}"


@pytest.fixture
def open_session(shared_home: Home, tmp_path: Path) -> Iterator[Callable[..., Session]]:
    """open_session(*options): a session without a supervisor, in a folder of the test's own."""
    opened: list[Session] = []

    def start(*options: str) -> Session:
        opened.append(Session((*FRONT, *options), shared_home.environ, tmp_path))
        return opened[-1]

    yield start
    for session in opened:
        session.close()


@pytest.fixture(scope="module")
def module_session(module_home: Home) -> Iterator[Session]:
    session = Session((*FRONT, "--grace-s=0.3"), module_home.environ, module_home.root)
    yield session
    session.close()


@pytest.fixture
def session(module_session: Session, tmp_path: Path) -> Session:
    """One that a file's tests share: each has a fresh shell in its own folder, and nothing that runs."""
    module_session.folder = tmp_path
    assert module_session.ask("reset")["type"] == "done"
    assert module_session.run(":", cwd=str(tmp_path))["background"] == []
    return module_session
