"""Reading what is not kept yet of a file, and writing it down for the next shell (aish.lang.kept_trees).

By system calls alone: the rest of `os`, and `stat` and `resource`, would be a tenth of a short script's first run.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import marshal
import os

from aish.lang import kept_trees, tree
from aish.lang.lexer import NEWLINE, Token
from aish.lang.parser import Parser

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from aish.lang.kept_trees import Kept, State
    from aish.lang.source import Source

MOST_FILES = 500
MOST_TOGETHER_BYTES = 64 << 20
_THINNED_EVERY = 16
"""So many shells write before one looks at them all."""


class RecordingParser(Parser):
    """A parser that goes on at `pos`, behind the commands that are `kept`, and keeps those that it reads."""

    def __init__(self, source: Source, more: Callable[[], str] | None, pos: int, kept: Kept) -> None:
        super().__init__(source, more)
        self.pos = pos
        self.tok = Token(NEWLINE, pos, pos, "")
        kinds, self._states, self._commands, self._end = kept
        self._encoder = Encoder(kinds)
        self._keeps = True
        """Until something is met that cannot be kept."""
        self._news = False
        self._bytes = 0

    def next(self) -> tree.Sequence | None:
        """The next complete command."""
        state = kept_trees.state_of(self)
        warn = self.warn

        def told(message: str, at: int) -> None:
            self._keeps = False  # what is said of a text is said each time
            if warn is not None:
                warn(message, at)

        self.warn = told
        try:
            node = super().next()
        finally:
            self.warn = warn
        self._keeps = self._keeps and not self.source.changed
        if node is not None and self._keeps:
            self._keep(state, node)
        elif node is None:
            self.end_at(len(self.text))
        return node

    def recover(self) -> None:
        """After a ParseError, which is told each time: nothing behind it is kept."""
        self._keeps = False
        super().recover()

    def end_at(self, length: int) -> None:
        """Nothing comes behind the commands, in a text so long."""
        if self._keeps and self._end != length:
            self._end = length
            self._news = True

    def _keep(self, state: State, node: tree.Sequence) -> None:
        if state not in self._states:
            self._states.append(state)
        try:
            data = self._encoder.bytes_of(node)
        except ValueError:
            self._keeps = False
            return
        self._commands.append((self._states.index(state), self.pos, data))
        self._bytes += len(data)
        self._keeps = self._bytes < kept_trees.MOST_BYTES
        self._end = None
        self._news = True

    def write(self, place: str, identity: tuple[object, ...]) -> None:
        """Write down what is new of the file."""
        if not self._news:
            return
        self._news = False
        kept = identity, self._encoder.kinds, self._states, self._commands, self._end
        data = marshal.dumps(kept)  # type: ignore[arg-type]  # object
        before = os.umask(0o077)  # the script's is for what the script makes
        try:
            if len(data) + kept_trees.SUM_BYTES <= kept_trees.MOST_BYTES:
                _write(place, kept_trees.sum_of(data) + data)
            else:
                os.unlink(place)  # what was kept before is of no use any more
        except OSError:
            pass  # no room, or no folder of ours: the next shell reads the file
        finally:
            os.umask(before)


class Encoder:
    """Makes bytes of trees: tuples that begin with the number of the node's kind; lists; tuples behind a TUPLE."""

    def __init__(self, known: list[kept_trees.Kind]) -> None:
        self.kinds = [(kind.__module__, kind.__name__, slots) for kind, slots in known]
        """What kept_trees finds a class by."""
        self._numbers: dict[type[tree.Node], tuple[int, tuple[str, ...]]] = {
            kind: (number, slots) for number, (kind, slots) in enumerate(known)
        }

    def bytes_of(self, node: tree.Node) -> bytes:
        """Raises ValueError for what is neither a node nor plain."""
        return marshal.dumps(self._encoded(node))

    def _encoded(self, item: Any) -> Any:
        kind = type(item)
        if kind is list:
            return [self._encoded(one) for one in item]
        if kind is tuple:
            return (kept_trees.TUPLE, *[self._encoded(one) for one in item])
        if item is None or kind is str or kind is int or kind is bool:
            return item
        if isinstance(item, tree.Function):
            return kept_trees.FUNCTION, item.start, item.end, item.name, self.bytes_of(item.body), item.body_range
        if not isinstance(item, tree.Node):
            raise ValueError(kind.__name__)
        number, slots = self._of(kind)
        return (number, *[self._encoded(getattr(item, name)) for name in slots])

    def _of(self, kind: type[tree.Node]) -> tuple[int, tuple[str, ...]]:
        found = self._numbers.get(kind)
        if found is None:
            slots = tuple(name for base in reversed(kind.__mro__) for name in getattr(base, "__slots__", ()))
            self._numbers[kind] = found = len(self.kinds), slots
            self.kinds.append((kind.__module__, kind.__name__, slots))
        return found


def _write(place: str, data: bytes) -> None:
    """Raises OSError."""
    folder = place.rpartition("/")[0]
    above = kept_trees.above(folder)
    if os.stat(above).st_uid != os.geteuid():
        return  # root in somebody's home: what it made there would be in that user's way
    if above != folder:
        _make(above, folder)
    status = os.lstat(folder)
    if not kept_trees.is_ours(status, kept_trees.FOLDER):
        return
    fresh = f"{place}.{os.getpid()}"
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    told = _signal.signal(_signal.SIGXFSZ, _signal.SIG_IGN)  # of a limit that is the script's: an error here
    try:
        try:
            while data:
                data = data[os.write(fd, data) :]
        finally:
            os.close(fd)
            _signal.signal(_signal.SIGXFSZ, _signal.SIG_DFL if told is None else told)
        os.rename(fresh, place)
    except BaseException:
        os.unlink(fresh)
        raise
    if os.getpid() % _THINNED_EVERY == 0:
        _thin_out(folder)


def _make(above: str, folder: str) -> None:
    """Make the folders below `above`. Raises OSError."""
    made = above
    for name in folder[len(above) + 1 :].split("/"):
        made = f"{made}/{name}"
        try:
            os.mkdir(made, 0o700)
        except FileExistsError:
            pass  # by another shell


def _thin_out(folder: str) -> None:
    """The oldest ones go where there are too many, or where they are too large together."""
    with os.scandir(folder) as entries:
        found = [(entry.stat(follow_symlinks=False), entry.path) for entry in entries]
    found.sort(key=lambda item: item[0].st_mtime, reverse=True)
    together = 0
    for number, (status, path) in enumerate(found):
        together += status.st_size
        if number >= MOST_FILES or together > MOST_TOGETHER_BYTES:
            os.unlink(path)
