"""The options that say what a process may reach, shared by spawn and run."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import msgspec

from aish.client import launch
from aish.errors import UsageError
from aish.model.nearest import nearest
from aish.model.sandbox import PROFILES
from aish.wire.sandbox import SandboxPart

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Sequence

    from aish.cli.arguments import Parser

OFF = "none"
_MORE = ("write", "read", "hide", "host", "no_models", "sandbox_spawn")


def options(parser: Parser) -> None:
    parser.add_argument(
        "--sandbox",
        metavar="PROFILE",
        help="what it may reach: closed, dev, open; none: also where an agent says more",
    )
    parser.add_argument(
        "--write", action="append", default=[], metavar="PATH", help="what it may write, beside its folder"
    )
    parser.add_argument(
        "--read", action="append", default=[], metavar="PATH", help="what it may read beside the system"
    )
    parser.add_argument(
        "--hide", action="append", default=[], metavar="PATH", help="what it does not see in any case"
    )
    parser.add_argument(
        "--host", action="append", default=[], metavar="HOST", help='what it may reach: example.org, "*.example.org"'
    )
    parser.add_argument("--no-models", action="store_true", help="it may not ask models")
    parser.add_argument(
        "--sandbox-spawn", action="store_true", help="it may start processes, in no wider sandbox than its own"
    )


def part_of(wanted: Namespace, said: SandboxPart | None, *, hosted: bool) -> SandboxPart | None:
    """`said`: by the agent's own file. Raises UsageError."""
    added = [name for name in _MORE if getattr(wanted, name)]
    if wanted.sandbox == OFF or (wanted.sandbox is None and said is None):
        if added:
            option = added[0].replace("_", "-")
            raise UsageError(f"--{option} says nothing without --sandbox", hint=f"--sandbox {PROFILES[0]}")
        return None
    if wanted.sandbox is not None and wanted.sandbox not in PROFILES:
        near = nearest(wanted.sandbox, PROFILES)
        hint = f"did you mean {near}?" if near else "one of " + ", ".join((*PROFILES, OFF))
        raise UsageError(f"--sandbox {wanted.sandbox}: no such profile", hint=hint)
    part = said or SandboxPart()
    return msgspec.structs.replace(
        part,
        profile=wanted.sandbox or part.profile,
        write=[*part.write, *_paths(wanted.write)],
        read=[*part.read, *_paths(wanted.read)],
        hide=[*part.hide, *_paths(wanted.hide)],
        hosts=[*part.hosts, *wanted.host],
        models=part.models and not wanted.no_models,
        spawn=part.spawn or wanted.sandbox_spawn,
        hosted=hosted,
    )


def _paths(words: Sequence[str]) -> list[bytes]:
    return [os.fsencode(os.path.join(launch.folder(), os.path.expanduser(word))) for word in words]
