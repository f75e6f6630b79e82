"""A fingerprint of the installed program: a daemon whose files were replaced makes room for one made of the new."""

from __future__ import annotations

import hashlib
import os

import aish


def fingerprint() -> str:
    """16 hexadecimal digits of what identifies each source file: path, size, time of change, inode. Nothing is read.

    The newest time alone would not do: wheels are built with the times of their sources, or with one for all.
    """
    digest = hashlib.blake2b(digest_size=8)
    found: list[str] = []
    todo = list(aish.__path__)
    while todo:
        with os.scandir(todo.pop()) as entries:
            for entry in entries:
                if entry.name.endswith(".py"):
                    status = entry.stat()
                    found.append(f"{entry.path}\0{status.st_size}\0{status.st_mtime_ns}\0{status.st_ino}")
                elif entry.is_dir() and entry.name != "__pycache__":
                    todo.append(entry.path)
    for line in sorted(found):
        digest.update(line.encode(errors="surrogateescape") + b"\n")
    return digest.hexdigest()


def folders_mark() -> int:
    """Something that changes when files are put into or taken out of any folder of the program, as every installer
    does. A fraction of a millisecond: some thirty folders."""
    marks = []
    todo = list(aish.__path__)
    while todo:
        folder = todo.pop()
        status = os.stat(folder)
        marks.append((folder, status.st_ino, status.st_mtime_ns))
        todo += [path for name in _SUBFOLDERS.get(folder, ()) if os.path.isdir(path := os.path.join(folder, name))]
    return hash(tuple(marks))


def _subfolders() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    todo = list(aish.__path__)
    while todo:
        folder = todo.pop()
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries if entry.is_dir() and entry.name != "__pycache__"]
        found[folder] = names
        todo += [os.path.join(folder, name) for name in names]
    return found


_SUBFOLDERS = _subfolders()
