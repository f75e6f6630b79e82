"""`set -x`: each simple command, expanded, on stderr behind PS4."""

from __future__ import annotations

from aish.lang import compile_word
from aish.lang.source import Source
from aish.lang.text import quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from aish.lang.compile_word import Text
    from aish.lang.runtime import Runtime

_prompts: dict[str, Text] = {}
_CACHE_SIZE = 100


def trace(rt: Runtime, assigns: list[str], argv: list[str]) -> None:
    """Write one line."""
    words = assigns + [quote(word) for word in argv]
    rt.xtrace = False  # expanding PS4 is not traced
    try:
        prompt = expand_prompt(rt, rt.values.get("PS4", "+ "))
    finally:
        rt.xtrace = True
    rt.error_line(prompt + " ".join(words))


def expand_prompt(rt: Runtime, text: str) -> str:
    """PS4 (and PS1, PS2) with their parameters, substitutions and arithmetic expanded."""
    if "$" not in text and "`" not in text and "\\" not in text:
        return text
    closure = _prompts.get(text)
    if closure is None:
        from aish.lang.parser import Parser
        from aish.lang.words import IN_DOCUMENT

        source = Source("prompt", text)
        parts = Parser(source).quoted_parts(IN_DOCUMENT)
        if len(_prompts) >= _CACHE_SIZE:
            _prompts.clear()
        whole = compile_word.joined([compile_word.text_part(source, part, True) for part in parts])
        closure = _prompts[text] = compile_word.as_text(whole)
    return closure(rt)
