"""One look whether a process does its job: a command, an HTTP GET, a connection, a line in its log."""

from __future__ import annotations

import asyncio
import os
import ssl
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from aish.supervisor.daemon.errands import ErrandError
from aish.supervisor.daemon.logs import STREAMS
from aish.supervisor.daemon.ports import PLACE
from aish.wire import authorities

if TYPE_CHECKING:
    from aish.supervisor.daemon.errands import Errands
    from aish.supervisor.daemon.logs import Logs
    from aish.supervisor.daemon.process import Process
    from aish.wire.spec import ProbePart

LOOK_BYTES: Final = 1 << 20
"""Of a log, in one look; the rest in the next."""


class Probes:
    def __init__(self, errands: Errands, logs: Logs) -> None:
        self.errands, self.logs = errands, logs

    async def ask(self, process: Process, probe: ProbePart, what: str) -> str | None:
        """None: yes. Else why not, in words. Raises UnaskedError where nobody could be asked."""
        if probe.command:
            return await self._command(process, probe, what)
        try:
            async with asyncio.timeout(probe.timeout_s):
                if probe.url is not None:
                    return await _http(_filled(probe.url, process))
                if probe.address is not None:
                    return await _connects(_filled(probe.address, process))
                if probe.pattern is not None:
                    return self._logged(process, probe.pattern)
                return "it has not told yet"
        except TimeoutError:
            return f"no answer within {probe.timeout_s:g} s"
        except (OSError, ValueError, OverflowError) as error:
            return _why(error)

    async def _command(self, process: Process, probe: ProbePart, what: str) -> str | None:
        try:
            end = await self.errands.run(process, what, probe.command, probe.timeout_s, patient=False)
        except ErrandError as error:
            return str(error)
        return None if end.code == 0 else f"its probe ended with {end.shell_status}"

    def _logged(self, process: Process, text: str) -> str | None:
        """Whether a line of this run has the text. What was looked at is not looked at again."""
        wanted = text.encode(errors="surrogateescape")
        for stream in STREAMS:
            fd = self.logs.read(process.id, stream)
            try:
                at = process.log_from.get(stream, 0)
                data = os.pread(fd, LOOK_BYTES, at)
            finally:
                os.close(fd)
            if wanted in data:
                return None
            at += max(0, len(data) - len(wanted) + 1)  # it may be half there
            process.log_from = {**process.log_from, stream: at}
        return f"no line with {text!r} yet"


def _why(error: Exception) -> str:
    """In the system's words: asyncio has its own, `Connect call failed ('127.0.0.1', 1)`."""
    if not isinstance(error, OSError) or isinstance(error, ssl.SSLError):  # whose numbers are OpenSSL's
        return str(error)
    if error.errno is None and error.args and str(error.args[0]).startswith("Multiple exceptions"):
        return "no address of it accepts a connection"
    known = error.errno is not None and error.errno > 0  # below: the resolver's
    return os.strerror(error.errno or 0) if known else error.strerror or str(error)


def _filled(text: str, process: Process) -> str:
    return text.replace(PLACE, str(process.row.port)) if process.row.port is not None else text


async def _http(url: str) -> str | None:
    """A GET in HTTP/1.1; only the status line of the answer is read."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    context = authorities.trusted() if parts.scheme == "https" else None
    reader, writer = await asyncio.open_connection(host, port, ssl=context)
    try:
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        writer.write(f"GET {path} HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: close\r\n\r\n".encode())
        await writer.drain()
        words = (await reader.readuntil(b"\n")).split(None, 2)
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        return f"{url} does not speak HTTP"
    finally:
        writer.close()
    status = int(words[1]) if len(words) > 1 and words[0].startswith(b"HTTP/") and words[1].isdigit() else 0
    return None if 200 <= status < 400 else f"{url} answers {status or 'no HTTP'}"


async def _connects(address: str) -> str | None:
    if address.startswith("unix:"):
        _, writer = await asyncio.open_unix_connection(address.removeprefix("unix:"))
    else:
        host, _, port = address.rpartition(":")
        _, writer = await asyncio.open_connection(host.strip("[]"), int(port))
    writer.close()
    return None
