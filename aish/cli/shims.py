"""Shims: small programs, first on PATH, that have a name run supervised whoever types it. Files and text.

A shim is POSIX sh, so that it costs a millisecond where it only passes on, and works without aish: then it executes
the program itself. Nothing of it is left in the program's environment.
"""

from __future__ import annotations

import os
import shlex
import sys
import tempfile
from typing import TYPE_CHECKING, Final, NamedTuple

import aish
from aish.config import folders
from aish.errors import ConflictError, StorageError

if TYPE_CHECKING:
    from collections.abc import Iterable

_MARK: Final = "# aish shim: "
_OPTIONS: Final = "# options:"
_NESTED: Final = "# nested"
_FOLDER: Final = "shims"
_TEXT: Final = """\
#!/bin/sh
{mark}{name} runs supervised. Made by `aish shim`; `aish shim --off {name}` removes it.
{options_line}
_aish_real=
_aish_rest=${{PATH-/usr/local/bin:/usr/bin:/bin}}:
while [ -n "$_aish_rest" ]; do
    _aish_try=${{_aish_rest%%:*}}
    _aish_rest=${{_aish_rest#*:}}
    case $_aish_try in */aish/shims | */aish/shims/) continue ;; esac
    _aish_try=${{_aish_try:-.}}/{name}
    if [ -f "$_aish_try" ] && [ -x "$_aish_try" ] && ! [ "$_aish_try" -ef {own} ]; then
        _aish_real=$_aish_try
        break
    fi
done
if [ -z "$_aish_real" ]; then
    echo 'aish: {name}: no other program of that name is on PATH' >&2
    exit 127
fi
{nested}if [ -x {python} ] && [ -r {package} ]; then
    exec {python} -I -m aish run --as-shim {name} {options}-- "$_aish_real" "$@"
fi
echo 'aish: {name} runs unsupervised: aish is not where it was' >&2
exec "$_aish_real" "$@"
"""
_ONCE: Final = """\
if [ -n "${AISH_ID-}" ]; then
    exec "$_aish_real" "$@"
fi
"""


class Shim(NamedTuple):
    name: str
    options: tuple[str, ...]
    nested: bool
    """Also below a supervised process it starts one of its own."""


def folder() -> str:
    return os.path.join(folders.data(), _FOLDER)


def path(name: str) -> str:
    return os.path.join(folder(), name)


def text(shim: Shim, own: str, python: str, package: str) -> str:
    """The shim at `own`, which has `python` run the package whose __main__.py is `package`. Pure."""
    options = "".join(f"{shlex.quote(word)} " for word in shim.options)
    return _TEXT.format(
        mark=_MARK,
        name=shim.name,
        options_line=f"{_OPTIONS} {shlex.join(shim.options)}".rstrip() + (f"\n{_NESTED}" if shim.nested else ""),
        own=shlex.quote(own),
        python=shlex.quote(python),
        package=shlex.quote(package),
        options=options,
        nested="" if shim.nested else _ONCE,
    )


def parse(name: str, written: str) -> Shim | None:
    """What `text` has made; None: another's file. Pure."""
    lines = written.splitlines()
    if len(lines) < 3 or not lines[1].startswith(_MARK) or not lines[2].startswith(_OPTIONS):
        return None
    try:
        words = shlex.split(lines[2].removeprefix(_OPTIONS))
    except ValueError:
        return None
    return Shim(name, tuple(words), lines[3:4] == [_NESTED])


def read(name: str) -> Shim | None:
    """None where there is none, or another's file has that name there."""
    try:
        with open(path(name), encoding="utf-8", errors="surrogateescape") as file:
            return parse(name, file.read(65536))
    except OSError:
        return None


def listed() -> list[Shim]:
    try:
        names = sorted(os.listdir(folder()))
    except OSError:
        return []
    return [shim for shim in map(read, names) if shim is not None]


def write(shim: Shim) -> None:
    """Make or replace it, as a whole. Raises ConflictError (another's file is there), StorageError."""
    folders.private(folders.data())
    own = os.path.join(folders.private(folder()), shim.name)
    if os.path.lexists(own) and read(shim.name) is None:
        raise ConflictError(f"{own} is not one of our shims", hint="move it away")
    package = os.path.join(os.path.dirname(aish.__file__ or ""), "__main__.py")
    replace(own, text(shim, own, sys.executable, package), 0o755)


def replace(path: str, text: str, mode: int) -> None:
    """Another text in a file's place: whole or not at all, whatever dies meanwhile. Raises StorageError."""
    new = None
    try:
        fd, new = tempfile.mkstemp(prefix=f".{os.path.basename(path)}.", dir=os.path.dirname(path))
        with open(fd, "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(text)
            os.fchmod(fd, mode)
        os.replace(new, path)
    except OSError as error:
        if new is not None and os.path.exists(new):
            os.unlink(new)
        raise StorageError(f"cannot write {path}: {error.strerror}") from error


def remove(names: Iterable[str]) -> list[str]:
    """Those that were there and ours. Raises StorageError."""
    removed = []
    for name in names:
        if read(name) is not None:
            try:
                os.unlink(path(name))
            except OSError as error:
                raise StorageError(f"cannot remove {path(name)}: {error.strerror}") from error
            removed.append(name)
    return removed


def remove_all() -> list[str]:
    """Every shim: nothing that is typed runs under aish any more. Raises StorageError."""
    removed = remove(shim.name for shim in listed())
    try:
        os.rmdir(folder())
    except OSError:
        return removed  # somebody put something else there, or it never was
    return removed


def real(name: str) -> str | None:
    """The program that the shim of this name would run here."""
    for place in os.environ.get("PATH", os.defpath).split(os.pathsep):
        if place.rstrip("/").endswith(f"/aish/{_FOLDER}"):
            continue
        found = os.path.join(place or ".", name)
        if os.path.isfile(found) and os.access(found, os.X_OK) and not _same(found, path(name)):
            return found
    return None


def first(name: str) -> bool:
    """Whether whoever types the name here gets the shim."""
    for place in os.environ.get("PATH", os.defpath).split(os.pathsep):
        found = os.path.join(place or ".", name)
        if os.path.isfile(found) and os.access(found, os.X_OK):
            return _same(found, path(name))
    return False


def _same(one: str, other: str) -> bool:
    try:
        return os.path.samefile(one, other)
    except OSError:
        return False
