"""Real keys that a command prints: a password store, a desktop's keyring, a vendor's login helper."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from dataclasses import dataclass, field
from typing import Final

from aish.config import keyring
from aish.errors import StorageError, UnavailableError
from aish.sealed import sealed
from aish.wire.spec import SecretPart

KEEP_S: Final = 300.0
ANSWER_S: Final = 30.0
"""A keyring may ask the person first."""
AGAIN_S: Final = 5.0
"""How soon a command that failed is run again: it may ask a person each time."""
MOST_BYTES: Final = 64 << 10
_ROOM: Final = MOST_BYTES + (16 << 10)
"""What is too long must be seen to be so."""


@dataclass(slots=True)
class _Printed:
    text: str = ""
    since_s: float = 0.0
    stale: bool = True
    failed: str | None = None
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)


class KeyCommands:
    """What each command printed last; it is run by one request at a time, and the others wait for that."""

    def __init__(self, *, keep_s: float = KEEP_S, answer_s: float = ANSWER_S, again_s: float = AGAIN_S) -> None:
        self._keep_s, self._answer_s, self._again_s = keep_s, answer_s, again_s
        self._printed: dict[str, _Printed] = {}

    async def fetch(self, source: SecretPart, name: str) -> None:
        """Have the key of the server `name` at hand. Raises StorageError."""
        printed = self._printed.setdefault(_id(source), _Printed())
        async with printed.turn:
            age_s = time.monotonic() - printed.since_s
            if printed.failed is not None and age_s < self._again_s:
                raise StorageError(printed.failed)
            if printed.failed is None and not printed.stale and age_s < self._keep_s:
                return
            printed.failed, printed.stale = None, True  # and stay so where nobody waits for it to the end
            try:
                printed.text = await self._run(source)
                printed.stale = False
            except (OSError, UnavailableError) as error:
                reason = error.strerror if isinstance(error, OSError) else str(error)
                printed.failed = f"the key of {name} cannot be had from {source.told()}: {reason}"
                raise StorageError(printed.failed) from error
            finally:
                printed.since_s = time.monotonic()

    def text(self, source: SecretPart) -> str:
        """What was fetched last."""
        printed = self._printed.get(_id(source))
        return printed.text if printed is not None else ""

    def refused(self, source: SecretPart) -> None:
        """A server does not take it: the next request is to have another."""
        printed = self._printed.get(_id(source))
        if printed is not None:
            printed.stale = True

    async def _run(self, source: SecretPart) -> str:
        argv = source.command if source.keyring is None else keyring.lookup(source.keyring)
        with sealed("aish-key", _ROOM) as fd:
            code = await self._ended(argv, fd)
            text = os.pread(fd, _ROOM, 0).rstrip(b"\0")
        if len(text) > MOST_BYTES:  # it may have been refused the rest, and have failed for that
            raise UnavailableError(f"it printed more than {MOST_BYTES >> 10} KiB")
        if code != 0:
            raise UnavailableError(f"it ended with {code if code > 0 else 128 - code}")
        return text.decode(errors="replace").partition("\n")[0].strip()

    async def _ended(self, argv: list[bytes], out: int) -> int:
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=out,
            stderr=asyncio.subprocess.DEVNULL,  # it may say there what it was to keep
            cwd=os.path.expanduser("~"),
            start_new_session=True,
        )
        try:
            return await asyncio.wait_for(process.wait(), self._answer_s)
        except TimeoutError:
            raise UnavailableError(f"it did not end within {self._answer_s:g} s") from None
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


def _id(source: SecretPart) -> str:
    return f"{source.keyring}\0" + "\0".join(os.fsdecode(word) for word in source.command)
