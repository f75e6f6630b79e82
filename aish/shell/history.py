"""What was typed: the list of this shell, and what of it the companion is told to keep.

The list begins with what the file held when the shell started, and grows by what is typed here. Which lines come
into it is for `kept` to say.
"""

from __future__ import annotations

import os
import sys
import time

from aish.config import folders
from aish.lang import history_text
from aish.lang.digits import saturated

TYPE_CHECKING = False
if TYPE_CHECKING:
    from aish.lang.runtime import Runtime
    from aish.shell.companion.link import Link

NAME = "history.db"
"""The file, in the state folder."""
LOADED = 10_000
"""Lines of the file that a shell starts with, where HISTSIZE does not say otherwise."""
_LOADED_WITHIN_S = 0.5
_SAVED_WITHIN_S = 0.3
_RENEWED_WITHIN_S = 0.1


class _Line:
    """A line of this shell. `new`: the text file has not got it."""

    __slots__ = ("new", "text", "when")

    def __init__(self, text: str, *, new: bool) -> None:
        self.text = text
        self.when = time.time()
        self.new = new


class History:
    """The lines of one shell at a prompt."""

    def __init__(self, rt: Runtime, link: Link) -> None:
        self.rt = rt
        self.link = link
        self.session = f"{os.getpid()}-{time.time():.3f}"
        self._host = os.uname().nodename
        self._count = 0
        self._lines: list[_Line] = []
        """Those of this shell: their numbers go on behind `_loaded`, those of the file."""
        self._loaded: list[tuple[int, str, float]] | None = None
        self._key: str | None = None
        self._running: _Line | None = None
        """The command that runs."""
        self._runs = False
        self._path = os.path.join(folders.state(), NAME)
        self._came = time.time()
        self._text = False
        self.files = history_text.Files()
        self.notice = ""
        """What is to be told before the next prompt."""
        self.unique: list[str] = []
        """Each line once, newest first, of all shells: for the keys. It is renewed between two prompts."""
        self.known = False
        """Whether the file's lines have come, or will not."""
        self.renewals = 0
        """How often lines of others have come into `unique`."""
        self._outstanding = 0
        """Renewals that were asked for and have not come."""
        self._late = False
        """A key has waited for them in vain: none waits again before they have come."""
        if "HISTFILE" not in rt.values:
            rt.vars.set("HISTFILE", self._path)
        self._text = not os.isatty(0) and self.on_disk and self._names_text()
        """Nobody sits there, and HISTFILE names a file: it has the lines, as with bash, and ours has not."""
        if self._text:
            self._cut_text()
            self._load([(line, 0.0) for line in self._read_text()])
        self.known = not self.on_disk
        if self.on_disk:
            link.begin("history_notice", 5.0, self._notice)
            link.begin("history_recent", 5.0, self._load, most=self._most)
            self.renew()

    # ---------------------------------------------------------------------------------------- the list

    def lines(self) -> list[tuple[int, str, float]]:
        """(number, line, when it was run), oldest first."""
        if self._loaded is None and self.on_disk:
            self._load(self.link.ask("history_recent", _LOADED_WITHIN_S, most=self._most))
        most = self._most
        return ((self._loaded or []) + self._numbered())[-most:] if most else []

    def next_number(self) -> int:
        """The number that the next line gets."""
        found = self.lines()
        return found[-1][0] + 1 if found else 1

    def has_own(self) -> bool:
        """Whether the last line is that of the command that runs."""
        return self._runs and self._running is not None

    def add(self, line: str) -> None:
        """A line that a file has: `history -r`."""
        self._append(line, new=False)

    def shown(self, line: str) -> None:
        """A line that was typed to be looked at, not to be run: !!:p."""
        self._append(line, new=True)

    def new_lines(self) -> list[tuple[int, str, float]]:
        """Those that were typed here, that no text file was given yet, and that do not look like a secret: such a
        line comes into a file where `history -w` asks for all."""
        self.lines()  # their numbers depend on how many came before
        new = [item for item, line in zip(self._numbered(), self._lines, strict=True) if line.new]
        if not new:
            return []
        from aish.shell.secret_lines import looks_secret

        return [item for item in new if not looks_secret(item[1])]

    def written(self) -> None:
        """A text file was given them."""
        for line in self._lines:
            line.new = False

    def is_own(self, path: str) -> bool:
        """Whether `path` is the file that the companion writes, by whatever name."""
        return path == self._path or os.path.realpath(path) == os.path.realpath(self._path)

    def replace_last(self, line: str) -> None:
        """The command that runs is to stand as `line` in the history: `history -s`, `fc`."""
        if self._running is not None and self._lines and self._lines[-1] is self._running:
            gone = self._lines.pop().text
            if self._key is not None:
                self.link.tell("history_forget", lines=[gone])
        self._begins(line)

    def delete(self, first: int, last: int, *, disk: bool = True) -> None:
        """Forget lines by their numbers; with `disk` for every shell."""
        listed = self.lines()
        gone = [line for number, line, _ in listed if first <= number <= last]
        before = self._loaded or []
        oldest = listed[0][0] if listed else len(before) + len(self._lines) + 1  # those before it HISTSIZE leaves out
        left = [item for item in before if item[0] >= oldest and not first <= item[0] <= last]
        self._lines = [
            line
            for number, line in enumerate(self._lines, len(before) + 1)
            if number >= oldest and not first <= number <= last
        ]
        self._loaded = [(number, line, when) for number, (_, line, when) in enumerate(left, 1)]
        forgotten = set(gone)
        self.unique = [line for line in self.unique if line not in forgotten]
        if disk and self.on_disk and gone:
            self.link.tell("history_forget", lines=gone)

    def save(self) -> None:
        """Another program is about to take the shell's place."""
        if self._text:
            self._write_text()
        self.link.flush(_SAVED_WITHIN_S)  # what it was told goes with this process where it has not come through

    def close(self) -> None:
        """The shell ends."""
        if self._text:
            self._write_text()
        self.link.close()

    # -------------------------------------------------------------------------------------- what is typed

    def begins(self, text: str) -> None:
        """A command was typed, and is about to run."""
        self._runs = True
        if self.rt.history:
            self._begins(text.rstrip("\n"))
        else:
            self._key = self._running = None

    def _begins(self, line: str) -> None:
        self._key = self._running = None
        if not self.kept(line):
            return
        self._running = self._append(line, new=True)
        if self.on_disk:
            from aish.shell.secret_lines import looks_secret

            if not looks_secret(line):
                self._key = f"{self.session}-{self._count}"
                self.link.tell(
                    "history_begin", key=self._key, line=line, cwd=self.rt.vars.get("PWD") or "", began_s=time.time(),
                    host=self._host, session=self.session,
                )  # fmt: skip

    def ended(self, status: int, duration_s: float) -> None:
        """It has run."""
        self._runs = False
        if self._key is not None:
            self.link.tell("history_end", key=self._key, status=status, duration_s=duration_s)
            self._key = None

    def kept(self, line: str) -> bool:
        """Whether a line comes into the list: as in a script (HISTCONTROL, HISTIGNORE), and none that begins with a
        space. `set +o history` is for what is typed, not for `history -s`."""
        from aish.lang import script_history

        last = self._lines[-1].text if self._lines else None
        if line[:1] == " " or not script_history.kept(self.rt, line, last):
            return False
        if "erasedups" in (self.rt.vars.get("HISTCONTROL") or "").split(":"):
            self._lines = [item for item in self._lines if item.text != line]
        return True

    @property
    def on_disk(self) -> bool:
        """Unsetting HISTFILE keeps a shell's lines out of the file."""
        return not self._text and (self.rt.vars.get("HISTFILE") or "/dev/null") != "/dev/null"

    def _names_text(self) -> bool:
        """Whether HISTFILE names another file than a history of ours: one that another shell handed down is such."""
        path = self.rt.vars.get("HISTFILE") or ""
        return not self.is_own(path) and not history_text.is_database(path)

    def _read_text(self) -> list[str]:
        try:
            return self.files.read(self.rt.vars.get("HISTFILE") or "/dev/null")
        except OSError:
            return []  # it is not there yet

    def _write_text(self) -> None:
        """What is new to the file that HISTFILE names now."""
        path = self.rt.vars.get("HISTFILE") or "/dev/null"
        if self.is_own(path):  # it may not be there yet, and is to be a database
            self.rt.complain("HISTFILE: the file of the prompt's history: the lines of this shell were not written")
            return
        try:
            self.files.write(path, [line for _, line, _ in self.new_lines()], append=True)
            self.written()
        except OSError as error:
            self.rt.complain(f"HISTFILE: {error.strerror}")
        else:
            self._cut_text()

    def _cut_text(self) -> None:
        """To HISTFILESIZE lines, as bash does at the start and at the end."""
        size = self.rt.vars.get("HISTFILESIZE") or ""
        if not (size.isdecimal() and size.isascii()):
            return
        try:
            history_text.cut(self.rt.vars.get("HISTFILE") or "/dev/null", saturated(size))
        except OSError as error:
            self.rt.complain(f"HISTFILE: {error.strerror}")

    def renew(self) -> None:
        """Have the lines of all shells looked up, for the next prompt."""
        if self.on_disk:
            self._outstanding += 1
            self.link.begin("history_unique", 5.0, self._renewed, most=LOADED // 2)

    def may_be_old(self) -> bool:
        """Whether other shells may have written since `unique` was looked up, and looking is worth a key's while."""
        return self.on_disk and not self._late

    def look_again(self) -> None:
        """Have `unique` looked up while a line is edited; that gets a moment."""
        if not self._outstanding:
            self.renew()
        self.link.wait(lambda: not self._outstanding, _RENEWED_WITHIN_S)
        self._late = self._outstanding > 0  # who is late comes in when it comes, and delays no other key

    # ------------------------------------------------------------------------------------------ parts

    def _numbered(self) -> list[tuple[int, str, float]]:
        return [
            (number, line.text, line.when) for number, line in enumerate(self._lines, len(self._loaded or []) + 1)
        ]

    def _append(self, line: str, *, new: bool) -> _Line:
        self._count += 1
        added = _Line(line, new=new)
        self._lines.append(added)
        if line in self.unique[:200]:
            self.unique.remove(line)
        self.unique.insert(0, line)
        return added

    def _load(self, found: object) -> None:
        """What the file held when we came; what was typed since comes behind it."""
        if not isinstance(found, list) or self._loaded is not None:
            return
        before = [(line, when) for line, when in found if when < self._came]
        self._loaded = [(number, line, when) for number, (line, when) in enumerate(before, 1)]

    def _renewed(self, found: object) -> None:
        self.known = True
        self._outstanding = max(self._outstanding - 1, 0)
        if not self._outstanding:
            self._late = False
        if isinstance(found, list):
            self.renewals += 1
            own = [line.text for line in reversed(self._lines)]
            known = set(found)
            secret = [line for line in dict.fromkeys(own) if line not in known]
            self.unique = [*secret, *found]

    def _notice(self, found: object) -> None:
        if isinstance(found, str):
            self.notice = found

    @property
    def _most(self) -> int:
        size = self.rt.vars.get("HISTSIZE") or ""
        return min(saturated(size), sys.maxsize) if size.isdecimal() and size.isascii() else LOADED
