"""Another program in the same process: execve of the code on disk, with everything that a process keeps.

Pid, children, locks, sockets, journal and terminals stay; what is in no file and no kernel object goes as JSON
through a memfd, with the numbers of the descriptors that are let through. The holder goes first, the keeper when the
new holder is seen at work (it is asked again): at every instant one of the two is sound, and takes over from the
other if that dies of its new code. What has ended meanwhile is a zombie, which either looks for when it begins.

The code is tried before: a child that only loads it must say that it is the wanted build and can read the state.
"""

from __future__ import annotations

import errno
import json
import os
import sys
import time

from . import birth, build, kernel, wire
from .estate import Estate, Options
from .journal import ack_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from .holder import Holder
    from .journal import Child
    from .peers import Peer

VERSION = 2  # of the state: what one program writes and the next one reads
CHECK = ".check"  # the id of the child that tries the new code: no client can name it
PATIENCE_S = 10.0  # for that child, for births under way, for the keeper's word
BUILD_CHARS = 64
_MAIN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "__main__.py")


class Succession:
    """The operation `upgrade`. `due` is the monotonic time at which `tick` wants to be called, or None."""

    def __init__(self, holder: Holder, keeper_build: str) -> None:
        self.holder = holder
        self.keeper_build = keeper_build
        self.due: float | None = None
        self._asked: tuple[Peer, int] | None = None
        self._build = ""
        self._checked = False

    def upgrade(self, peer: Peer, seq: int, message: dict[str, Any], fds: list[int]) -> dict[str, Any] | None:
        """Whoever is behind, the holder first, becomes `build`. For the holder the answer is the end of the line."""
        wanted = message.get("build")
        if not isinstance(wanted, str) or not 0 < len(wanted) <= BUILD_CHARS:
            raise wire.Refusal("bad-request", f"build: 1 to {BUILD_CHARS} characters")
        if self.holder.farewell.closing:
            raise wire.Refusal("closing", "the holder is about to end")
        if self._asked is not None or CHECK in self.holder.children or CHECK in self.holder.births:
            raise wire.Refusal("busy", "another upgrade is under way")
        if wanted == build.OWN == self.keeper_build:
            return {"upgraded": False}
        self._asked, self._build, self._checked = (peer, seq), wanted, False
        self.due = time.monotonic() + PATIENCE_S
        try:
            self.holder.begin(CHECK, _check_plan(self.holder.estate, wanted), [0, 1, 2], [self._born])
        except wire.Refusal as refusal:
            self._refuse(f"the new program cannot be tried: {refusal.message}")
        return None

    def _born(self, result: Child | birth.Failure) -> None:
        if isinstance(result, birth.Failure):
            self._refuse(f"the new program cannot be tried: {result.refusal().message}")

    def checked(self, child: Child, status: int | None) -> None:
        """The child that tried the new code has ended."""
        self.holder.estate.journal.append(ack_line([CHECK]))
        del self.holder.children[CHECK]
        if self._asked is None:
            return  # of a holder before, or it took too long
        if status != 0:
            self._refuse(f"the new program does not start: wait status {status}; its words are in the log")
            return
        self._checked = True
        if self._build != build.OWN:
            return  # as soon as no birth is under way: see `tick`
        try:
            wire.send(self.holder.control, wire.encode({"op": "upgrade"}))
        except OSError as error:
            self._refuse(f"the keeper cannot be told: {error.strerror}")

    def tick(self, now: float) -> None:
        """Between two turns: become the new program if all is ready."""
        if self._checked and self._build != build.OWN and not self.holder.births:
            number = become(self.holder.estate, "holder", self.holder.state(), [self.holder.control.fileno()])
            self._refuse(f"the new program cannot be run: {os.strerror(number)}")
        elif self.due is not None and now >= self.due:
            self._refuse(f"it was not done within {PATIENCE_S:g} s")

    def keeper_said(self, told: str | None, number: int | None) -> None:
        """The keeper's build, with every word about exits; or the errno of an execve that failed."""
        if number is not None:
            self._refuse(f"the keeper cannot run the new program: {os.strerror(number)}")
            return
        if told is None or told == self.keeper_build:
            return
        self.keeper_build = told
        if self._asked is not None and self._checked:
            (peer, seq), self._asked, self.due = self._asked, None, None
            peer.send({"seq": seq, "ok": True, "upgraded": True})

    def _refuse(self, text: str) -> None:
        if self._asked is None:
            return
        (peer, seq), self._asked, self.due, self._checked = self._asked, None, None, False
        self.holder.say(f"no upgrade to {self._build}: {text}")
        peer.send({"seq": seq, **wire.Refusal("upgrade", text).reply()})


def _check_plan(estate: Estate, wanted: str) -> birth.Plan:
    words = [sys.executable, "-I", "-S", _MAIN, "--check", wanted, str(VERSION)]
    return birth.daemon_plan([os.fsencode(word) for word in words], estate.environment, estate.limits)


def check(own: str, wanted: str, version: str) -> int:
    """In that child, which has loaded everything by now: 0 if this is the wanted build and reads such a state."""
    if own != wanted:
        print(f"the holder's files are build {own}, not {wanted}: are they just being replaced?", file=sys.stderr)
        return 3
    if version != str(VERSION):
        print(f"the holder's state is version {version}; this one reads {VERSION}", file=sys.stderr)
        return 3
    return 0


def become(estate: Estate, role: str, more: dict[str, Any], fds: Iterable[int]) -> int:
    """execve. Returns only where that fails, with everything as it was: the errno."""
    state = {"version": VERSION, "role": role, role: more, "estate": estate.state()}
    kept = [0, 1, 2, *estate.fds(), *fds]
    try:
        memfd = wire.payload_fd(json.dumps(state, separators=(",", ":")).encode())
    except OSError as error:
        return error.errno or errno.ENOMEM
    words = [sys.executable, "-I", "-S", _MAIN, *estate.options.words(), "--resume", str(memfd)]
    argv = kernel.vector([os.fsencode(word) for word in words])
    try:
        for fd in (*kept, memfd):
            os.set_inheritable(fd, True)
        return kernel.execve(argv[0] or b"", argv, kernel.vector(estate.environment))
    finally:
        for fd in kept:
            os.set_inheritable(fd, False)
        os.close(memfd)


def resumed(options: Options, memfd: int) -> tuple[Estate, str, dict[str, Any]]:
    """In the new program: what the one before owned, its role, and what was that role's alone."""
    with open(memfd, "rb") as file:
        file.seek(0)
        state = json.load(file)
    if state["version"] != VERSION:
        raise ValueError(f"state version {state['version']}, expected {VERSION}")
    for fd in (0, 1, 2):
        os.set_inheritable(fd, False)
    return Estate.inherited(options, state["estate"]), state["role"], state[state["role"]]
