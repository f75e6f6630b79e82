"""Commands in PATH, remembered."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from aish.lang.variables import Variables

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
STANDARD_PATH = "/bin:/usr/bin"
"""Where `command -p` looks: what confstr(_CS_PATH) says."""


class Lookup:
    """A remembered place is forgotten when PATH changes. Whether it is still there is asked only where `checks`
    says so: in posix mode, and with `shopt -s checkhash`."""

    def __init__(self, variables: Variables, checks: Callable[[], bool]) -> None:
        self.known: dict[str, str] = {}
        self.hits: dict[str, int] = {}
        """How often each was run since it was remembered."""
        self.looked: dict[str, str] = {}
        """What `look` found."""
        self._variables = variables
        self._checks = checks
        variables.watch("PATH", lambda value: self.clear())

    def find(self, name: str) -> str | None:
        """The program that the command word `name` runs; None where there is none."""
        path = self._remembered(name)
        if path is None:
            path = search(name, self._variables.values.get("PATH", ""))
            if path is not None and path[0] == "/" and "/" not in name:
                self.known[name] = path
                self.hits[name] = 1
        else:
            self.hits[name] = self.hits.get(name, 0) + 1
        return path

    def look(self, name: str) -> str | None:
        """The same for what runs in a process of its own, whose memory goes with it: `hash` shows nothing of it."""
        path = self._remembered(name) or self.looked.get(name)
        if path is None:
            path = search(name, self._variables.values.get("PATH", ""))
            if path is not None and path[0] == "/":
                self.looked[name] = path
        return path

    def remember(self, name: str) -> bool:
        """`hash name`: whether there is such a program in PATH."""
        path = search(name, self._variables.values.get("PATH", ""))
        if path is None or not is_program(path):
            return False
        if path[0] == "/":
            self.known[name] = path
            self.hits[name] = 0
        return True

    def clear(self) -> None:
        """Forget all places."""
        self.known.clear()
        self.looked.clear()
        self.hits.clear()

    def _remembered(self, name: str) -> str | None:
        path = self.known.get(name)
        return None if path is not None and self._checks() and not is_program(path) else path


def search(name: str, path: str) -> str | None:
    """The first executable file `name` in the folders of `path`, else the first one that is not executable
    (which makes the answer 126 and not 127). A name with a slash is its own answer."""
    if "/" in name:
        return name
    if not name:
        return None
    second: str | None = None
    for folder in path.split(":"):
        candidate = f"{folder}/{name}" if folder else name
        if is_program(candidate):
            return candidate if folder else f"./{name}"
        if second is None and os.path.isfile(candidate):
            second = candidate
    return second


def is_program(path: str) -> bool:
    """Whether `path` is a file that this user may execute."""
    return os.access(path, os.X_OK) and os.path.isfile(path)
