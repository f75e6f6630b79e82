"""The prompt on a terminal: prompt_toolkit with our parser behind the Enter key, the colours and the completion."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from prompt_toolkit import PromptSession
from prompt_toolkit.application import get_app
from prompt_toolkit.auto_suggest import AutoSuggestFromHistory
from prompt_toolkit.completion import Completer, Completion
from prompt_toolkit.enums import DEFAULT_BUFFER
from prompt_toolkit.filters import has_focus, is_searching
from prompt_toolkit.formatted_text import FormattedText
from prompt_toolkit.key_binding import KeyBindings
from prompt_toolkit.lexers import Lexer
from prompt_toolkit.search import accept_search
from prompt_toolkit.styles import Style

from aish.config import folders
from aish.lang.control import Interrupted
from aish.lang.parser import parse
from aish.lang.signals import SIGINT
from aish.shell.ask import ask
from aish.shell.complete import Situation, described, situation, verb_words, written_as
from aish.shell.highlight import by_line
from aish.shell.history import open_history
from aish.shell.need import need_you

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from prompt_toolkit.completion import CompleteEvent
    from prompt_toolkit.document import Document
    from prompt_toolkit.formatted_text import StyleAndTextTuples
    from prompt_toolkit.input import Input
    from prompt_toolkit.key_binding import KeyPressEvent
    from prompt_toolkit.output import Output

    from aish.lang.runtime import Runtime

    After = Callable[[list[str], str], list[tuple[str, str]] | None]

_NOTHING = "\x1f"
"""Stands for an empty text on the way from the copy."""
DEADLINE_S = 1.0
"""How long completion may take before the line goes on without it."""

_STYLE = Style.from_dict(
    {
        "aish.keyword": "bold ansimagenta",
        "aish.command": "ansigreen",
        "aish.function": "bold ansigreen",
        "aish.assignment": "ansicyan",
        "aish.operator": "bold",
        "aish.redirect": "ansiyellow",
        "aish.string": "ansiyellow",
        "aish.variable": "ansicyan",
        "aish.comment": "ansibrightblack",
        "aish.error": "ansired underline",
        "aish.folder": "bold ansiblue",
        "aish.good": "ansigreen",
        "aish.bad": "bold ansired",
        "aish.need": "bold ansiyellow",
    }
)


class Prompt:
    """Reads commands. `names` gives the @names for completion, `after` what may follow a verb; `input` and
    `output` are for tests."""

    def __init__(
        self,
        rt: Runtime,
        names: Callable[[], list[str]] | None = None,
        *,
        verbs: Iterable[str] = (),
        after: After | None = None,
        input: Input | None = None,
        output: Output | None = None,
    ) -> None:
        self.rt = rt
        history, why = open_history()
        if why:
            rt.error_line(f"aish: history is not kept: {why}")
        self.session: PromptSession[str] = PromptSession(
            history=history,
            lexer=ShellLexer(rt),
            completer=ShellCompleter(rt, names, verbs, after),
            auto_suggest=AutoSuggestFromHistory(),
            key_bindings=_bindings(rt),
            multiline=True,
            prompt_continuation=lambda width, number, wrapped: "> ".rjust(width),
            style=_STYLE,
            complete_while_typing=False,
            input=input,
            output=output,
        )

    def read(self) -> str | None:
        """The next complete command; None for Ctrl-D. Raises Interrupted for Ctrl-C."""
        try:
            return self.session.prompt(FormattedText(self._message()))
        except KeyboardInterrupt:
            raise Interrupted(SIGINT) from None
        except EOFError:
            return None
        finally:
            self.rt.signals.reinstall()  # the event loop took SIGINT and SIGWINCH for itself

    def _message(self) -> StyleAndTextTuples:
        """How many need the person, the folder, then $ (or #), red after a failure."""
        style = "class:aish.good" if self.rt.status == 0 else "class:aish.bad"
        sign = "#" if os.geteuid() == 0 else "$"
        waiting = need_you(folders.runtime())
        head: StyleAndTextTuples = [("class:aish.need", waiting), ("", " ")] if waiting else []
        return [*head, ("class:aish.folder", short_folder(self.rt)), ("", " "), (style, sign), ("", " ")]


def short_folder(rt: Runtime) -> str:
    """The current folder, with ~ for the home folder."""
    folder, home = rt.vars.get("PWD") or "?", rt.vars.get("HOME") or ""
    if home and (folder == home or folder.startswith(home.rstrip("/") + "/")):
        return "~" + folder[len(home.rstrip("/")) :]
    return folder


def _bindings(rt: Runtime) -> KeyBindings:
    bindings = KeyBindings()

    @bindings.add("enter", filter=has_focus(DEFAULT_BUFFER))
    def _(event: KeyPressEvent) -> None:
        """Run the command, or go on in a new line where it is not complete."""
        buffer = event.current_buffer
        text = buffer.text + "\n"
        if buffer.text.strip() and parse(text, posix=rt.posix).incomplete:
            buffer.insert_text("\n")
        else:
            buffer.validate_and_handle()

    @bindings.add("enter", filter=is_searching)
    def _(event: KeyPressEvent) -> None:
        """Ctrl-R: run what was found, as readline does."""
        accept_search()
        get_app().current_buffer.validate_and_handle()

    return bindings


class ShellLexer(Lexer):
    """Colours by our parser."""

    def __init__(self, rt: Runtime) -> None:
        self.rt = rt

    def lex_document(self, document: Document) -> Callable[[int], StyleAndTextTuples]:
        lines = by_line(document.text, posix=self.rt.posix)

        def get(number: int) -> StyleAndTextTuples:
            if number >= len(lines):
                return []
            return [(f"class:aish.{kind}" if kind else "", piece) for kind, piece in lines[number]]

        return get


class ShellCompleter(Completer):
    """Candidates from a copy of the shell, by a deadline."""

    def __init__(
        self,
        rt: Runtime,
        names: Callable[[], list[str]] | None,
        verbs: Iterable[str],
        after: After | None = None,
    ) -> None:
        self.rt = rt
        self.names = names or (list)
        self.verbs = tuple(verbs)
        self.after = after or _any_file
        self._options: dict[tuple[str, ...], list[tuple[str, str]]] = {}
        """What verbs take: it does not change, and reading it takes loading the verb."""

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        before = document.text_before_cursor
        wanted = situation(before, posix=self.rt.posix)
        for word, about in self._found(wanted):
            yield Completion(
                written_as(word, wanted),
                start_position=wanted.start - len(before),
                display=word.rstrip("/").rpartition("/")[2] + "/" * word.endswith("/"),
                display_meta=about,
            )

    def _found(self, wanted: Situation) -> list[tuple[str, str]]:
        words = verb_words(self.rt, wanted, self.verbs)
        if not words or not wanted.written.startswith("-") or "--" in words:
            return self._ask(wanted)
        known = self._options.get(key := tuple(words[:2]))
        if known is None:
            known = self._ask(Situation(wanted.kind, "-", wanted.start, "", words=["aish", *words]))
            if known:
                self._options[key] = known
        return [(word, about) for word, about in known if word.startswith(wanted.written)]

    def _ask(self, wanted: Situation) -> list[tuple[str, str]]:
        def question() -> list[str]:
            found = described(self.rt, wanted, self.verbs, self.names, self.after)
            return [part for word, about in found for part in (word, about or _NOTHING)]

        parts = ask(question, DEADLINE_S)
        pairs = zip(parts[::2], parts[1::2], strict=True)
        return [(word, "" if about == _NOTHING else about) for word, about in pairs]


def _any_file(words: list[str], written: str) -> None:
    """Without verbs."""
