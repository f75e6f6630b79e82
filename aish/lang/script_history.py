"""The history of a script: in memory, and empty unless the script asks for one (set -o history, history -s, -r)."""

from __future__ import annotations

from time import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from aish.lang.history_words import Lines
    from aish.lang.runtime import Runtime

_GOES_ON = ("do", "then", "else", "in", "{", "(", "&&", "||", "|", ";;", ";", "&", "!")
"""Words behind which a command of several lines needs no ; when it is written on one."""


class ScriptHistory:
    """`aish.lang.host.History` for a shell without a prompt."""

    def __init__(self, rt: Runtime) -> None:
        self._rt = rt
        self._lines: Lines = []
        self._new = 0
        """Lines at the end of the list that no file had, and none was given."""

    def lines(self) -> Lines:
        """(number, line, when it was run) of each."""
        return list(self._lines)

    def next_number(self) -> int:
        """The number that the next line gets."""
        return self._lines[-1][0] + 1 if self._lines else 1

    def add(self, line: str) -> None:
        """A line that was not read as a command."""
        self._lines.append((self.next_number(), line, time()))
        self._new = 0

    def _add_own(self, line: str) -> None:
        new = self._new + 1
        self.add(line)
        self._new = new

    def delete(self, first: int, last: int, *, disk: bool = True) -> None:
        """Forget lines by their numbers. Those behind them move up."""
        self._new = min(self._new, max(len(self._lines) - last, 0))
        left = [item for item in self._lines if not first <= item[0] <= last]
        self._lines = [(number, line, when) for number, (_, line, when) in enumerate(left, 1)]

    def replace_last(self, line: str) -> None:
        """The command that runs is to stand as `line`; where commands are not recorded, it is another line."""
        if self._rt.history and self._lines:
            self._lines.pop()
            self._new = max(self._new - 1, 0)
        self._add_own(line)

    def new_lines(self) -> Lines:
        """Those that `history -a` has not written yet."""
        new, self._new = self._lines[len(self._lines) - self._new :], 0
        return new

    def is_own(self, path: str) -> bool:
        """No file has them all."""
        return False

    def save(self) -> None:
        """Nothing is kept."""

    def close(self) -> None:
        """Nothing is kept."""

    def record(self, text: str) -> None:
        """A command was read, and is about to run."""
        line = on_one_line(text)
        if kept(self._rt, line, self._lines[-1][1] if self._lines else None):
            self._add_own(line)


def of(rt: Runtime) -> ScriptHistory:
    """The history of a script, made where there is none yet."""
    if rt.typed is None:
        rt.typed = ScriptHistory(rt)
    assert isinstance(rt.typed, ScriptHistory)
    return rt.typed


def kept(rt: Runtime, line: str, last: str | None) -> bool:
    """Whether HISTCONTROL and HISTIGNORE let a line in."""
    if not line.strip():
        return False
    control = (rt.vars.get("HISTCONTROL") or "").split(":")
    both = "ignoreboth" in control
    if line[0] == " " and (both or "ignorespace" in control):
        return False
    if line == last and (both or "ignoredups" in control):
        return False
    from aish.lang.pattern import compiled

    ignored = rt.vars.get("HISTIGNORE") or ""
    return not any(line == last if one == "&" else compiled(one).matches(line) for one in ignored.split(":") if one)


def on_one_line(text: str) -> str:
    """A command of several lines as it is listed: those of quoted text and here-documents stay."""
    lines = text.strip("\n").split("\n")
    if len(lines) == 1 or "<<" in text or any(text.count(quote) % 2 or f"{quote}\n" in text for quote in "'\""):
        return "\n".join(lines)
    found = lines[0]
    for line in lines[1:]:
        if found.endswith("\\"):
            found = found[:-1] + line
        elif not line.strip() or not found.strip() or found.split()[-1] in _GOES_ON or found.endswith(")"):
            found += " " + line
        else:
            found += "; " + line
    return found
