"""A plan and a program as the order that aish.sandbox.enter carries out."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any, Final

from aish.model.sandbox import BWRAP
from aish.sandbox import bwrap, carve, paths
from aish.sandbox.enter import order

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aish.model.sandbox import Door
    from aish.sandbox.profile import Plan
    from aish.sandbox.tier import Holding

FOLDER: Final = os.path.join(os.path.dirname(os.path.abspath(__file__)), "enter")
"""What is run inside as well."""
DEVICES: Final = tuple(f"/dev/{name}" for name in ("null", "zero", "full", "random", "urandom", "tty"))
_OURS: Final = (b"AISH_ID", b"AISH_NAME", b"AISH_TAG", b"AISH_ERRAND")
"""Variables by which we know our own: they are ours, whatever the program's environment says."""
TEMPORARY: Final = b"TMPDIR"
CACHES: Final = b"XDG_CACHE_HOME"


def words(fd: int) -> list[bytes]:
    """What is started in place of the program; `fd` is the order there."""
    return [
        os.fsencode(word)
        for word in (os.path.realpath(sys.executable), "-I", "-S", os.path.join(FOLDER, "__main__.py"), str(fd))
    ]


def environ(env: Sequence[bytes]) -> list[bytes]:
    """What it is started with: nothing that whoever chose the environment could have run before it is confined."""
    return [b"PATH=/usr/local/bin:/usr/bin:/bin", *(entry for entry in env if entry.partition(b"=")[0] in _OURS)]


def encode(
    holding: Holding,
    plan: Plan,
    *,
    argv: Sequence[bytes],
    env: Sequence[bytes],
    candidates: Sequence[bytes],
    folder: str,
    ports: Mapping[Door, int],
    channel: int | None = None,
) -> bytes:
    """`folder`: private, and its own, for what has no /tmp of its own. `ports`: of its doors, in both tiers.
    `channel`: a descriptor by which a network of its own tells of them; without, there is nobody in it."""
    fields: dict[str, Any] = {
        "argv": argv,
        "env": env,
        "candidates": candidates,
        "cwd": os.fsencode(plan.cwd),
        "inet": "open",
        "ports": None,
        "doors": [],
        "channel": None,
        "fds": [],
        "opened": {},
        "plain": list(plan.plain),
    }
    if holding.tier == BWRAP:
        fields |= _by_bwrap(holding, plan)
        if channel is not None and plan.doors:
            fields |= {"doors": [(door, ports[door]) for door in plan.doors], "channel": channel}
    else:
        fields |= _in_place(plan, env, folder, [ports[door] for door in plan.doors])
    return order.encode(fields)


def _by_bwrap(holding: Holding, plan: Plan) -> dict[str, Any]:
    seen = bwrap.Seen()
    guards = [path for path, _ in bwrap.guards(plan, seen)]
    return {
        "bwrap": bwrap.words(holding.program, plan, seen),
        "plain": [*(path for path in plan.plain if seen.exists(path)), *guards],
        "folders": [
            *([plan.cache] if plan.cache is not None else []),
            *(path for git in guards for path in bwrap.folders_made(git) if path in guards),
        ],
        "files": {path: text for git in guards for path, text in bwrap.files_made(git).items() if path in guards},
        "unix": True,
        "read": [],
        "write": [],
        "devices": [],
    }


def _in_place(plan: Plan, env: Sequence[bytes], folder: str, ports: Sequence[int]) -> dict[str, Any]:
    """Landlock knows no /tmp and no ~/.cache of its own: other folders are named instead. Nor a network: ports are
    all there is."""
    own = {} if plan.network == "open" else {"ports": list(ports), "inet": "tcp" if ports else "none"}
    temporary = os.path.join(folder, "tmp")
    named = {TEMPORARY: os.fsencode(temporary)}
    if plan.cache is not None and not _has_caches(plan, env):
        named[CACHES] = os.fsencode(plan.cache)
    others = [entry for entry in env if entry.partition(b"=")[0] not in named]
    caches = [plan.cache] if plan.cache is not None else []
    return {
        "bwrap": [],
        "folders": [temporary, *caches],
        "files": {},
        "env": [*others, *(name + b"=" + value for name, value in named.items())],
        "read": [*carve.carve(plan.read, plan.hide), "/proc"],
        "write": [*carve.carve(plan.write, plan.hide), *plan.own, temporary, *caches],
        "devices": [*DEVICES, *(bwrap.GPUS if plan.gpu else ())],
        "unix": False,
        **own,
    }


def _has_caches(plan: Plan, env: Sequence[bytes]) -> bool:
    """Whether its environment names a folder for caches that it may write to already."""
    said = [os.fsdecode(entry.partition(b"=")[2]) for entry in env if entry.startswith(CACHES + b"=")]
    return any(os.path.isabs(path) and paths.covered(path, (*plan.write, *plan.own)) for path in said)
