"""The tool that looks for a pattern in files: by ripgrep, which leaves out what .gitignore names; else by grep."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Final

from aish.plugins.builtin.declined import DeclinedError
from aish.plugins.builtin.shell import entered, run
from aish.plugins.builtin.wish import Wish, one_line

if TYPE_CHECKING:
    from aish.plugins.builtin.places import Places
    from aish.spi.agent_adapter import Confinement

OUTPUT_BYTES: Final = 24 << 10
TIMEOUT_S: Final = 60.0
PATTERN_CHARS: Final = 2000


class Search:
    def __init__(self, places: Places, confinement: Confinement | None = None) -> None:
        self._places, self._confinement = places, confinement

    async def search(self, pattern: str, path: str = ".") -> str:
        """Find lines of files that match a regular expression, as PATH:LINE:TEXT.

        Args:
            pattern: The regular expression.
            path: The folder or file to look in, relative to the working folder.
        """
        if not pattern or len(pattern) > PATTERN_CHARS or "\0" in pattern:
            raise DeclinedError("that is no pattern")
        where = self._places.shown(self._places.readable(path))
        entry = entered(command(pattern, where), self._places.cwd, self._confinement, looking=True)
        text = await run(entry, self._places.cwd, TIMEOUT_S, OUTPUT_BYTES)
        return "nothing found" if text.strip() == "[exit status 1]" else text

    def search_wish(self, pattern: str, path: str = ".") -> Wish:
        real = self._places.readable(path)
        shown = one_line(self._places.shown(real))
        return Wish(title=f"search {shown} for {one_line(pattern)}", grant=f"read:{real}", always=f"reading {shown}")


def command(pattern: str, where: str) -> list[str]:
    """Neither follows links that it meets."""
    if shutil.which("rg"):
        plain = ["rg", "--no-config", "--no-heading", "--line-number", "--with-filename", "--color=never"]
        return [*plain, "--max-columns=300", "--max-columns-preview", "--max-count=50", "-e", pattern, "--", where]
    return ["grep", "-rnHIE", "-m50", "--exclude-dir=.git", "--color=never", "-e", pattern, "--", where]
