"""The host's command line: made by whoever starts an agent program, read by aish.agents.host.__main__."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Final

from aish.agents.options import parted
from aish.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

OPTIONS: Final = (
    *("--adapter", "--file", "--name", "--model", "--session", "--permissions", "--login", "--program"),
    *("--schema", "--begin"),
)
FLAGS: Final = ("--attached",)


class Invocation:
    """`adapter` is set, or `file` whose front matter names one. The others override what the file says; `begin` is
    the checkpoint of another agent that it goes on from, as EPOCH-ID/N.

    `attached`: the words behind `--` are the program's own; else they are the prompt."""

    __slots__ = (*(option.removeprefix("--") for option in (*OPTIONS, *FLAGS)), "words")

    adapter: str | None
    file: str | None
    name: str | None
    model: str | None
    session: str | None
    schema: str | None
    permissions: str | None
    login: str | None
    program: str | None
    begin: str | None
    attached: bool
    words: tuple[str, ...]

    def __init__(self, values: dict[str, str], words: Sequence[str], *, attached: bool) -> None:
        for option in OPTIONS:
            setattr(self, option.removeprefix("--"), values.get(option))
        self.attached = attached
        # Of a prompt what is not UTF-8 is replaced, as on stdin; a program on a terminal gets its words as they are.
        self.words = tuple(words if attached else map(_replaced, words))

    @property
    def called(self) -> str:
        stem = (self.file or "").rpartition("/")[2].removesuffix(".md")
        return self.name or stem or self.adapter or "agent"


def _replaced(word: str) -> str:
    return os.fsencode(word).decode("utf-8", "replace")


def command(words: Sequence[str], *, attached: bool = False, **options: str | None) -> tuple[str, ...]:
    """The argv of a host; `options` are those of OPTIONS, without dashes. -P: as in aish.agents.invocation."""
    argv = [sys.executable, "-P", "-m", "aish.agents.host"]
    for name, value in options.items():
        if f"--{name}" not in OPTIONS:
            raise TypeError(f"no option --{name}")
        if value is not None:
            argv += [f"--{name}", value]
    return (*argv, *(FLAGS if attached else ()), "--", *words)


def is_host(argv: Sequence[bytes]) -> bool:
    """Whether these are words that `command` made."""
    return [os.fsdecode(word) for word in argv[:4]] == [sys.executable, "-P", "-m", "aish.agents.host"]


def check_parks(argv: Sequence[bytes]) -> None:
    """Of words that `command` made. Raises UsageError where that agent cannot be parked, and what reading it does."""
    from aish.agents import adapters

    said = parse_words([os.fsdecode(word) for word in argv[4:]])
    name = said.adapter
    if name is None and said.file is not None:
        from aish.agents.find import read  # YAML is only loaded for a file

        name = read(said.file).adapter
    if name is not None:
        adapters.check_parks(adapters.load(name), said.called)


def parse_words(argv: Sequence[str]) -> Invocation:
    """Read the words that `command` made. Raises UsageError."""
    values, flags, words = parted(argv, OPTIONS, FLAGS)
    if "--adapter" not in values and "--file" not in values:
        raise UsageError("give --adapter NAME or --file PATH")
    return Invocation(values, words, attached="--attached" in flags)
