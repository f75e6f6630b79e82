"""`python -m aish.supervisor.egress`: the egress proxy's process.

It listens on descriptor 3 (LISTEN_FDS=1, as systemd and aish's holder pass it) for sandboxes without a network of
their own, and on the doors that the daemon passes. The daemon's socket is found by the XDG variables.

Exit status: 0 after SIGTERM or SIGINT, 2 no socket was passed, 70 a fault of our own (it is in the log).
"""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import socket
import sys
import traceback
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from aish.config import folders
from aish.errors import InternalError, UsageError
from aish.supervisor.egress.guests import Guests
from aish.supervisor.egress.link import Link
from aish.supervisor.egress.server import DIALS_MOST, Server, say

LISTEN_FD: Final = 3


def main() -> int:
    """Run until SIGTERM. Returns the exit status."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # what passes through is not ours
    try:
        sock = _inherited()
    except UsageError as error:
        say(f"{error} ({error.hint})")
        return error.exit_status
    return _run(sock)


async def _serve(sock: socket.socket) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(DIALS_MOST))  # of the few that there are else, one guest takes all
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    link = Link(folders.daemon_socket(), say)
    link.guests = Guests(link.send)
    server = Server(link.guests)
    link.doors = server.doors
    listener = await server.listen(None, sock)
    linked = loop.create_task(link.run(), name="link")
    stopping = loop.create_task(stop.wait(), name="stop")
    say(f"http://127.0.0.1:{sock.getsockname()[1]} pid {os.getpid()}")
    await asyncio.wait((linked, stopping), return_when=asyncio.FIRST_COMPLETED)
    status = 0
    if linked.done():  # it ends by a fault alone
        error = linked.exception()
        say("".join(traceback.format_exception(error)) if error is not None else "its link has ended")
        status = InternalError.exit_status
    listener.close()
    await server.close()
    link.guests.tally.flush()
    for task in (linked, stopping):
        task.cancel()
    return status


def _run(sock: socket.socket) -> int:
    try:
        import uvloop
    except ImportError:
        return asyncio.run(_serve(sock))
    return uvloop.run(_serve(sock))


def _inherited() -> socket.socket:
    """Raises UsageError."""
    hint = "the supervisor starts it: aish run --sandbox dev -- PROGRAM"
    if os.environ.get("LISTEN_FDS") != "1" or os.environ.get("LISTEN_PID", str(os.getpid())) != str(os.getpid()):
        raise UsageError("no listening socket was passed", hint=hint)
    try:
        sock = socket.socket(fileno=LISTEN_FD)
        os.set_inheritable(LISTEN_FD, False)
    except OSError as error:
        raise UsageError(f"descriptor {LISTEN_FD} is not a socket: {error.strerror}", hint=hint) from error
    if sock.family != socket.AF_INET or not sock.getsockname()[0].startswith("127."):
        raise UsageError(f"descriptor {LISTEN_FD} is not of the loopback", hint=hint)
    sock.setblocking(False)
    return sock


if __name__ == "__main__":
    sys.exit(main())
