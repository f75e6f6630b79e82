"""A sandbox within another: what a process may give to what it starts through the supervisor. Pure."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from aish.model.sandbox import OPEN, PROFILES
from aish.sandbox import hosts, paths
from aish.wire.sandbox import SandboxPart

if TYPE_CHECKING:
    from collections.abc import Iterable


def narrow(parent: SandboxPart, child: SandboxPart | None) -> SandboxPart:
    """What both allow; `child` None: what the parent has. Both are settled, and so is the result.

    The holder starts the child outside of its parent's sandbox: what is not taken away here, it has."""
    if child is None:
        child = parent
    p_write, c_write = _words(parent.write), _words(child.write)
    write = paths.meet(p_write, c_write)
    read = paths.meet((*_words(parent.read), *p_write), (*_words(child.read), *c_write))
    return SandboxPart(
        profile=PROFILES[min(PROFILES.index(parent.profile), PROFILES.index(child.profile))],
        write=_bytes(write),
        read=_bytes(path for path in read if not paths.covered(path, write)),
        hide=_bytes(paths.tidy([*_words(parent.hide), *_words(child.hide)])),
        hosts=list(child.hosts) if parent.profile == OPEN else hosts.within(child.hosts, hosts.known(parent)),
        models=parent.models and child.models,
        spawn=parent.spawn and child.spawn,
        hosted=False,  # a host is the user's program; one that a sandboxed process starts is its own
        settled=True,
    )


def _words(given: Iterable[bytes]) -> list[str]:
    return [os.fsdecode(path) for path in given]


def _bytes(given: Iterable[str]) -> list[bytes]:
    return [os.fsencode(path) for path in given]
