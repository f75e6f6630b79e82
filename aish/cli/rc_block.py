"""A block of ours, between two marks, in a shell's start-up file: put in once, replaced, taken out."""

from __future__ import annotations

import os
import stat
from typing import Final

from aish.cli.shims import replace
from aish.errors import SourceError, StorageError

SHELLS: Final = ("bash", "zsh", "fish")


def file_of(shell: str) -> str:
    """What that shell reads when it starts for a person."""
    home = os.path.expanduser("~")
    match shell:
        case "zsh":
            return os.path.join(os.environ.get("ZDOTDIR") or home, ".zshrc")
        case "fish":
            config = os.environ.get("XDG_CONFIG_HOME", "")
            config = config if os.path.isabs(config) else os.path.join(home, ".config")
            return os.path.join(config, "fish", "config.fish")
        case _:
            return os.path.join(home, ".bashrc")


def _marks(name: str) -> tuple[str, str]:
    return f"# >>> aish {name} >>>", f"# <<< aish {name} <<<"


def without(text: str, name: str, *, file: str = "") -> str:
    """The text without the block of that name. Pure. Raises SourceError where only one mark of it is there."""
    begin, end = _marks(name)
    lines = text.splitlines(keepends=True)
    bare = [line.rstrip() for line in lines]
    if begin not in bare and end not in bare:
        return text
    if bare.count(begin) != 1 or bare.count(end) != 1 or bare.index(begin) > bare.index(end):
        at = bare.index(begin if begin in bare else end) + 1
        raise SourceError("the marks of our block do not match", file=file, line=at, hint=f"remove it: {begin}")
    return "".join(lines[: bare.index(begin)] + lines[bare.index(end) + 1 :])


def within(text: str, name: str, block: str, *, file: str = "") -> str:
    """The text with the block at its end, once. Pure. Raises SourceError as `without`."""
    begin, end = _marks(name)
    rest = without(text, name, file=file)
    gap = "" if not rest or rest.endswith("\n") else "\n"
    return f"{rest}{gap}{begin}\n{block}\n{end}\n"


def install(shell: str, name: str, block: str) -> str:
    """Put it in; the file's path. Raises SourceError, StorageError."""
    path = file_of(shell)
    before = _read(path)
    after = within(before or "", name, block, file=path)
    if after != before:
        _write(path, after)
    return path


def remove(name: str) -> list[str]:
    """Take it out of the files of all shells; those that had it. Raises SourceError, StorageError."""
    changed = []
    for path in map(file_of, SHELLS):
        before = _read(path)
        after = without(before, name, file=path) if before is not None else None
        if before is not None and after is not None and after != before:
            _write(path, after)
            changed.append(path)
    return changed


def _read(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror}") from error


def _write(path: str, text: str) -> None:
    """The file that a link leads to stays what it is; so do its rights."""
    path = os.path.realpath(path)
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        mode = stat.S_IMODE(os.stat(path).st_mode) if os.path.exists(path) else 0o644
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror}") from error
    replace(path, text, mode)
