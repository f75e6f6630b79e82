"""Who takes part: aish as each way of installing has it, and other shells, where they are installed."""

from __future__ import annotations

import os
import shutil
import sys
from typing import NamedTuple

from benches import fetch
from benches.fetch import NotToBeHadError
from benches.shell import installs


class Shell(NamedTuple):
    """A program and how it is started."""

    name: str
    argv: tuple[str, ...]
    home: str
    bare: tuple[str, ...]
    """The interpreter alone, that the start is measured against."""
    posix: bool
    """Whether the scripts are in its language."""

    def environ(self) -> dict[str, str]:
        """What a login has, and no more."""
        return {"PATH": os.environ["PATH"], "HOME": self.home, "LANG": os.environ.get("LANG", "C.UTF-8")}


_PEERS: dict[str, tuple[tuple[str, ...], bool]] = {
    "bash": (("bash",), True),
    "dash": (("dash",), True),
    "mksh": (("mksh",), True),
    "zsh": (("zsh", "-f"), True),
    "fish": (("fish", "--no-config"), False),
    "xonsh": (("xonsh", "--no-rc", "--no-env"), False),
}
"""How each is started without a file of its user's, and whether it takes our scripts."""
PEERS = tuple(_PEERS)
WAYS = tuple(installs.WAYS)


def take(name: str, folder: str) -> Shell:
    """Raises NotToBeHadError."""
    if name in installs.WAYS:
        program, home = installs.installed(name, folder)
        return Shell(name, (program,), home, _bare(installs.python(program)), name == WAYS[0])
    words, posix = _PEERS[name]
    found = shutil.which(words[0])
    if found is None and name == "xonsh":
        found = fetch.python("xonsh", "xonsh")
    if found is None:
        raise NotToBeHadError("it is not installed")
    return Shell(name, (found, *words[1:]), folder, _bare(sys.executable), posix)


def _bare(python: str) -> tuple[str, ...]:
    return (python, "-I", "-S", "-c", "pass")
