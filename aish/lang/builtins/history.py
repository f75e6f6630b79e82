"""history fc: what was typed at a prompt. A script has a history of its own, in memory."""

from __future__ import annotations

import os

from aish.lang.control import CommandError
from aish.lang.digits import saturated
from aish.lang.text import decode, encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from aish.lang.builtins import Builtin
    from aish.lang.host import History
    from aish.lang.runtime import Runtime

    Lines = list[tuple[int, str, float]]

_LISTED = 16
"""Lines that `fc -l` shows."""


def _letters(argv: list[str], known: str) -> tuple[dict[str, str], list[str]]:
    """Options, with their values where `known` has a colon behind the letter; and the other words."""
    found: dict[str, str] = {}
    words = argv[1:]
    while words and len(words[0]) > 1 and words[0][0] == "-" and not words[0][1:].isdecimal():
        word = words.pop(0)
        if word == "--":
            break
        for at, letter in enumerate(word[1:], 1):
            if letter not in known or letter == ":":
                raise CommandError(f"-{letter}: unknown option", status=2)
            if known[known.index(letter) + 1 : known.index(letter) + 2] == ":":
                value = word[at + 1 :] or (words.pop(0) if words else "")
                if not value:
                    raise CommandError(f"-{letter}: its argument is missing", status=2)
                found[letter] = value
                break
            found[letter] = ""
    return found, words


def history(rt: Runtime, argv: list[str]) -> int:
    """history [n]; history -c; history -d n[-m]; history -anrw [file]; history -ps word ...: typed lines."""
    flags, words = _letters(argv, "cd:anrwps")
    typed = _typed(rt)
    if "p" in flags:
        from aish.lang.history_words import expand

        lines = _before(rt, typed)
        if rt.history and not rt.interactive:
            typed.delete(len(lines) + 1, len(lines) + 1)  # as in bash, which does not list this command
        rt.write("".join([expand(word, lines).text + "\n" for word in words]))
        return 0
    lines = typed.lines()
    if "c" in flags:
        typed.delete(1, lines[-1][0] if lines else 0, disk=False)
    elif "d" in flags:
        first, last = _range(flags["d"], lines)
        typed.delete(first, last)
    elif "s" in flags:
        if words:
            typed.replace_last(" ".join(words))
    elif set(flags) & set("anrw"):
        _with_file(rt, typed, flags, words)
    else:
        _list(rt, lines, words)
    return 0


def _typed(rt: Runtime) -> History:
    """What was typed at the prompt, or what a script put into its history."""
    if rt.typed is not None:
        return rt.typed
    from aish.lang import script_history

    return script_history.of(rt)


def _before(rt: Runtime, typed: History) -> Lines:
    """The lines before the command that is being run, which is the last one where commands are recorded."""
    lines = typed.lines()
    return lines[:-1] if rt.history or rt.interactive else lines


def _range(text: str, lines: Lines) -> tuple[int, int]:
    """The numbers that `-d` means; those below 0 count from the end. Raises CommandError."""
    first, dash, last = text[1:].partition("-")
    first = text[0] + first
    newest = lines[-1][0] if lines else 0
    try:
        begin = int(first)
        end = int(last) if dash and last else begin
    except ValueError:
        raise CommandError(f"{text}: a number expected") from None
    begin, end = (newest + 1 + number if number < 0 else number for number in (begin, end))
    if not lines or not (lines[0][0] <= begin <= end <= newest):
        raise CommandError(f"{text}: history position out of range")
    return begin, end


def _list(rt: Runtime, lines: Lines, words: list[str]) -> None:
    if words:
        if len(words) > 1 or not words[0].isdecimal():
            raise CommandError(f"{words[0]}: a number expected" if len(words) == 1 else "too many arguments")
        most = saturated(words[0])
        lines = lines[-most:] if most else []
    form = rt.vars.get("HISTTIMEFORMAT") or ""
    for number, line, when in lines:
        rt.write(f"{number:>5}  {_time(form, when)}{line}\n")


def _time(form: str, when: float) -> str:
    if not form:
        return ""
    import time

    return time.strftime(form, time.localtime(when))


