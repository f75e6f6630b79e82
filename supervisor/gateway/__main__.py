"""`python -m aish.supervisor.gateway`: the gateway's process.

It listens on descriptor 3 (LISTEN_FDS=1, as systemd and aish's holder pass it), or for runs by hand on
`--listen 127.0.0.1:PORT`. Folders come from the XDG variables: gateway.db, gateway.lock and secret in the state
folder, daemon.sock in the runtime folder.

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
from aish.supervisor.gateway.log import log, take_over_logging
from aish.wire import key

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from aish.supervisor.gateway.records import Records

LISTEN_FD: Final = 3
PR_SET_DUMPABLE: Final = 4
LOCK_S: Final = 5.0
HANGS_S: Final = 8.0
"""What the end may take in all, before the 10 s of grace that the daemon gives: a disk or a name server may hold a
thread for ever. What was committed by then is kept, and the next gateway settles the rest, as after a kill."""


def main(arguments: list[str] | None = None) -> int:
    """Run until SIGTERM. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="aish.supervisor.gateway", description="The one address for models.")
    parser.add_argument("--listen", metavar="127.0.0.1:PORT", help="for runs by hand; else descriptor 3 is taken")
    options = parser.parse_args(arguments)
    take_over_logging()
    _close_memory()
    try:
        sock = _listening(options.listen)
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
        return _run(_serve(sock, secret, records, alert))
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


async def _serve(sock: socket.socket, secret: bytes, records: Records, alert: str | None) -> int:
    stop = asyncio.Event()
    faults = 0

    def failed() -> None:
        nonlocal faults
        faults += 1
        stop.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    host, port = sock.getsockname()[:2]
    base_url = f"http://{f'[{host}]' if ':' in host else host}:{port}/v1"
    gateway = Gateway(
        secret=secret,
        records=records,
        daemon_socket=folders.daemon_socket(),
        base_url=base_url,
        failed=failed,
        alert=alert,
    )
    await gateway.start(sock)
    _spare_the_collector()
    log("start", f"{base_url} pid {os.getpid()}")
    await stop.wait()
    log("stop", "finishing what is under way")
    signal.signal(signal.SIGALRM, signal.SIG_DFL)  # of the kernel, which no thread of ours holds up
    signal.setitimer(signal.ITIMER_REAL, HANGS_S)
    await gateway.close()
    return InternalError.exit_status if faults else 0


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


def _listening(address: str | None) -> socket.socket:
    """The bound socket. Raises UsageError, ConflictError."""
    if address is None:
        return _inherited()
    host, _, port = address.rpartition(":")
    try:
        ip = ipaddress.ip_address(host.strip("[]") if host != "localhost" else "127.0.0.1")
        number = int(port)
    except ValueError:
        raise UsageError(f"not an address: {address}", hint="such as --listen 127.0.0.1:0") from None
    _loopback(str(ip))
    sock = socket.socket(socket.AF_INET6 if ip.version == 6 else socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((str(ip), number))
    except (OSError, OverflowError) as error:
        sock.close()
        reason = error.strerror if isinstance(error, OSError) else "no such port"
        raise ConflictError(f"cannot listen on {address}: {reason}", hint="choose another port") from error
    return sock


def _inherited() -> socket.socket:
    if os.environ.get("LISTEN_FDS") != "1" or os.environ.get("LISTEN_PID", str(os.getpid())) != str(os.getpid()):
        raise UsageError("no listening socket was passed", hint="run by hand with --listen 127.0.0.1:0")
    try:
        sock = socket.socket(fileno=LISTEN_FD)
        os.set_inheritable(LISTEN_FD, False)
    except OSError as error:
        raise UsageError(f"descriptor {LISTEN_FD} is not a socket: {error.strerror}") from error
    if sock.family not in (socket.AF_INET, socket.AF_INET6):
        raise UsageError(f"descriptor {LISTEN_FD} is not a TCP socket")
    _loopback(sock.getsockname()[0])
    return sock


def _loopback(host: str) -> None:
    if not ipaddress.ip_address(host).is_loopback:
        raise UsageError(f"{host} is not the loopback: other machines could reach it", hint="use 127.0.0.1")


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
