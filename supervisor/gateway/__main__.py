"""`python -m aish.supervisor.gateway`: the gateway's process.

It listens on descriptor 3 and perhaps 4 (LISTEN_FDS, as systemd and aish's holder pass them), or for runs by hand on
`--listen 127.0.0.1:PORT`; beyond the loopback only where it is told so by `--beyond-loopback`. Folders come from the
XDG variables: gateway.db, gateway.lock and secret in the state folder, daemon.sock in the runtime folder.

Exit status: 0 after SIGTERM or SIGINT (SIGALRM where its end hung), 2 bad arguments, 69 another gateway runs or the
port is taken, 70 a fault of our own (it is in the log; the daemon starts another gateway), 74 storage.
"""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import fcntl
import gc
import ipaddress
import os
import resource
import signal
import socket
import sys
import time
from typing import TYPE_CHECKING, Final

from aish.config import folders
from aish.errors import AishError, ConflictError, InternalError, StorageError, UsageError
from aish.supervisor.gateway.damage import open_records
from aish.supervisor.gateway.gateway import Gateway
from aish.supervisor.gateway.hosts import Hosts
from aish.supervisor.gateway.log import log, take_over_logging
from aish.wire import key

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from aish.supervisor.gateway.records import Records

LISTEN_FD: Final = 3
PR_SET_DUMPABLE: Final = 4
_COUNTS: Final = ("1", "2")
"""Of sockets: the loopback's, and that of an address that was told."""
LOCK_S: Final = 5.0
HANGS_S: Final = 8.0
"""What the end may take in all, before the 10 s of grace that the daemon gives: a disk or a name server may hold a
thread for ever. What was committed by then is kept, and the next gateway settles the rest, as after a kill."""


def main(arguments: list[str] | None = None) -> int:
    """Run until SIGTERM. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="aish.supervisor.gateway", description="The one address for models.")
    parser.add_argument("--listen", metavar="127.0.0.1:PORT", help="for runs by hand; else descriptor 3 is taken")
    beyond = "sockets that other machines reach are served, too: there is no TLS here"
    parser.add_argument("--beyond-loopback", action="store_true", help=beyond)
    parser.add_argument("--host", action="append", default=[], metavar="NAME", help="a name of this machine")
    options = parser.parse_args(arguments)
    take_over_logging()
    _close_memory()
    try:
        socks = _listening(options.listen, beyond=options.beyond_loopback)
        hosts = Hosts([sock.getsockname()[0] for sock in socks], options.host)
        state = folders.private(folders.state())
        lock = _lock(os.path.join(state, "gateway.lock"))
        secret = key.load_secret(os.path.join(state, "secret"))
        records, alert = open_records(os.path.join(state, "gateway.db"))
    except AishError as error:
        log("start", f"{error}" + (f" ({error.hint})" if error.hint else ""))
        return error.exit_status
    try:
        if alert is not None:
            log("start", alert)
        return _run(_serve(socks, hosts, secret, records, alert))
    except AishError as error:
        log("start", f"{error}" + (f" ({error.hint})" if error.hint else ""))
        return error.exit_status
    finally:
        os.close(lock)


def _close_memory() -> None:
    """No core file, also where the kernel pipes one to a program, which RLIMIT_CORE does not keep it from (core(5));
    and no reading of our memory by other programs of this user (ptrace(2), /proc/PID/mem): real keys are in it."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        log("start", f"its memory can be read by others of this user: {os.strerror(ctypes.get_errno())}")


