"""A program on disk is tried before the daemon leaves for it: where it does not start nothing has been given up.

A child runs just the words that the holder would run, and `--check BUILD`. It loads every part of a daemon, compiles
every other file of the program, reads the process table as it is and says hello to the holder. What it leaves out is
the take-over itself, which nobody can do beside us.
"""

from __future__ import annotations

import asyncio
import importlib
import os
import pkgutil
import re
import sqlite3
import sys
import time
from asyncio import subprocess
from contextlib import closing
from typing import Final
from urllib.parse import quote

import aish
from aish.config import folders
from aish.errors import AishError, VersionError
from aish.supervisor.daemon.build import fingerprint
from aish.supervisor.daemon.journal import SCHEMA, decode_rows, later_version
from aish.supervisor.holder import kernel, link, wire

CHECK: Final = "--check"
PATIENCE_S: Final = 60.0
"""Loading takes a second or two; on a machine that swaps, longer."""
REASON_CHARS: Final = 300
_CHANGED: Final = 3
_PLACE: Final = re.compile(r'^ +File "([^"]+)", line (\d+)', re.MULTILINE)


class ChangedError(Exception):
    """The files are not those that were to be tried: somebody is just replacing them."""


# --- in the daemon --------------------------------------------------------------------------------------------------


async def why_not(build: str) -> str | None:
    """Why the program on disk, which has this fingerprint, does not start; None: it does. Raises ChangedError."""
    words = [*sys.orig_argv, CHECK, build]
    try:
        child = await asyncio.create_subprocess_exec(
            *words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
    except OSError as error:
        return f"{words[0]} cannot be run: {error.strerror}"
    try:
        async with asyncio.timeout(PATIENCE_S):
            said = (await child.communicate())[1].decode(errors="replace").rstrip()
    except TimeoutError:
        return f"it had not come up after {PATIENCE_S:.0f} s"
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    if child.returncode == 0:
        return None
    if child.returncode == _CHANGED:
        raise ChangedError
    kernel.say(f"{time.strftime('%Y-%m-%dT%H:%M:%S')} build {build} was tried, and does not start\n{said}")
    return reason(said) or f"it ended with status {child.returncode}"


def reason(said: str) -> str:
    """The last line, and where that was: the last place of a traceback that is of ours. Pure."""
    line = said.rstrip().rpartition("\n")[2].strip()[:REASON_CHARS]
    places = [match for match in _PLACE.finditer(said) if f"{os.sep}aish{os.sep}" in match[1]]
    return f"{line} ({os.path.basename(places[-1][1])}, line {places[-1][2]})" if places else line


# --- in the child ---------------------------------------------------------------------------------------------------


def check(build: str) -> int:
    """0 where a daemon of these files could take over; else stderr says why, last of all in one line."""
    if fingerprint() != build:
        return _CHANGED
    try:
        _compile_all()
        _load_all()
        _read_table(os.path.join(folders.state(), folders.TABLE))
        _greet_holder()
    except AishError as error:
        print(error, file=sys.stderr)
        return 1
    except SyntaxError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)  # its place is in its words
        return 1
    return 0 if fingerprint() == build else _CHANGED


def _compile_all() -> None:
    """What is loaded later, or by others, at least compiles. Raises SyntaxError."""
    todo = list(aish.__path__)
    while todo:
        with os.scandir(todo.pop()) as entries:
            for entry in entries:
                if entry.name.endswith(".py"):
                    with open(entry.path, "rb") as file:
                        compile(file.read(), entry.path, "exec", dont_inherit=True)
                elif entry.is_dir() and entry.name != "__pycache__":
                    todo.append(entry.path)


def _load_all() -> None:
    """Every module of the daemon, also those that it loads when they are needed. Raises what they raise."""
    for found in pkgutil.walk_packages([os.path.dirname(__file__)], f"{__package__}."):
        if not found.name.endswith(".__main__"):
            importlib.import_module(found.name)


def _read_table(path: str) -> None:
    """Raises VersionError, StorageError: rows that this program cannot read. A disk that does not let us read says
    nothing about the program."""
    try:
        with closing(sqlite3.connect(f"file:{quote(path)}?mode=ro", uri=True)) as db:
            (version,) = db.execute("PRAGMA user_version").fetchone()
            if version > SCHEMA:
                raise later_version(path)
            blobs = [blob for (blob,) in db.execute("SELECT row FROM processes")]
    except sqlite3.Error:
        return
    decode_rows(path, blobs)


def _greet_holder() -> None:
    """Raises VersionError. One that is just away, or stands still, says nothing about the program."""
    try:
        holder = link.HolderLink.connect(folders.runtime())
        try:
            holder.call("hello", version=wire.VERSION, role=wire.CLIENT)
        finally:
            holder.close()
    except wire.Refusal as refusal:
        if refusal.code == "version":
            raise VersionError(f"the holder does not speak its version {wire.VERSION}: {refusal.message}") from None
    except (wire.HolderError, OSError):
        return
