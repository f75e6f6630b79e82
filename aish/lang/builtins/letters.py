"""Option letters of built-ins: -ab -- operands, -d value; a letter that is none is a usage error, status 2."""

from __future__ import annotations

from aish.lang.control import CommandError


def usage(word: str, allowed: str) -> CommandError:
    """The error for an option that does not exist."""
    shown = " ".join([letter for letter in allowed if letter != ":"])
    hint = f"options are: {shown}" if shown else "there are no options; -- ends them"
    return CommandError(f"{word}: unknown option", status=2, hint=hint)


def letters(argv: list[str], allowed: str) -> tuple[str, list[str]]:
    """(the letters in the order in which they were given, the operands). Raises CommandError."""
    found, at = "", 1
    while at < len(argv):
        word = argv[at]
        if len(word) < 2 or word[0] != "-":
            break
        at += 1
        if word == "--":
            break
        for letter in word[1:]:
            if letter not in allowed:
                raise usage("-" + letter, allowed)
            found += letter
    return found, argv[at:]


def with_values(argv: list[str], allowed: str) -> tuple[list[tuple[str, str]], list[str]]:
    """([(letter, its value or '')], the operands): in `allowed`, a letter before a colon takes a value.

    Raises CommandError.
    """
    found: list[tuple[str, str]] = []
    at = 1
    while at < len(argv):
        word = argv[at]
        if len(word) < 2 or word[0] != "-":
            break
        at += 1
        if word == "--":
            break
        pos = 1
        while pos < len(word):
            letter = word[pos]
            pos += 1
            place = allowed.find(letter)
            if place < 0 or letter == ":":
                raise usage("-" + letter, allowed)
            if allowed[place + 1 : place + 2] != ":":
                found.append((letter, ""))
                continue
            if pos < len(word):
                found.append((letter, word[pos:]))
            elif at < len(argv):
                found.append((letter, argv[at]))
                at += 1
            else:
                raise CommandError(f"-{letter}: its argument is missing", status=2)
            break
    return found, argv[at:]
