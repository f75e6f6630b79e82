"""Pathname expansion: a pattern to the names that match it, in order of their characters."""

from __future__ import annotations

import os

from aish.lang.name_filter import among
from aish.lang.pattern import compiled, is_magic, unescape


def expand(pattern: str) -> list[str]:
    """The existing paths that match, sorted; [] if there are none (the caller keeps the word then)."""
    parts = _split(pattern)
    prefix = ""
    if parts and not parts[0] and len(parts) > 1:
        prefix = "/"
        while parts and not parts[0]:
            parts.pop(0)
    found: list[str] = []
    _walk(prefix, parts, 0, found)
    found.sort()
    return found


def _split(pattern: str) -> list[str]:
    """Components between slashes; a slash is one also where it is quoted."""
    return pattern.replace("\\/", "/").split("/")


def _walk(prefix: str, parts: list[str], at: int, found: list[str]) -> None:
    """Add to `found` what matches parts[at:] below `prefix` (which is '' or ends in a slash)."""
    while at < len(parts) and not is_magic(parts[at]):
        last = at == len(parts) - 1
        prefix += unescape(parts[at]) + ("" if last else "/")
        at += 1
    if at == len(parts):
        if prefix and os.path.lexists(prefix):
            found.append(prefix)
        return
    last = at == len(parts) - 1
    names = _matching(prefix, parts[at], directories=not last)
    if last:
        found.extend([prefix + name for name in names])
        return
    for name in names:
        _walk(prefix + name + "/", parts, at + 1, found)


def _matching(folder: str, part: str, *, directories: bool) -> list[str]:
    """Names in `folder` that match; hidden ones only where the pattern begins with a dot; never . and .. ."""
    pattern = compiled(part)
    hidden = bool(pattern.elements) and pattern.elements[0] == "."
    try:
        if not directories:
            names = os.listdir(folder or ".")
        else:
            with os.scandir(folder or ".") as entries:
                names = [entry.name for entry in entries if _is_directory(entry)]
    except OSError:
        return []  # not a directory, or not ours to read: it has no matches
    found = among(part, names)
    if found is not None:
        return found
    if hidden:
        return [name for name in names if name[0] == "." and pattern.matches(name)]
    return [name for name in names if name[0] != "." and pattern.matches(name)]


def _is_directory(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False  # a link into a place that cannot be read
