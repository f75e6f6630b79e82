"""Lines that were typed before, for prompt_toolkit: by the arrow keys and Ctrl-R, and as a suggestion."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from prompt_toolkit.auto_suggest import AutoSuggest, Suggestion
from prompt_toolkit.history import History as ToolkitHistory

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable

    from prompt_toolkit.buffer import Buffer
    from prompt_toolkit.document import Document

    from aish.lang.runtime import Runtime
    from aish.shell.companion.link import Link
    from aish.shell.history import History

_SUGGEST_S = 0.3
_FIRST_LINES_S = 0.3


class Lines(ToolkitHistory):
    """The lines of all shells, each once, for the arrow keys and Ctrl-R."""

    def __init__(self, history: History) -> None:
        super().__init__()
        self._history = history
        self._taken = 0
        """The renewal of the history that the keys have."""

    def may_be_old(self, buffer: Buffer) -> bool:
        """Whether a key that is about to leave the line for older ones might miss those that others have typed."""
        at_the_newest = buffer.working_index == len(buffer._working_lines) - 1  # noqa: SLF001
        return at_the_newest and buffer.complete_state is None and self._history.may_be_old()

    def bring_up(self, buffer: Buffer) -> None:
        """Look for them, and put them behind the line that is typed."""
        self._history.look_again()
        if self._history.renewals != self._taken:
            self._taken = self._history.renewals
            lines = buffer._working_lines  # noqa: SLF001  it would load them for a new line only
            typed = lines[-1]
            lines.clear()
            lines.extend([*reversed(self._history.unique), typed])
            buffer.working_index = len(lines) - 1

    async def load(self) -> AsyncGenerator[str, None]:
        """Newest first. The keyboard waits a moment for the first ones, so that the first key may be an arrow."""
        self._history.link.wait(lambda: self._history.known, _FIRST_LINES_S)
        while not self._history.known:
            await asyncio.sleep(0.02)
        self._taken = self._history.renewals
        for line in list(self._history.unique):
            yield line

    def load_history_strings(self) -> Iterable[str]:
        return list(self._history.unique)

    def get_strings(self) -> list[str]:
        """Oldest first: Alt-. looks for the last word of the newest there."""
        return list(self._history.unique)[::-1]

    def append_string(self, string: str) -> None:
        """The session does that when the line runs."""

    def store_string(self, string: str) -> None:
        """The companion does that."""


class Suggest(AutoSuggest):
    """The rest of a line that was typed before, in this folder first."""

    def __init__(self, rt: Runtime, link: Link, history: History) -> None:
        self._rt = rt
        self._link = link
        self._history = history

    def get_suggestion(self, buffer: Buffer, document: Document) -> Suggestion | None:
        """What this shell knows by itself."""
        text = document.text
        if not text.strip() or text[0] == " ":
            return None
        found = next((line for line in self._history.unique if line.startswith(text) and line != text), None)
        return None if found is None else Suggestion(found[len(text) :])

    async def get_suggestion_async(self, buffer: Buffer, document: Document) -> Suggestion | None:
        """What all shells know."""
        text = document.text
        if not text.strip() or text[0] == " " or not self._history.on_disk:
            return self.get_suggestion(buffer, document)
        future: asyncio.Future[object] = asyncio.get_running_loop().create_future()

        def then(found: object) -> None:
            if not future.done():
                future.set_result(found)

        self._link.begin("history_suggest", 2.0, then, begin=text, cwd=self._rt.vars.get("PWD") or "/")
        try:
            found = await asyncio.wait_for(asyncio.shield(future), _SUGGEST_S)
        except TimeoutError:
            found = None
        return Suggestion(found[len(text) :]) if isinstance(found, str) else self.get_suggestion(buffer, document)
