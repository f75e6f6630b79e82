"""Our place at the terminal of a process: the lease to write, if we have it, over as many daemons as it takes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from aish.client.master import Master
from aish.errors import DisconnectedError, InternalError
from aish.wire.message import Attach
from aish.wire.part import ExitPart
from aish.wire.reply import Attached, Waited

if TYPE_CHECKING:
    from aish.client.connection import Client


class Seat:
    """Takes the client's connection for itself."""

    def __init__(self, client: Client, process: str, *, write: bool, take: bool = False) -> None:
        self.client = client
        self.process = process
        self.write = write
        """Whether we have the lease, or want it. Who lost it, or never had it, does not ask for it at the next
        daemon: there it would be first come, and could be taken from who has it now."""
        self.take = take
        self.master: Master | None = None
        self.lease: str | None = None
        """Who has it, for people."""
        self.end: ExitPart | None = None

    def ask(self) -> None:
        """`arrived` is to be called when the client is readable."""
        request = Attach(target=self.process, write=self.write, take=self.take, terminal=_terminal())
        self.client.send(request)

    def arrived(self) -> bool:
        """Take in what came: a terminal, the loss of the lease, the end, or another daemon; False for the last.

        Raises ConflictError (it has no terminal) and what else the daemon reports.
        """
        try:
            reply, fds = self.client.receive_with_fds()
        except DisconnectedError:
            self.again()
            return False
        if isinstance(reply, Waited):
            self.end = reply.exit or ExitPart()
        elif isinstance(reply, Attached):
            self._sit(reply, fds)
        else:
            raise InternalError(f"the daemon answered {type(reply).__name__} to attach")
        return True

    def _sit(self, reply: Attached, fds: list[int]) -> None:
        self.close()
        self.lease = reply.lease
        self.write, self.take = reply.writer, False
        if reply.writer:
            if len(fds) != 1:
                raise InternalError(f"the daemon gave the lease with {len(fds)} descriptors")
            self.master = Master(fds.pop())
        for fd in fds:
            os.close(fd)

    def leave(self) -> None:
        """Give the lease back: a client that is stopped must not keep it."""
        self.client.close()
        self.close()

    def again(self) -> None:
        """At the next daemon, or after `leave`. The lease is for who comes first."""
        self.client.reconnect()
        self.ask()

    def close(self) -> None:
        if self.master is not None:
            self.master.close()
            self.master = None


def _terminal() -> str:
    try:
        return os.ttyname(0)
    except OSError:
        return ""
