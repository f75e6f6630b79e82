"""Pathname expansion: a pattern to the names that match it, in the order of the locale."""

from __future__ import annotations

import os

from aish.lang.matching import Pattern
from aish.lang.name_filter import among
from aish.lang.pattern import EXTENDED, FOLDED, is_magic, unescape
from aish.lang.pattern_match import Group

TYPE_CHECKING = False
if TYPE_CHECKING:
    from aish.lang.pattern_parse import Element
    from aish.lang.runtime import Runtime

_CACHE_SIZE = 500
_compiled: dict[tuple[str, int], Pattern] = {}


def expand(rt: Runtime, pattern: str) -> list[str]:
    """The existing paths that match, sorted; [] if there are none."""
    walk = _Walk(rt)
    slashes = len(pattern) - len(pattern.lstrip("/"))
    walk.below("/" * slashes, _without_doubles(_split(pattern[slashes:]), walk.extended), 0)
    found = walk.found
    if rt.ignored:
        found = _not_ignored(rt, found, rt.ignored)
    return rt.locale.sorted(found)


def _split(pattern: str) -> list[str]:
    """Components between slashes; a slash is one also where it is quoted, but not in a group."""
    if "(" not in pattern:
        return pattern.replace("\\/", "/").split("/")
    parts = [""]
    level = pos = 0
    while pos < len(pattern):
        piece = pattern[pos : pos + 2] if pattern[pos] == "\\" else pattern[pos]
        pos += len(piece)
        level += (piece == "(") - (piece == ")" and level > 0)
        if not level and piece in ("/", "\\/"):
            parts.append("")
        else:
            parts[-1] += piece
    return parts if not level else pattern.replace("\\/", "/").split("/")


def _without_doubles(parts: list[str], extended: bool) -> list[str]:
    """Behind the first part that is a pattern, several slashes are one, as in bash."""
    if "" not in parts[1:-1]:
        return parts
    first = next((at for at, part in enumerate(parts) if is_magic(part, extended)), len(parts))
    return [part for at, part in enumerate(parts) if part or at <= first or at == len(parts) - 1]


def _not_ignored(rt: Runtime, paths: list[str], ignored: str) -> list[str]:
    """`paths` without those that a pattern of GLOBIGNORE matches. A `*` at its end matches all that is below, too."""
    patterns = [
        ([_pattern(rt, part) for part in path.split("/")], _ends_open(path)) for path in _colon_parts(ignored)
    ]

    def is_ignored(path: str) -> bool:
        parts = path.split("/")
        return any(
            (len(pattern) == len(parts) or (ends_open and len(pattern) < len(parts)))
            and all(one.matches(part) for one, part in zip(pattern, parts, strict=False))
            for pattern, ends_open in patterns
        )

    return [path for path in paths if not is_ignored(path)]


def _ends_open(pattern: str) -> bool:
    """Whether it ends with a `*` that is none of a name."""
    before = pattern[:-1]
    return pattern[-1] == "*" and (len(before) - len(before.rstrip("\\"))) % 2 == 0


def _colon_parts(text: str) -> list[str]:
    """The parts between colons, but for those in brackets and behind a backslash."""
    parts, level, escaped = [""], 0, False
    for char in text:
        level += (char == "[") - (char == "]" and level > 0)
        if char == ":" and not (level or escaped):
            parts.append("")
        else:
            parts[-1] += char
        escaped = char == "\\" and not escaped
    return [part for part in parts if part]


def _pattern(rt: Runtime, part: str) -> Pattern:
    """The pattern of one component, under the options that count for names of files."""
    flags = rt.locale.pattern_flags
    if "extglob" in rt.shopt:
        flags |= EXTENDED
    if "nocaseglob" in rt.shopt:
        flags |= FOLDED
    found = _compiled.get((part, flags))
    if found is None:
        if len(_compiled) >= _CACHE_SIZE:
            _compiled.clear()
        found = _compiled[part, flags] = Pattern(part, fixed=flags)
    return found


