"""Tab: the companion's answers as prompt_toolkit wants them, by a deadline."""

from __future__ import annotations

import asyncio
import os
import select
import time
from typing import TYPE_CHECKING

from prompt_toolkit.completion import Completer, Completion

from aish.shell.complete import VERB, Situation, candidates, questions, situation, verb_words, written_as

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable

    from prompt_toolkit.completion import CompleteEvent
    from prompt_toolkit.document import Document

    from aish.lang.runtime import Runtime
    from aish.shell.companion.link import Link

DEADLINE_S = 1.0
"""How long completion may take before the line goes on without it."""
AT_ONCE_S = 0.15
"""So long the keyboard waits for it, so that a key typed right behind Tab finds the line completed."""


class ShellCompleter(Completer):
    """Candidates for the end of the line."""

    def __init__(self, rt: Runtime, link: Link, verbs: Iterable[str]) -> None:
        self.rt = rt
        self.link = link
        self.verbs = tuple(verbs)
        self._options: dict[tuple[str, ...], list[tuple[str, str]]] = {}
        """What verbs take: it does not change, and reading it takes loading the verb."""

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        """Wait for all of them."""
        wanted = situation(document.text_before_cursor, posix=self.rt.posix)
        found = self._specified(document, wanted)
        if found is not None:
            return found
        answers, missing = self._begin(wanted)
        self.link.wait(lambda: not missing, DEADLINE_S)
        self.link.check()
        return self._made(document, wanted, answers)

    async def get_completions_async(
        self, document: Document, complete_event: CompleteEvent
    ) -> AsyncGenerator[Completion, None]:
        """Wait a moment, then let the keyboard go on."""
        wanted = situation(document.text_before_cursor, posix=self.rt.posix)
        found = self._specified(document, wanted)
        if found is not None:
            for one in found:
                yield one
            return
        answers, missing = self._begin(wanted)
        end = time.monotonic() + DEADLINE_S
        self.link.wait(lambda: not missing, DEADLINE_S if _typed_ahead() else AT_ONCE_S)
        while missing and time.monotonic() < end:
            await asyncio.sleep(0.01)  # answers are received by the loop that this runs in
        self.link.check()
        for one in self._made(document, wanted, answers):
            yield one

    def _specified(self, document: Document, wanted: Situation) -> list[Completion] | None:
        """What `complete` has specified for the command; for aish's verbs not what it has for any command."""
        if not self.rt.completions:
            return None
        from aish.shell.specified import specified

        before = document.text_before_cursor
        ours = wanted.kind == VERB or bool(verb_words(self.rt, wanted, self.verbs))
        found = specified(self.rt, wanted, before, DEADLINE_S, named=ours)
        if found is None:
            return None
        words = [word + "/" * (found.names_files and _is_folder(word)) for word in found.words]
        ready = [written_as(word, wanted) if found.names_files else word for word in words]
        return _offers(ready, words, found.start - len(before), before[found.start :], " " if found.ends else "")

    def _begin(self, wanted: Situation) -> tuple[dict[str, object], set[str]]:
        """Ask all questions; the answers as they come, and what is still missing."""
        answers: dict[str, object] = {}
        missing: set[str] = set()
        words = verb_words(self.rt, wanted, self.verbs)
        if words and wanted.written.startswith("-") and "--" not in words:
            known = self._options.get(tuple(words[:2]))
            if known is not None:
                return {"after": [item for item in known if item[0].startswith(wanted.written)]}, missing
            self._ask("after", {"words": words, "written": "-", "cwd": "/"}, answers, missing)
            return answers, missing
        for what, fields in questions(self.rt, wanted, self.verbs):
            self._ask(what, fields, answers, missing)
        return answers, missing

    def _ask(self, what: str, fields: dict[str, object], answers: dict[str, object], missing: set[str]) -> None:
        def then(answer: object) -> None:
            answers[what] = answer
            missing.discard(what)

        missing.add(what)
        self.link.begin(what, DEADLINE_S, then, **fields)

    def _made(self, document: Document, wanted: Situation, answers: dict[str, object]) -> list[Completion]:
        words = verb_words(self.rt, wanted, self.verbs)
        after = answers.get("after")
        if words and isinstance(after, list) and after and wanted.written.startswith("-") and "--" not in words:
            known = self._options.setdefault(tuple(words[:2]), [(word, about) for word, about in after])
            answers["after"] = [item for item in known if item[0].startswith(wanted.written)]
        found = candidates(self.rt, wanted, self.verbs, answers)
        ready = [written_as(word, wanted) for word, _ in found]
        start = wanted.start - document.cursor_position
        words, about = [word for word, _ in found], [about for _, about in found]
        return _offers(ready, words, start, wanted.written, _end(document, wanted), about)


def _end(document: Document, wanted: Situation) -> str:
    """What follows a word that is complete: its quote, its brace and a blank, unless they stand there already."""
    if wanted.closes is None or (wanted.closes and document.text_after_cursor.startswith(wanted.closes)):
        return ""
    return wanted.closes + " "


def _offers(
    ready: list[str], words: list[str], start: int, written: str, end: str, about: list[str] | None = None
) -> list[Completion]:
    """`ready` for the line, `words` to be shown without the folder that is written. `end` follows one that is alone,
    and not a folder."""
    folder = written[: written.rfind("/") + 1]
    if len(ready) == 1 and not ready[0].endswith(("/", "=", " ")):
        ready = [ready[0] + end]
    return [
        Completion(
            text,
            start_position=start,
            display=word.removeprefix(folder).rstrip(" ") or word,
            display_meta=about[i] if about else "",
        )
        for i, (text, word) in enumerate(zip(ready, words, strict=True))
    ]


def _typed_ahead() -> bool:
    """Whether keys wait behind Tab: they are meant for the line as it is completed."""
    poll = select.poll()
    poll.register(0, select.POLLIN)
    return bool(poll.poll(0))


def _is_folder(word: str) -> bool:
    return not word.endswith("/") and os.path.isdir(os.path.expanduser(word))
