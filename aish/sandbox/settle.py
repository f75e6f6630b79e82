"""From what a spec says to what it means where it is started: the folder, the programs, no links. Reads folders."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import msgspec

from aish.sandbox import around as surroundings
from aish.sandbox import paths
from aish.wire.sandbox import SandboxPart

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aish.sandbox.around import Around


def settle(part: SandboxPart, cwd: bytes, environ: Sequence[bytes], program: bytes, around: Around) -> SandboxPart:
    """`cwd` is written to unless it is, or is above, the home: then nothing of it is, as shells read files there."""
    if part.settled:
        return part
    folder = os.path.realpath(os.fsdecode(cwd))
    write = [_real(path) for path in part.write]
    if not paths.within(around.home, folder):
        write.append(folder)
    search = next((os.fsdecode(entry[5:]) for entry in environ if entry.startswith(b"PATH=")), "")
    named = [os.path.join(folder, os.fsdecode(program))] if b"/" in program else []
    read = [*(_real(path) for path in part.read), *surroundings.tools(search, named, around.home)]
    read += [os.path.dirname(os.path.realpath(path)) for path in named if not paths.covered(path, write)]
    read = [path for path in paths.tidy(read) if path != "/" and not paths.within(around.home, path)] + [
        _real(path) for path in part.read
    ]
    return msgspec.structs.replace(
        part,
        write=[os.fsencode(path) for path in paths.tidy(write)],
        read=[os.fsencode(path) for path in paths.tidy(read) if not paths.covered(path, write)],
        hide=[os.fsencode(path) for path in paths.tidy(_hidden(part.hide))],
        settled=True,
    )


def _real(path: bytes) -> str:
    return os.path.realpath(os.fsdecode(path))


def _hidden(given: Sequence[bytes]) -> list[str]:
    """By both names, where one is a link."""
    words = [os.path.normpath(os.fsdecode(path)) for path in given]
    return [*words, *map(os.path.realpath, words)]
