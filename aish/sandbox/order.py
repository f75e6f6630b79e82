"""A plan and a program as the order that aish.sandbox.enter carries out."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any, Final

from aish.model.sandbox import BWRAP
from aish.sandbox import bwrap, carve
from aish.sandbox.enter import order

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aish.sandbox.profile import Plan
    from aish.sandbox.tier import Holding

FOLDER: Final = os.path.join(os.path.dirname(os.path.abspath(__file__)), "enter")
"""What is run inside as well."""
DEVICES: Final = tuple(f"/dev/{name}" for name in ("null", "zero", "full", "random", "urandom", "tty"))
_INET: Final = {"open": "open", "gateway": "tcp", "none": "none"}
_OURS: Final = (b"AISH_ID", b"AISH_NAME", b"AISH_TAG", b"AISH_ERRAND")
"""Variables by which we know our own: they are ours, whatever the program's environment says."""
TEMPORARY: Final = b"TMPDIR"


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
    port: int,
    folder: str,
) -> bytes:
    """`port`: the gateway's. `folder`: private, and its own, for what has no /tmp of its own."""
    ports = None if plan.network == "open" else [port] if plan.network == "gateway" else []
    fields: dict[str, Any] = {
        "argv": argv,
        "env": env,
        "candidates": candidates,
        "cwd": os.fsencode(plan.cwd),
        "inet": _INET[plan.network],
        "ports": ports,
        "fds": [],
        "opened": {},
        "plain": list(plan.plain),
        **(_by_bwrap(holding, plan) if holding.tier == BWRAP else _in_place(plan, env, folder)),
    }
    return order.encode(fields)


def _by_bwrap(holding: Holding, plan: Plan) -> dict[str, Any]:
    seen = bwrap.Seen()
    guards = [path for path, _ in bwrap.guards(plan, seen)]
    fields: dict[str, Any] = {
        "bwrap": bwrap.words(holding.program, plan, seen),
        "plain": [*(path for path in plan.plain if seen.exists(path)), *guards],
        "folders": [
            *([plan.cache] if plan.cache is not None else []),
            *(path for git in plan.git if git in guards for path in bwrap.made(git)),
        ],
        "unix": True,
        "read": [],
        "write": [],
        "devices": [],
    }
    if plan.network == "none":  # a network of its own, with nobody in it
        fields |= {"inet": "open", "ports": None}
    return fields


def _in_place(plan: Plan, env: Sequence[bytes], folder: str) -> dict[str, Any]:
    """Landlock knows no /tmp of its own: another folder is named instead."""
    temporary = os.path.join(folder, "tmp")
    others = [entry for entry in env if entry.partition(b"=")[0] != TEMPORARY]
    return {
        "bwrap": [],
        "folders": [temporary],
        "env": [*others, TEMPORARY + b"=" + os.fsencode(temporary)],
        "read": [*carve.carve(plan.read, plan.hide), "/proc"],
        "write": [*carve.carve(plan.write, plan.hide), *plan.own, temporary],
        "devices": [*DEVICES, *(bwrap.GPUS if plan.gpu else ())],
        "unix": False,
    }