def begins_with_dot(elements: list[Element]) -> bool:
    """Whether a pattern may mean a hidden name: a dot stands first, or first in a choice of a group."""
    for element in elements:
        if type(element) is not Group:
            return element == "."
        if any(begins_with_dot(choice) for choice in element.choices):
            return True
        if element.kind in "@+" and all(element.choices):
            return False
    return False


class _Walk:
    """Collects paths in `found`."""

    def __init__(self, rt: Runtime) -> None:
        self.rt = rt
        self.extended = "extglob" in rt.shopt
        self.hidden = "dotglob" in rt.shopt
        self.deep = "globstar" in rt.shopt
        self.found: list[str] = []

    def below(self, prefix: str, parts: list[str], at: int) -> None:
        """What matches parts[at:] below `prefix` (which is '' or ends in a slash)."""
        plain = False
        while at < len(parts) and not is_magic(parts[at], self.extended):
            last = at == len(parts) - 1
            prefix += unescape(parts[at]) + ("" if last else "/")
            plain = True
            at += 1
        if at == len(parts):
            if prefix and (os.path.lexists(prefix) if plain else os.path.isdir(prefix)):
                self.found.append(prefix)
            return
        if self.deep and parts[at] == "**":
            while parts[at + 1 : at + 2] == ["**"]:
                at += 1
            self._all_below(prefix, parts, at, again="**" in parts[:at])
            return
        last = at == len(parts) - 1
        names = self._matching(prefix, parts[at], directories=not last)
        if last:
            self.found.extend([prefix + name for name in names])
            return
        for name in names:
            self.below(prefix + name + "/", parts, at + 1)

    def _matching(self, folder: str, part: str, *, directories: bool) -> list[str]:
        """Names in `folder` that match; hidden ones only where the pattern asks for them; never . and .. ."""
        try:
            if not directories:
                names = os.listdir(folder or ".")
            else:
                with os.scandir(folder or ".") as entries:
                    names = [entry.name for entry in entries if _is_directory(entry)]
        except (OSError, ValueError):
            return []  # not a directory, or not ours to read: it has no matches
        if "globskipdots" not in self.rt.shopt:
            names += [".", ".."]
        elif not self.hidden and "nocaseglob" not in self.rt.shopt:
            found = among(part, names)
            if found is not None:
                return found
        pattern = _pattern(self.rt, part)
        matches = pattern.matches
        if self.hidden:
            return [name for name in names if matches(name)]
        shown = [name for name in names if name[0] != "." and matches(name)]
        if begins_with_dot(pattern.elements):
            shown += [name for name in names if name[0] == "." and pattern.matches_name(name)]
        return shown

    def _all_below(self, prefix: str, parts: list[str], at: int, *, again: bool) -> None:
        """`**`: `prefix` itself and every folder below it, links not followed; as the last part, files too. `again`:
        it stands behind another `**`, where bash shows `prefix` without its slash."""
        if prefix and not os.path.isdir(prefix):
            return
        last = at == len(parts) - 1
        folders = parts[at + 1 :] == [""]
        if last and prefix:
            self.found.append(prefix.rstrip("/") if again else prefix)
        pending = [prefix]
        while pending:
            folder = pending.pop()
            if folders and folder:
                self.found.append(folder)
            elif not last and not folders:
                self.below(folder, parts, at + 1)
            try:
                with os.scandir(folder or ".") as entries:
                    for entry in entries:
                        if entry.name[0] == "." and not self.hidden:
                            continue
                        if last:
                            self.found.append(folder + entry.name)
                        if entry.is_dir(follow_symlinks=False):
                            pending.append(folder + entry.name + "/")
                        elif folders and _is_directory(entry):
                            self.found.append(folder + entry.name + "/")
            except OSError:
                continue  # not ours to read


def _is_directory(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False  # a link into a place that cannot be read
