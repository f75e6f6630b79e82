"""`set -x`: what is run, expanded, on stderr behind PS4."""

from __future__ import annotations

from aish.lang import compile_word
from aish.lang.source import Source
from aish.lang.text import escape_ansi, is_printable, single_quoted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from aish.lang.compile_array import Compound
    from aish.lang.compile_word import Text
    from aish.lang.runtime import Runtime
    from aish.lang.tree import Node, Word

_prompts: dict[str, Text] = {}
_CACHE_SIZE = 100
_META = frozenset(" \t\n'\"\\|&;()<>!{}*[]?^$`")


def quoted_if_needed(word: str) -> str:
    """`word` as bash shows it: in quotes only where it needs them to be read back."""
    if not word:
        return "''"
    if not _META.isdisjoint(word) or word[0] in "~#" or "=~" in word or ":~" in word:
        return single_quoted(word)
    return word if is_printable(word) else escape_ansi(word)


def trace(rt: Runtime, argv: list[str]) -> None:
    """A simple command. Lists that `declare` and its kin assign are told before it, as bash assigns them."""
    words = []
    for word in argv:
        if type(word) is str:
            words.append(quoted_if_needed(word))
        else:
            words.append(word.name)  # type: ignore[attr-defined]
            show_list(rt, word, argv)  # type: ignore[arg-type]
    show(rt, " ".join(words))


def show_list(rt: Runtime, word: Compound, argv: list[str]) -> None:
    """name=([key]=value value ..), expanded: an argument of the command `argv`."""
    from aish.lang.arrays import Associative

    associative = any(type(option) is str and option[:1] == "-" and "A" in option for option in argv)
    shown = []
    for key_of, append, value in word.entries(rt, associative):
        target = "" if key_of is None else f"[{single_quoted(str(key_of(rt, Associative())))}]{'+' * append}="
        shown.append(target + single_quoted(value))
    show(rt, f"{word.name}{'+' * word.append}=({' '.join(shown)})")


def shown_assignment(target: str, value: str) -> str:
    """target=value; `target` ends in + where it appends."""
    return f"{target}={quoted_if_needed(value) if value else ''}"


def show(rt: Runtime, text: str) -> None:
    """Write one line."""
    rt.xtrace = False  # expanding PS4 is not traced
    try:
        prompt = rt.values.get("PS4", "")
        if "\\" in prompt:
            from aish.lang.prompts import expand_text

            prompt = expand_text(rt, prompt)
        else:
            prompt = expand_prompt(rt, prompt)
    finally:
        rt.xtrace = True
    rt.error_line(prompt[:1] * rt.trace_depth + prompt + text, rt.trace_fd)


def show_head(rt: Runtime, src: Source, word: str, name: str, words: list[Word] | None) -> None:
    """`for name in words` and `select`, as they were written."""
    written = ['"$@"'] if words is None else [written_as(src, item) for item in words]
    show(rt, f"{word} {name} in {' '.join(written)}")


def written_as(src: Source, node: Node) -> str:
    """A node's text."""
    return src.text[node.start : node.end]


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
