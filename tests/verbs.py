"""Verbs as processes of their own, forked from one interpreter that has read what all of them need.

Half of a verb's time is Python reading msgspec and the client; tests start some thousand of them. What they run in is
a process like any other, with its own descriptors, folder, environment and end; what a verb itself imports is not
read before. The start of `aish` as a program has tests of its own: tests/launcher, tests/docs, tests/shell.
"""

from __future__ import annotations

import array
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from typing import IO, Any

_OURS = {"capture_output", "text", "timeout", "env", "stdin", "input", "cwd", "stdout", "stderr"}
MOST_BYTES = 1 << 18
MOST_CHARS = 10_000


class Verbs:
    """Like subprocess.run for `aish WORDS…`, as long as it lives. It is found by nobody who looks for a test's
    processes: its environment is its own."""

    def __init__(self) -> None:
        self._ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        words = [sys.executable, "-P", __file__, str(theirs.fileno())]
        environ = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL") if name in os.environ}
        self._process = subprocess.Popen(words, pass_fds=[theirs.fileno()], env=environ, stdin=subprocess.DEVNULL)
        theirs.close()

    def close(self) -> None:
        self._ours.close()
        self._process.wait()

    @staticmethod
    def takes(words: tuple[str, ...], options: dict[str, Any]) -> bool:
        """What else there is to say of a process is said to subprocess; so are words that are no text or too many,
        and what an interpreter reads at its start."""
        environ = options.get("env")
        said = options.keys() <= _OURS and isinstance(environ, dict) and "PYTHONPATH" not in environ
        return said and all(isinstance(word, str) for word in words) and sum(map(len, words)) < MOST_CHARS

    def run(self, words: tuple[str, ...], options: dict[str, Any]) -> subprocess.CompletedProcess[Any]:
        """Raises subprocess.TimeoutExpired; the process is killed then."""
        given, text = options.get("input"), bool(options.get("text"))
        data = given.encode() if isinstance(given, str) else given or b""
        piped = subprocess.PIPE if options.get("capture_output") else None
        reads, opened = {}, []  # by number in the child: our end of what it writes
        told, end = os.pipe()
        theirs = []
        write: int | None = None
        for number, name in enumerate(("stdin", "stdout", "stderr")):
            wanted = options.get(name, piped if number else subprocess.PIPE if given is not None else None)
            if wanted == subprocess.PIPE:
                read, other = os.pipe()
                if number:
                    reads[number], fd = read, other
                else:
                    write, fd = other, read
                opened.append(fd)
            elif wanted == subprocess.DEVNULL:
                fd = os.open(os.devnull, os.O_RDWR)
                opened.append(fd)
            elif wanted == subprocess.STDOUT:
                fd = theirs[1]
            else:
                fd = number if wanted is None else _number(wanted)
            theirs.append(fd)
        request = {
            "words": words,
            "cwd": os.fspath(options.get("cwd") or os.getcwd()),
            "env": options["env"],
        }
        try:
            fds = array.array("i", [*theirs, end])
            self._ours.sendmsg([json.dumps(request).encode()], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)])
        finally:
            for fd in [*opened, end]:
                os.close(fd)
        pid = int.from_bytes(os.read(told, 4), "little")
        assert pid, "the interpreter of the verbs has ended"
        try:
            outputs = _talk(write, data, reads, told, options.get("timeout"))
        except TimeoutError:
            os.kill(pid, signal.SIGKILL)
            raise subprocess.TimeoutExpired(["aish", *words], options["timeout"]) from None
        status = int.from_bytes(outputs.pop(0), "little", signed=True)
        shown = [outputs.get(number) for number in (1, 2)]
        made = [_text(each) if text and each is not None else each for each in shown]
        return subprocess.CompletedProcess(["aish", *words], status, *made)


def _number(file: int | IO[Any]) -> int:
    return file if isinstance(file, int) else file.fileno()


def _text(data: bytes) -> str:
    return data.decode().replace("\r\n", "\n").replace("\r", "\n")  # as subprocess does


def _talk(
    write: int | None, data: bytes, reads: dict[int, int], told: int, timeout_s: float | None
) -> dict[int, bytes]:
    """Until everybody has closed what they write to, as subprocess does. By number; 0 is the status. Raises
    TimeoutError."""
    deadline_s = None if timeout_s is None else time.monotonic() + timeout_s
    found = dict.fromkeys((0, *reads), b"")
    with selectors.DefaultSelector() as waiting:
        for number, fd in {0: told, **reads}.items():
            waiting.register(fd, selectors.EVENT_READ, number)
        if write is not None:
            os.set_blocking(write, False)
            waiting.register(write, selectors.EVENT_WRITE)
        try:
            while waiting.get_map():
                left_s = None if deadline_s is None else deadline_s - time.monotonic()
                if left_s is not None and left_s <= 0:
                    raise TimeoutError
                for ready, _ in waiting.select(left_s):
                    fd = ready.fd
                    if fd == write:
                        try:
                            data = data[os.write(fd, data[:65536]) :] if data else b""
                        except BrokenPipeError:
                            data = b""
                        over = not data
                    else:
                        got = os.read(fd, 65536)
                        found[ready.data] += got
                        over = not got
                    if over:
                        waiting.unregister(fd)
                        os.close(fd)
        finally:
            for key in list(waiting.get_map().values()):
                os.close(key.fd)
    return found


# --- the other side -------------------------------------------------------------------------------------------------


def serve(line: socket.socket) -> None:
    """Fork for each request until nobody is left who could ask."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for who waits for the verb
    while True:
        data, ancillary, _, _ = line.recvmsg(MOST_BYTES, socket.CMSG_SPACE(16))
        if not data:
            return
        fds = array.array("i")
        for _, _, packed in ancillary:
            fds.frombytes(packed)
        if os.fork() == 0:
            line.close()
            _attend(json.loads(data), list(fds))
        for fd in fds:
            os.close(fd)


def _attend(request: dict[str, Any], fds: list[int]) -> None:
    """The verb's parent: its pid first, its end afterwards."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    pid = os.fork()
    if pid == 0:
        _become(request, fds)
    os.write(fds[3], pid.to_bytes(4, "little"))
    for fd in (0, 1, 2, *fds[:3]):
        os.close(fd)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    os.write(fds[3], status.to_bytes(4, "little", signed=True))
    os._exit(0)


def _become(request: dict[str, Any], fds: list[int]) -> None:
    os.close(fds[3])
    for number, fd in enumerate(fds[:3]):
        os.dup2(fd, number)
        os.close(fd)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    time.tzset()
    sys.argv = ["aish", *request["words"]]
    sys.stdin = open(0, closefd=False)  # noqa: SIM115  they are this process's as long as it lives
    sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", errors="backslashreplace", closefd=False)  # noqa: SIM115

    from aish.cli import entry

    entry()


if __name__ == "__main__":
    import argparse  # noqa: F401  what verbs have in common

    import aish.cli.dispatch
    import aish.client  # noqa: F401

    serve(socket.socket(fileno=int(sys.argv[1])))
