"""The front's side of warden and shell: starting them, sending a command, hearing of its end and of theirs."""

from __future__ import annotations

import marshal
import os
import signal
import socket
from typing import TYPE_CHECKING

from aish.errors import UnavailableError
from aish.session import shell, warden
from aish.session.shell import Order, Report

if TYPE_CHECKING:
    from typing import Final

    from aish.lang.host import Host


START_S: Final = 10.0
"""More than a fork takes on a busy machine."""


class Crew:
    """`shell` is its pid while it lives, else 0. When the warden is gone, so is the shell."""

    def __init__(self, host: Host, first: tuple[int, socket.socket]) -> None:
        self._host = host
        self.warden, link = first
        self.shell = 0
        self.shell_raw = 0
        """How the last shell ended, as waitpid has it."""
        self.link: socket.socket | None = link
        self.control: socket.socket | None = None

    @property
    def is_ready(self) -> bool:
        return self.shell > 0 and self.control is not None

    def start(self) -> None:
        """A shell, and a warden where there is none. Raises UnavailableError."""
        try:
            if self.link is None:
                self.warden, self.link = warden.start(self._host)
            self._close_control()
            self.shell = 0  # one that is about to end is none
            self.control, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            self.signal_warden(signal.SIGCONT)  # a command may have stopped it
            self.link.settimeout(START_S)
            with its:
                socket.send_fds(self.link, [warden.START], [its.fileno()])
            while not self.shell:
                self._hear(self.link.recv(64))
            self.link.settimeout(None)
        except OSError as error:
            why = "its parent does not answer" if isinstance(error, TimeoutError) else error.strerror
            raise UnavailableError(f"the shell of the session cannot be started: {why}") from None

    def _hear(self, word: bytes) -> None:
        """Of the warden. b"": it is gone, and by the kernel's hand the shell with it."""
        match word.split():
            case [b"shell", pid]:
                self.shell = int(pid)
            case [b"ended", pid, raw]:
                if int(pid) == self.shell:
                    self.shell, self.shell_raw = 0, int(raw)
            case [b"failed", number]:
                raise OSError(int(number), os.strerror(int(number)))
            case _:
                self.shell, self.shell_raw, self.warden = 0, signal.SIGKILL, 0
                if self.link is not None:
                    self.link.close()
                    self.link = None
                raise OSError(0, "its parent has ended")

    def news(self) -> None:
        """To be called when the link has something to say."""
        if self.link is None:
            return
        try:
            self._hear(self.link.recv(64, socket.MSG_DONTWAIT))
        except BlockingIOError:
            return
        except OSError:
            return  # noted

    def send(self, order: Order, out: int, err: int) -> None:
        """Raises OSError: it has ended, or there is no descriptor left."""
        assert self.control is not None
        text = os.memfd_create("command", os.MFD_CLOEXEC)
        try:
            with open(text, "wb", closefd=False) as file:
                file.write(shell.packed(order))
            os.lseek(text, 0, os.SEEK_SET)
            socket.send_fds(self.control, [shell.RUN], [text, out, err])
        finally:
            os.close(text)

    def report(self) -> Report | None:
        """What the shell says of its command; None: nothing yet, or it is gone."""
        if self.control is None:
            return None
        try:
            data = self.control.recv(shell.MESSAGE_BYTES, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return None
        except OSError:
            data = b""
        try:
            return Report(*marshal.loads(data))  # noqa: S302  of our own shell
        except (EOFError, ValueError, TypeError):  # nothing, or a part of a message
            self._close_control()  # the link tells how it ended
            return None

    def leave(self) -> None:
        """Have an idle shell run its EXIT trap and end."""
        if self.control is not None:
            try:
                self.control.send(shell.LEAVE, socket.MSG_DONTWAIT)
            except OSError:
                return  # it has ended

    def signal_shell(self, number: int) -> None:
        if self.shell:
            try:
                os.kill(self.shell, number)
            except ProcessLookupError:
                return  # the link will tell

    def signal_warden(self, number: int) -> None:
        if self.warden:
            try:
                os.kill(self.warden, number)
            except ProcessLookupError:
                return  # the link will tell

    def close(self) -> None:
        """The warden ends whatever is left, and then itself."""
        self._close_control()
        if self.link is not None:
            self.link.close()
            self.link = None

    def _close_control(self) -> None:
        if self.control is not None:
            self.control.close()
            self.control = None
