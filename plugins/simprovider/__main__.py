"""python -m aish.plugins.simprovider: serve until SIGTERM. Its address is the first line of its output.

Exit status: 2 wrong options, 69 the address cannot be had.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import socket
import sys
from typing import TYPE_CHECKING

from aish.errors import AishError, UnavailableError, UsageError
from aish.plugins.simprovider.faults import FAULTS
from aish.plugins.simprovider.server import LLAMACPP, Provider
from aish.report import report

if TYPE_CHECKING:
    from collections.abc import Sequence

PROGRAM = "simprovider"


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m aish.plugins.simprovider", description="A simulated provider of models."
    )
    parser.add_argument("--listen", default="127.0.0.1:0", metavar="HOST:PORT", help="(127.0.0.1, any port)")
    parser.add_argument("--llamacpp", action="store_true", help="with the paths that llama.cpp has besides")
    parser.add_argument("--faults", action="store_true", help="list the faults, and end")
    options = parser.parse_args(argv)
    if options.faults:
        for name, fault in FAULTS.items():
            print(f"{name:20}{fault.what}")
        return 0
    try:
        sock = _bound(options.listen)
    except AishError as error:
        report(PROGRAM, error)
        return error.exit_status
    asyncio.run(_serve(sock, LLAMACPP if options.llamacpp else ""))
    return 0


def _bound(address: str) -> socket.socket:
    """Raises UsageError, UnavailableError."""
    host, _, port = address.rpartition(":")
    if not port.isdecimal():
        raise UsageError(f"not an address: {address}", hint="such as --listen 127.0.0.1:8090")
    try:
        return socket.create_server((host.strip("[]"), int(port)), family=_family(host), reuse_port=False)
    except (OSError, OverflowError) as error:
        raise UnavailableError(f"cannot listen on {address}: {error}") from error


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


async def _serve(sock: socket.socket, engine: str) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    server = await Provider(engine=engine).serve(sock)
    host, port = sock.getsockname()[:2]
    print(f"http://{f'[{host}]' if ':' in host else host}:{port}/v1", flush=True)
    await stop.wait()
    server.close()


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
