"""Which commands and paths there are, for the colours of a line: looked up beside the shell, believed for a while."""

from __future__ import annotations

import time

from aish.lang import scanner
from aish.lang.builtins import TOPIC_OF
from aish.shell.complete import unquoted
from aish.shell.highlight import PATH, UNKNOWN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from aish.lang.runtime import Runtime
    from aish.shell.companion.link import Link

_PROGRAMS_S = 10.0
_WITHIN_S = 3.0
_MOST_PATHS = 500
_SPECIAL = frozenset("$`*?[]{}()<>|&;\n")
_QUOTES = frozenset("'\"\\")


class KnownWords:
    """`changed` is called when more is known."""

    def __init__(self, rt: Runtime, link: Link) -> None:
        self.rt = rt
        self.link = link
        self.changed: Callable[[], None] | None = None
        self._programs: frozenset[str] | None = None
        self._looked = (0.0, "", "")
        self._paths: dict[tuple[str, str], bool] = {}
        self._asked: set[tuple[str, str]] = set()

    def renew(self) -> None:
        """A prompt comes."""
        path, cwd = self.rt.vars.get("PATH") or "", self.rt.vars.get("PWD") or "/"
        self._paths.clear()
        self._asked.clear()
        now = time.monotonic()
        looked, old_path, old_cwd = self._looked
        relative = any(not folder.startswith("/") for folder in path.split(":"))
        if now - looked > _PROGRAMS_S or path != old_path or (relative and cwd != old_cwd):
            self._looked = (now, path, cwd)
            if path != old_path:
                self._programs = None
            self.link.begin("programs", _WITHIN_S, self._listed, path=path, cwd=cwd)

    def judge(self, kind: str, text: str) -> str:
        """The colour of a word: what the parser says, or better."""
        if not text or _SPECIAL.intersection(text):
            return kind
        if _QUOTES.intersection(text):
            if kind not in (scanner.ARGUMENT, scanner.REDIRECT) or text[:2] in ("'~", '"~', "\\~"):
                return kind
            text = unquoted(text)
            return PATH if text[:1] not in ("", "-") and self._there(text) else kind
        if kind == scanner.COMMAND:
            if "/" in text:
                return UNKNOWN if self._there(text) is False else kind
            return kind if self._programs is None or self._is_command(text) else UNKNOWN
        if kind in (scanner.ARGUMENT, scanner.REDIRECT) and text[0] not in "-<>&@%" and self._there(text):
            return PATH
        return kind

    def _is_command(self, name: str) -> bool:
        rt = self.rt
        return (
            name[0] in "@%!"
            or name in TOPIC_OF
            or name in rt.functions
            or name in rt.aliases
            or name in rt.abbreviations
            or (self._programs is not None and name in self._programs)
        )

    def _there(self, path: str) -> bool | None:
        cwd = self.rt.vars.get("PWD") or "/"
        key = (cwd, path)
        if key not in self._paths and key not in self._asked and len(self._asked) < _MOST_PATHS:
            self._asked.add(key)

            def then(found: object) -> None:
                if isinstance(found, list):
                    self._paths[key] = bool(found)
                    if found or "/" in path:
                        self._news()

            self.link.begin("exists", _WITHIN_S, then, paths=[path], cwd=cwd)
        return self._paths.get(key)

    def _listed(self, found: object) -> None:
        if isinstance(found, list):
            self._programs = frozenset(found)
            self._news()

    def _news(self) -> None:
        if self.changed is not None:
            self.changed()