async def _serve(socks: list[socket.socket], hosts: Hosts, secret: bytes, records: Records, alert: str | None) -> int:
    stop = asyncio.Event()
    faults = 0

    def failed() -> None:
        nonlocal faults
        faults += 1
        stop.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    base_url = _url(*socks[0].getsockname()[:2])
    gateway = Gateway(
        secret=secret,
        records=records,
        daemon_socket=folders.daemon_socket(),
        base_url=base_url,
        failed=failed,
        alert=alert,
        hosts=hosts,
    )
    await gateway.start(*socks)
    _spare_the_collector()
    log("start", f"{base_url} pid {os.getpid()}")
    await stop.wait()
    log("stop", "finishing what is under way")
    signal.signal(signal.SIGALRM, signal.SIG_DFL)  # of the kernel, which no thread of ours holds up
    signal.setitimer(signal.ITIMER_REAL, HANGS_S)
    await gateway.close()
    return InternalError.exit_status if faults else 0


def _url(host: str, port: int) -> str:
    """What programs of this machine are told."""
    address = ipaddress.ip_address(host)
    if address.is_unspecified:
        host = "127.0.0.1" if address.version == 4 else "::1"
    return f"http://{f'[{host}]' if address.version == 6 else host}:{port}/v1"


def _spare_the_collector() -> None:
    """What is here now stays, and what a request makes goes with its references: looking for cycles at the usual pace
    took a seventh of the time of a request (docs/performance.md)."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def _run(work: Coroutine[object, object, int]) -> int:
    try:
        import uvloop
    except ImportError:
        return asyncio.run(work)
    return uvloop.run(work)


def _listening(address: str | None, *, beyond: bool) -> list[socket.socket]:
    """The bound sockets, one at least. Raises UsageError, ConflictError."""
    if address is None:
        return _inherited(beyond=beyond)
    host, _, port = address.rpartition(":")
    try:
        ip = ipaddress.ip_address(host.strip("[]") if host != "localhost" else "127.0.0.1")
        number = int(port)
    except ValueError:
        raise UsageError(f"not an address: {address}", hint="such as --listen 127.0.0.1:0") from None
    _allowed(str(ip), beyond=beyond)
    sock = socket.socket(socket.AF_INET6 if ip.version == 6 else socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((str(ip), number))
    except (OSError, OverflowError) as error:
        sock.close()
        reason = error.strerror if isinstance(error, OSError) else "no such port"
        raise ConflictError(f"cannot listen on {address}: {reason}", hint="choose another port") from error
    return [sock]


def _inherited(*, beyond: bool) -> list[socket.socket]:
    count = os.environ.get("LISTEN_FDS", "")
    if count not in _COUNTS or os.environ.get("LISTEN_PID", str(os.getpid())) != str(os.getpid()):
        raise UsageError("no listening socket was passed", hint="run by hand with --listen 127.0.0.1:0")
    return [_socket(fd, beyond=beyond) for fd in range(LISTEN_FD, LISTEN_FD + int(count))]


def _socket(fd: int, *, beyond: bool) -> socket.socket:
    try:
        sock = socket.socket(fileno=fd)
        os.set_inheritable(fd, False)
    except OSError as error:
        raise UsageError(f"descriptor {fd} is not a socket: {error.strerror}") from error
    if sock.family not in (socket.AF_INET, socket.AF_INET6):
        raise UsageError(f"descriptor {fd} is not a TCP socket")
    _allowed(sock.getsockname()[0], beyond=beyond)
    return sock


def _allowed(host: str, *, beyond: bool) -> None:
    if not beyond and not ipaddress.ip_address(host).is_loopback:
        hint = "use 127.0.0.1, or say --beyond-loopback"
        raise UsageError(f"{host} is not the loopback: other machines could reach it", hint=hint)


def _lock(path: str) -> int:
    """Held as long as we live: there is one writer of gateway.db. Waits for a predecessor that is ending."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise StorageError(f"cannot open {path}: {error.strerror}") from error
    deadline_s = time.monotonic() + LOCK_S
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return fd
        except BlockingIOError:
            if time.monotonic() > deadline_s:
                os.close(fd)
                raise ConflictError("another gateway of this user runs", hint="aish ps --all shows it") from None
            time.sleep(0.05)


if __name__ == "__main__":
    sys.exit(main())
