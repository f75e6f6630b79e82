"""The history of a script: in memory, and empty unless the script asks for one (set -o history, history -s, -r)."""

from __future__ import annotations

from time import time

from aish.lang.digits import saturated
from aish.lang.history_text import Files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from aish.lang.history_words import Lines
    from aish.lang.runtime import Runtime


class ScriptHistory:
    """`aish.lang.host.History` for a shell without a prompt."""

    def __init__(self, rt: Runtime) -> None:
        self._rt = rt
        self.files = Files()
        self._first = 1
        """The number of the first line: those before it went when there was no room."""
        self._texts: list[tuple[str, float]] = []
        self._own: list[bool] = []
        """Of each: that no file had it, and none was given it."""

    def lines(self) -> Lines:
        """(number, line, when it was run) of each."""
        self._make_room()
        return [(number, line, when) for number, (line, when) in enumerate(self._texts, self._first)]

    def next_number(self) -> int:
        """The number that the next line gets."""
        return self._first + len(self._texts)

    def has_own(self) -> bool:
        """Whether the last line is that of the command that runs."""
        return self._rt.history

    def add(self, line: str) -> None:
        """A line that was not read as a command."""
        self._append(line, own=False)

    def _append(self, line: str, *, own: bool) -> None:
        self._texts.append((line, time()))
        self._own.append(own)
        self._make_room()

    def _add_own(self, line: str) -> None:
        """A line of this shell, unless HISTCONTROL or HISTIGNORE is against it."""
        if not kept(self._rt, line, self._texts[-1][0] if self._texts else None):
            return
        if "erasedups" in _control(self._rt):
            for at in [at for at, (other, _) in enumerate(self._texts) if other == line][::-1]:
                del self._texts[at], self._own[at]
        self._append(line, own=True)

    def _make_room(self) -> None:
        """HISTSIZE says how many lines there may be; the oldest go."""
        most = self._rt.vars.get("HISTSIZE") or ""
        if not (most.isdecimal() and most.isascii()):
            return
        gone = len(self._texts) - saturated(most)
        if gone > 0:
            del self._texts[:gone], self._own[:gone]
            self._first += gone

    def delete(self, first: int, last: int, *, disk: bool = True) -> None:
        """Forget lines by their numbers. Those behind them move up."""
        begin, end = max(first - self._first, 0), max(last + 1 - self._first, 0)
        del self._texts[begin:end], self._own[begin:end]
        if not disk:  # history -c: it begins again
            self._first = 1

    def replace_last(self, line: str) -> None:
        """The command that runs is to stand as `line`; where commands are not recorded, it is another line."""
        if self._rt.history and self._texts:
            del self._texts[-1], self._own[-1]
        self._add_own(line)

    def new_lines(self) -> Lines:
        """Those that `history -a` has not written yet."""
        return [item for item, own in zip(self.lines(), self._own, strict=True) if own]

    def written(self) -> None:
        """A file has been given the new lines."""
        self._own = [False] * len(self._own)

    def is_own(self, path: str) -> bool:
        """No file has them all."""
        return False

    def save(self) -> None:
        """Nothing is kept."""

    def close(self) -> None:
        """Nothing is kept."""

    def record(self, text: str) -> None:
        """A command was read, and is about to run."""
        lines = [text.strip("\n")]
        if "\n" in lines[0]:
            from aish.lang.one_line import listed

            lines = listed(text, posix=self._rt.posix, extended="extglob" in self._rt.shopt)
        for line in lines:
            self._add_own(line)


def of(rt: Runtime) -> ScriptHistory:
    """The history of a script, made where there is none yet."""
    if rt.typed is None:
        rt.typed = ScriptHistory(rt)
    assert isinstance(rt.typed, ScriptHistory)
    return rt.typed


def _control(rt: Runtime) -> list[str]:
    return (rt.vars.get("HISTCONTROL") or "").split(":")


def kept(rt: Runtime, line: str, last: str | None) -> bool:
    """Whether HISTCONTROL and HISTIGNORE let a line in."""
    if not line.strip():
        return False
    control = _control(rt)
    both = "ignoreboth" in control
    if line[0] == " " and (both or "ignorespace" in control):
        return False
    if line == last and (both or "ignoredups" in control):
        return False
    from aish.lang.pattern import compiled

    ignored = rt.vars.get("HISTIGNORE") or ""
    return not any(line == last if one == "&" else compiled(one).matches(line) for one in ignored.split(":") if one)
