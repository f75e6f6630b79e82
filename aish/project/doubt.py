"""What is not wrong in a project, but will hardly do what is meant: told by `aish project check` alone."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from aish.config.problem import dotted
from aish.errors import SourceError
from aish.model.nearest import nearest
from aish.model.provider_keys import PROVIDER_KEYS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from aish.config.places import Path
    from aish.project.declared import Declared
    from aish.project.specify import Wanted


def doubts(found: Declared, caller: Mapping[str, str]) -> list[SourceError]:
    """By file and line. `caller`: the variables of here."""
    told = [doubt for wanted in found.wanted.values() for doubt in _of(wanted, caller)]
    return sorted(told, key=lambda doubt: (doubt.file, doubt.line or 0))


def _of(wanted: Wanted, caller: Mapping[str, str]) -> Iterator[SourceError]:
    entry = wanted.entry

    def doubt(place: Path, message: str, hint: str) -> SourceError:
        at = (*entry.at, *place)
        return SourceError(
            f"{dotted(at)}: {message}", file=entry.document.shown, line=entry.document.line(at), hint=hint
        )

    folder = os.fsdecode(wanted.spec.cwd)
    if "cwd" in entry.values and not os.path.isdir(folder):
        yield doubt(("cwd",), f"there is no folder {folder} now", "it cannot be started before there is")
    for place, name in enumerate(wanted.spec.secrets):
        if name not in caller:
            near = None if name in PROVIDER_KEYS else nearest(name, PROVIDER_KEYS)
            hint = f"did you mean {near}?" if near else "`aish up` hands on what is set where it is run"
            yield doubt(("keys", place), f"the variable {name} is not set here", hint)
