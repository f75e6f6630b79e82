"""The tool that finds the passages of files that are nearest in meaning to a question: by `embed`, which asks the
gateway for their vectors."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import heapq
import json
import os
import shutil
import sys
from typing import TYPE_CHECKING, Final

import numpy as np

from aish.plugins.builtin.bound import bounded
from aish.plugins.builtin.declined import DeclinedError
from aish.plugins.builtin.passages import passages
from aish.plugins.builtin.places import OutsideError
from aish.plugins.builtin.shell import entered, run
from aish.plugins.builtin.wish import Wish, one_line
from aish.tensor.address import ENV_IN, ENV_OUT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from aish.plugins.builtin.files import Files
    from aish.plugins.builtin.passages import Passage
    from aish.plugins.builtin.places import Places
    from aish.spi.agent_adapter import Confinement, Gateway

    Vector = NDArray[np.float32]

FILES_MOST: Final = 300
PASSAGES_MOST: Final = 1500
"""Of one call: a small model on a processor embeds some ten of them in a second."""
KNOWN_MOST: Final = 4 * PASSAGES_MOST
COUNT_MOST: Final = 20
QUERY_CHARS: Final = 4000
LIST_BYTES: Final = 128 << 10
LIST_S: Final = 60.0
ROW_BYTES: Final = 4 << 20
"""Of a line that `embed` prints: 65,536 numbers at the most."""
ERROR_BYTES: Final = 4000


class Nearest:
    """Remembers the vectors of a turn: a second question about the same files costs one embedding."""

    def __init__(
        self, places: Places, files: Files, gateway: Gateway, confinement: Confinement | None = None
    ) -> None:
        self._places, self._files, self._gateway, self._confinement = places, files, gateway, confinement
        self._model = os.environ.get("AISH_EMBED_MODEL") or "default"
        self._known: dict[bytes, Vector] = {}

    async def nearest(self, query: str, paths: list[str], count: int = 5) -> str:
        """Find the passages of text files that are nearest in meaning to a question or description, best first, as
        PATH:FIRST-LAST (similarity) and the text. For exact words or patterns use search, where you have it.

        Args:
            query: The question, or what the passage should be about.
            paths: Files or folders, relative to the working folder.
            count: How many passages.
        """
        found = await self._passages(_checked(query, paths), paths)
        vectors = await self._vectors([query, *(passage.text for passage in found)])
        wanted = vectors[0]
        scored = ((float(wanted @ vector), -at) for at, vector in enumerate(vectors[1:]))
        best = heapq.nlargest(min(max(1, count), COUNT_MOST), scored)
        return "\n\n".join(f"{found[-at].place} ({score:.2f})\n{found[-at].text}" for score, at in best)

    def nearest_wish(self, query: str, paths: list[str], count: int = 5) -> Wish:
        reals = [self._places.readable(path) for path in _checked(query, paths)]
        shown = one_line(", ".join(self._places.shown(real) for real in reals))
        title = f"look in {shown} for what is nearest to {one_line(query)}"
        return Wish(title=title, body=query, grant=f"nearest:{json.dumps(sorted(reals))}", always=f"reading {shown}")

    # --- files ------------------------------------------------------------------------------------------------------

    async def _passages(self, paths: list[str], named: list[str]) -> list[Passage]:
        """Raises DeclinedError, OutsideError."""
        reals: dict[str, bool] = {}
        for path in paths:
            real = self._places.readable(path)
            if os.path.isdir(real):
                reals.update(dict.fromkeys(await self._below(real), False) | reals)
            else:
                reals[real] = True
            if len(reals) > FILES_MOST:
                raise DeclinedError(f"these are more than {FILES_MOST} files: name fewer, or a folder further down")
        found: list[Passage] = []
        for real, is_named in reals.items():
            with contextlib.nullcontext() if is_named else contextlib.suppress(DeclinedError):
                found += passages(self._places.shown(real), self._files.text(real))
            if len(found) > PASSAGES_MOST:
                raise DeclinedError(f"these are more than {PASSAGES_MOST} passages: name fewer files")
        if not found:
            raise DeclinedError(f"there is no text in {one_line(', '.join(named))}")
        return found

    async def _below(self, folder: str) -> list[str]:
        """Its files, as `search` would look at them: without what .gitignore names, where ripgrep is there."""
        where = self._places.shown(folder)
        entry = entered(listing(where), self._places.cwd, self._confinement, looking=True)
        *names, rest = (await run(entry, self._places.cwd, LIST_S, LIST_BYTES)).split("\0")
        if len("\0".join(names).encode("utf-8", "replace")) >= LIST_BYTES or rest.startswith("\n[ended"):
            raise DeclinedError(f"{where} has too many files: name a folder further down")
        found = []
        for name in sorted(names):
            with contextlib.suppress(OutsideError):
                found.append(self._places.readable(name))
        return found

    # --- vectors ----------------------------------------------------------------------------------------------------

    async def _vectors(self, texts: Sequence[str]) -> list[Vector]:
        """Of length 1. Raises DeclinedError."""
        keys = [hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=16).digest() for text in texts]
        lines = {key: _line(text) for key, text in zip(keys, texts, strict=True)}
        missing = [key for key in lines if key not in self._known]
        if len(self._known) + len(missing) > KNOWN_MOST:
            self._known.clear()
            missing = list(lines)
        found = await self._embedded([lines[key] for key in missing])
        self._known.update(zip(missing, found, strict=True))
        return [self._known[key] for key in keys]

    async def _embedded(self, lines: Sequence[str]) -> list[Vector]:
        """By a process of its own, which can be ended whatever it waits for."""
        if not lines:
            return []
        environ = {name: value for name, value in os.environ.items() if name not in (ENV_IN, ENV_OUT)}
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "aish.tensor", "embed", "--lines", "--model", self._model),
            env={**environ, "OPENAI_BASE_URL": self._gateway.base_url, "OPENAI_API_KEY": self._gateway.key},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=ROW_BYTES,
        )
        try:
            async with asyncio.TaskGroup() as all_three:
                all_three.create_task(_fed(process, "\n".join(lines)))
                rows = all_three.create_task(_rows(process))
                said = all_three.create_task(_said(process))
            status = await process.wait()
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
            raise
        if status != 0 or len(rows.result()) != len(lines):
            raise DeclinedError(f"no model has embedded these texts: {said.result() or f'exit status {status}'}")
        return rows.result()


async def _fed(process: asyncio.subprocess.Process, text: str) -> None:
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it has ended, and says why
        process.stdin.write(text.encode("utf-8", "replace"))
        await process.stdin.drain()
    process.stdin.close()


async def _rows(process: asyncio.subprocess.Process) -> list[Vector]:
    assert process.stdout is not None
    return [np.array(json.loads(line)["embedding"], np.float32) async for line in process.stdout]


async def _said(process: asyncio.subprocess.Process) -> str:
    """The end of what it writes to stderr."""
    assert process.stderr is not None
    text = b""
    while piece := await process.stderr.read(1 << 16):
        text = (text + piece)[-ERROR_BYTES:]
    return bounded(text.decode("utf-8", "replace").strip(), ERROR_BYTES)


def _line(text: str) -> str:
    """One that `embed` does not take for blank."""
    return " ".join(text.replace("\ufeff", " ").split()) or "."


def _checked(query: str, paths: list[str]) -> list[str]:
    if not query.strip() or len(query) > QUERY_CHARS:
        raise DeclinedError(f"the query has to have 1 to {QUERY_CHARS} characters")
    if not paths or len(paths) > FILES_MOST:
        raise DeclinedError(f"paths has to name 1 to {FILES_MOST} files or folders")
    return paths


def listing(where: str) -> list[str]:
    """Neither follows links that it meets, nor shows hidden files."""
    if shutil.which("rg"):
        return ["rg", "--no-config", "--files", "--null", "--", where]
    return ["find", where, "-mindepth", "1", "-name", ".*", "-prune", "-o", "-type", "f", "-print0"]
