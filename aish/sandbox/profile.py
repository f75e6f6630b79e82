"""What a settled sandbox comes to: paths that are read, written, hidden and left as they are; the network. Pure."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Final, NamedTuple

from aish.model.sandbox import DEV, GATEWAY, OPEN, PROXY
from aish.sandbox import paths
from aish.sandbox.around import HOME_SECRETS, SECRETS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aish.model.sandbox import Door, Network
    from aish.sandbox.around import Around
    from aish.wire.sandbox import SandboxPart

GUARDED: Final = ("hooks", "config", "config.worktree", "commondir", "modules", "aish")
"""Of a .git that is written to: what git runs, takes for an order, or takes another configuration by, when somebody
uses it outside (gitrepository-layout(5)); and what aish knows of worktrees there, by which it lands them."""
LINKED: Final = ("config.worktree", "commondir", "gitdir", "modules")
"""The same of each folder in .git/worktrees, which another working tree has for its .git."""
_GUARDED: Final = re.compile(r"/\.git/(?:" + "|".join(map(re.escape, GUARDED)) + r")(?:/|$)")


class Plan(NamedTuple):
    """Paths are absolute, those of a spec without links. What is hidden goes before what is read or written, what is
    guarded before what is written; `own` goes before all."""

    read: tuple[str, ...]
    write: tuple[str, ...]
    hide: tuple[str, ...]
    git: tuple[str, ...]
    """Where a .git would be whose GUARDED are not written to."""
    own: tuple[str, ...]
    """Its run folder, and sockets of the daemon that it may speak to."""
    cache: str | None
    network: Network
    doors: tuple[Door, ...]
    """What answers in a network of its own."""
    home: str
    cwd: str
    links: tuple[tuple[str, str], ...]
    plain: tuple[str, ...]
    """Of read and write: those that a spec named."""
    gpu: bool = False


def plan(part: SandboxPart, cwd: bytes, around: Around, own: Sequence[str] = (), *, gpu: bool = False) -> Plan:
    """`part` is settled."""
    hide = [os.fsdecode(path) for path in part.hide]
    hide += [*SECRETS, *(os.path.join(around.home, name) for name in HOME_SECRETS), *around.aish]
    hidden = paths.tidy(hide)
    asked = [os.fsdecode(path) for path in part.write if not paths.covered(os.fsdecode(path), hidden)]
    write = paths.tidy(path for path in asked if not _GUARDED.search(f"{path}/"))
    named = [os.fsdecode(path) for path in part.read] + [path for path in asked if path not in write]
    named = [path for path in named if not paths.covered(path, hidden)]
    network: Network = "open" if part.profile == OPEN else "own"
    system = (*around.system, *(around.resolver if network == "open" else ()))
    kept = [path for path in around.programs if path not in write]  # what it writes to may hold aish itself
    read = paths.tidy([*system, *named, *(path for path in kept if not paths.covered(path, write))])
    return Plan(
        read=(*(path for path in read if not paths.covered(path, write)), *_within(kept, write)),
        write=write,
        hide=hidden,
        git=tuple(path if path.endswith("/.git") else os.path.join(path, ".git") for path in write),
        own=tuple(own),
        cache=around.cache if part.profile == DEV else None,
        network=network,
        doors=doors(part),
        home=around.home,
        cwd=os.path.normpath(os.fsdecode(cwd)),
        links=around.links,
        plain=tuple(path for path in (*write, *named) if path in write or path in read),
        gpu=gpu,
    )


def _within(given: Sequence[str], roots: Sequence[str]) -> list[str]:
    return [path for path in paths.tidy(given) if paths.covered(path, roots)]


def doors(part: SandboxPart) -> tuple[Door, ...]:
    """Those of a sandbox, in the order in which their sockets are passed."""
    if part.profile == OPEN:
        return ()
    proxied = part.profile == DEV or bool(part.hosts)
    return (*((GATEWAY,) if part.models else ()), *((PROXY,) if proxied else ()))
