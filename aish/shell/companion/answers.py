"""What the companion can be asked. Loaded there, not in the shell: sqlite3 and the like are none of its business."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from aish.shell.companion.work import Answer
    from aish.shell.history_file import HistoryFile

    Names = Callable[[], list[str]]
    After = Callable[[list[str], str], list[tuple[str, str]] | None]


class Answers:
    """`names` gives the @names, `after` what may follow a verb."""

    def __init__(self, names: Names, after: After) -> None:
        self._names = names
        self._after = after
        self._file: HistoryFile | None = None
        self._trouble = ""

    def table(self) -> dict[str, Answer]:
        """By the names that the shell asks for."""
        return {
            name: getattr(self, name)
            for name in (
                "history_notice", "history_begin", "history_end", "history_recent", "history_unique",
                "history_forget", "history_suggest", "files", "programs", "names", "after", "branch", "dirty",
                "options", "fish", "exists", "gpu",
            )
        }  # fmt: skip

    # ----------------------------------------------------------------------------------------- history

    def history_notice(self) -> str:
        """What the person should know of the file."""
        history = self._history()
        return self._trouble if history is None else history.notice

    def history_begin(self, **fields: object) -> bool:
        history = self._history()
        if history is not None:
            history.begin(**fields)  # type: ignore[arg-type]
        return True

    def history_end(self, key: str, status: int, duration_s: float) -> bool:
        history = self._history()
        if history is not None:
            history.end(key, status, duration_s)
        return True

    def history_recent(self, most: int) -> object:
        history = self._history()
        return [] if history is None else history.recent(most)

    def history_unique(self, most: int) -> object:
        """None where nothing is new."""
        history = self._history()
        return None if history is None or not history.changed() else history.unique(most)

    def history_suggest(self, begin: str, cwd: str) -> object:
        history = self._history()
        return None if history is None else history.suggest(begin, cwd)

    def history_forget(self, lines: list[str]) -> bool:
        history = self._history()
        if history is not None:
            history.forget(lines)
        return True

    def _history(self) -> HistoryFile | None:
        if self._file is None and not self._trouble:
            import sqlite3

            from aish.config import folders
            from aish.error import AishError
            from aish.shell.history_file import HistoryFile

            try:
                self._file = HistoryFile(folders.private(folders.state()))
            except (OSError, sqlite3.Error, AishError) as error:
                self._trouble = f"history is not kept: {error}"
        return self._file

    # -------------------------------------------------------------------------------------- completion

    def files(self, written: str, cwd: str) -> list[str]:
        """Paths that begin so."""
        from aish.shell.complete import files

        os.chdir(cwd)
        try:
            return files(written)
        finally:
            os.chdir("/")  # nobody's mount is kept busy

    def programs(self, path: str, cwd: str) -> list[str]:
        """Programs in PATH."""
        from aish.shell.complete import programs

        os.chdir(cwd)
        try:
            return sorted(programs(path))
        finally:
            os.chdir("/")

    def names(self, cwd: str) -> object:
        """Agents, models, supervised processes, each with its state where it has one."""
        os.chdir(cwd)
        try:
            states = dict(self._after(["inspect"], "") or [])
            names = [name if name.startswith("@") else f"@{name}" for name in self._names()]
            return [(name, states.get(name) or states.get(name[1:], "")) for name in names]
        finally:
            os.chdir("/")

    def after(self, words: list[str], written: str, cwd: str) -> object:
        """What may follow a verb, each with a word about it."""
        os.chdir(cwd)
        try:
            return self._after(words, written)
        finally:
            os.chdir("/")

    def exists(self, paths: list[str], cwd: str) -> list[str]:
        """Those of the paths that there are."""
        return [path for path in paths if os.path.lexists(os.path.join(cwd, os.path.expanduser(path)))]

    def options(self, words: list[str], path: str) -> object:
        """The options of a program, from its manual or its --help."""
        from aish.shell.companion import manual

        return manual.options(words, path)

    def fish(self, line: str, path: str, cwd: str) -> object:
        """What fish would complete; None where it is not installed."""
        from aish.shell.companion import fish

        return fish.complete(line, path, cwd)

    # ------------------------------------------------------------------------------------------ glance

    def branch(self, cwd: str) -> object:
        """The branch of the git worktree that a folder is in; None outside of one."""
        from aish.shell.companion import git

        return git.branch(cwd)

    def dirty(self, cwd: str, path: str) -> object:
        """Whether something in it is not committed; None where that cannot be told in time."""
        from aish.shell.companion import git

        return git.dirty(cwd, path)

    def gpu(self) -> object:
        """(used, total) bytes of GPU memory; None without one."""
        from aish.shell.companion import gpu

        return gpu.memory()