def _with_file(rt: Runtime, typed: History, flags: dict[str, str], words: list[str]) -> None:
    """-w and -a write, -r and -n read a text file, a line each."""
    path = words[0] if words else rt.vars.get("HISTFILE") or ""
    if not words and typed.is_own(path):
        return  # it is always written
    if not path:
        raise CommandError("a file expected", hint="HISTFILE is not set")
    try:
        if "r" in flags or "n" in flags:
            for line in typed.files.read(path, new="r" not in flags):
                typed.add(line)
            return
        whole = "w" in flags
        lines = typed.lines() if whole else typed.new_lines()
        if whole or lines:
            typed.files.write(path, [line for _, line, _ in lines], append=not whole)
        if not (whole and words):
            typed.written()
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}") from None


# ----------------------------------------------------------------------------------------------- fc


def fc(rt: Runtime, argv: list[str]) -> int:
    """fc [-e editor] [-lnr] [first] [last]; fc -s [old=new] [first]: typed lines, edited and run again."""
    flags, words = _letters(argv, "e:lnrs")
    lines = _before(rt, _typed(rt))
    again = "s" in flags or flags.get("e") == "-"
    if not lines:
        if again and not rt.interactive:
            raise CommandError("no line was typed in this shell")
        if "l" in flags and not rt.interactive:  # this command, where it is in the list: as in bash
            _list_for_fc(rt, _typed(rt).lines(), flags)
        return 0
    if again:
        return _again(rt, lines, words)
    first = _number(words[0], lines) if words else lines[-1][0] - (_LISTED - 1 if "l" in flags else 0)
    last = _number(words[1], lines) if len(words) > 1 else (lines[-1][0] if "l" in flags or not words else first)
    chosen = [item for item in lines if min(first, last) <= item[0] <= max(first, last)]
    if (first > last) is not ("r" in flags):
        chosen.reverse()
    if "l" not in flags:
        return _edited(rt, flags.get("e", ""), [line for _, line, _ in chosen])
    _list_for_fc(rt, chosen, flags)
    return 0


def _list_for_fc(rt: Runtime, lines: Lines, flags: dict[str, str]) -> None:
    for number, line, _ in lines:
        rt.write(("" if "n" in flags else str(number)) + f"\t {line}\n")


def _number(word: str, lines: Lines) -> int:
    """The number of the line that a word means: its number, one counted from the end, or how it begins."""
    newest = lines[-1][0]
    if word.lstrip("-").isdecimal():
        number = saturated(word.lstrip("-"))
        number = newest + 1 - number if word[0] == "-" else number or newest
        return min(max(number, lines[0][0]), newest)
    for number, line, _ in reversed(lines):
        if line.startswith(word):
            return number
    raise CommandError(f"{word}: no command found")


def _again(rt: Runtime, lines: Lines, words: list[str]) -> int:
    changes = []
    while words and "=" in words[0]:
        changes.append(words.pop(0).partition("="))
    number = _number(words[0], lines) if words else lines[-1][0]
    text = next(line for other, line, _ in lines if other == number)
    for old, _, new in changes:
        text = text.replace(old, new)
    return _run(rt, text)


def _edited(rt: Runtime, editor: str, lines: list[str]) -> int:
    editor = editor or rt.vars.get("FCEDIT") or rt.vars.get("EDITOR") or "vi"
    status, text = in_editor(rt, editor, "".join([line + "\n" for line in lines]))
    return status or (_run(rt, text.rstrip("\n")) if text.strip() else 0)


def in_editor(rt: Runtime, editor: str, text: str) -> tuple[int, str]:
    """The status of an editor, run as any command, and what it made of a text."""
    import tempfile

    fd, path = tempfile.mkstemp(prefix="aish-fc-")
    try:
        with open(fd, "wb") as file:
            file.write(encode(text))
        from aish.lang.evaluate import run_text
        from aish.lang.text import quote

        if status := run_text(rt, f"{editor} {quote(path)}", "fc"):
            return status, ""
        with open(path, "rb") as changed:
            return 0, decode(changed.read())
    finally:
        os.unlink(path)


def _run(rt: Runtime, text: str) -> int:
    """Show a line, put it into the history in the place of `fc`, and run it."""
    from aish.lang.evaluate import run_text

    rt.prompt(text + "\n")
    if rt.history or rt.interactive:
        _typed(rt).replace_last(text)
    return run_text(rt, text + "\n", "fc")


TABLE: dict[str, Builtin] = {"history": history, "fc": fc}
