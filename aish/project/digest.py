"""Whether what a file says of an entry changed: a SHA-256 of what takes a restart, and one of the rest. Pure."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

import msgspec

from aish.wire.spec import AMENDABLE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aish.wire.spec import SpecPart


_HALF: Final = 64
"""Digits of a SHA-256."""


def digest(spec: SpecPart, environ: Mapping[str, str], others: Mapping[str, object]) -> str:
    """`environ`: what is declared, nothing of the caller. `others`: what else it is made of (umask, an agent's file).

    Fields at their default are left out, so a new field of a later version changes nothing.
    """
    fields = msgspec.to_builtins(spec)
    fields = {name: value for name, value in fields.items() if name not in ("digest", "project")}
    fixed = {name: value for name, value in fields.items() if name not in AMENDABLE}
    amendable = {name: value for name, value in fields.items() if name in AMENDABLE}
    values = {name: value.encode(errors="surrogateescape") for name, value in environ.items()}
    run = [fixed, values, dict(others), spec.schedule is not None]  # with a schedule or without: that is not amended
    return _hash(run) + _hash(amendable)


def same(one: str | None, other: str | None) -> bool:
    return one is not None and one == other


def same_run(one: str | None, other: str | None) -> bool:
    """Whether a process made for one may go on for the other: only what takes effect at once differs."""
    return one is not None and other is not None and one[:_HALF] == other[:_HALF]


def _hash(value: object) -> str:
    return hashlib.sha256(msgspec.json.encode(value, order="deterministic")).hexdigest()
