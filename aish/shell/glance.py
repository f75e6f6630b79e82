"""What the prompt shows at a glance: parts that are there at once, and parts that the companion brings later."""

from __future__ import annotations

import os

from aish.config import folders
from aish.lang.prompts import short_folder
from aish.shell import terminal_marks
from aish.shell.need import figures

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from aish.lang.runtime import Runtime
    from aish.shell.companion.link import Link

    Parts = list[tuple[str, str]]

SLOW_S = 2.0
"""From so long on a command's duration is told."""
_WITHIN_S = 3.0


class Glance:
    """`changed` is called when a part has come."""

    def __init__(self, rt: Runtime, link: Link) -> None:
        self.rt = rt
        self.link = link
        self.changed: Callable[[], None] | None = None
        self.duration_s = 0.0
        self._folder = ""
        self._branch: str | None = None
        self._dirty: bool | None = None
        self._gpu: tuple[int, int] | None = None

    def look(self) -> None:
        """A prompt comes: ask for what takes long. What was true in this folder is shown until then."""
        cwd = self.rt.vars.get("PWD") or "/"
        if cwd != self._folder:
            self._folder, self._branch, self._dirty = cwd, None, None
        path = self.rt.vars.get("PATH") or ""

        def branch(found: object) -> None:
            if cwd == self._folder:
                self._branch = found if isinstance(found, str) else None
                if self._branch:
                    self.link.begin("dirty", _WITHIN_S, dirty, cwd=cwd, path=path)
                self._told()

        def dirty(found: object) -> None:
            if cwd == self._folder:
                self._dirty = found if isinstance(found, bool) else None
                self._told()

        def gpu(found: object) -> None:
            if isinstance(found, list):
                self._gpu = (found[0], found[1])
                self._told()

        self.link.begin("branch", _WITHIN_S, branch, cwd=cwd)
        self.link.begin("gpu", _WITHIN_S, gpu)

    def _told(self) -> None:
        if self.changed is not None:
            self.changed()

    def parts(self, status: int, *, venv: bool = True) -> Parts:
        """(style, text) of the whole prompt."""
        found: Parts = []
        counts = figures(folders.runtime())
        asks, running = counts.get("asks", 0), counts.get("running", 0)
        if asks:
            found += [("class:aish.need", "1 needs you" if asks == 1 else f"{asks} need you"), ("", " ")]
        if running:
            found += [("class:aish.running", f"⏵{running}"), ("", " ")]
        name = self.rt.vars.get("VIRTUAL_ENV_PROMPT") or os.path.basename(self.rt.vars.get("VIRTUAL_ENV") or "")
        if name and venv:
            found += [("class:aish.venv", f"({printable(name).strip('() ')})"), ("", " ")]
        found += self._place()
        if self._branch:
            mark = "*" if self._dirty else ""
            found += [("", " "), ("class:aish.branch", self._branch + mark)]
        if self._gpu is not None:
            found += [("", " "), ("class:aish.gpu", f"gpu {_gib(self._gpu[0])}/{_gib(self._gpu[1])}G")]
        if self.duration_s >= SLOW_S:
            found += [("", " "), ("class:aish.duration", duration(self.duration_s))]
        sign = "#" if os.geteuid() == 0 else "$"
        if status:
            found += [("", " "), ("class:aish.bad", str(status))]
        return [*found, ("", " "), ("class:aish.bad" if status else "class:aish.good", f"{sign} ")]

    def _place(self) -> Parts:
        text = printable(short_folder(self.rt))
        if not terminal_marks.takes_links(self.rt.values):
            return [("class:aish.folder", text)]
        link = terminal_marks.address(self.rt.vars.get("PWD") or "/")
        return [
            ("[ZeroWidthEscape]", f"\x1b]8;;{link}\x1b\\"),
            ("class:aish.folder", text),
            ("[ZeroWidthEscape]", "\x1b]8;;\x1b\\"),
        ]


def printable(text: str) -> str:
    """A folder's name may be anything; a terminal obeys some of it."""
    return "".join([char if char.isprintable() else "?" for char in text])


def _gib(size_bytes: int) -> str:
    return f"{size_bytes / (1 << 30):.0f}"


def duration(seconds: float) -> str:
    """2.3s, 4m05s, 1h02m"""
    if seconds < 60:
        return f"{seconds:.1f}s"
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}m{rest:02d}s" if minutes < 60 else f"{minutes // 60}h{minutes % 60:02d}m"
