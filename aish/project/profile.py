"""Which entries take part: those without profiles, of the chosen ones, or named; and what they need. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aish.errors import NotFoundError, UsageError
from aish.model.nearest import nearest
from aish.project.order import closure

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from aish.project.entry import Project


def chosen(
    project: Project, profiles: Sequence[str], names: Sequence[str] = (), running: Collection[str] = ()
) -> set[str]:
    """Names of entries. What is `running` of another profile stays part: it was asked for before.

    Raises UsageError (no such profile), NotFoundError (no such entry); both name the nearest.
    """
    for profile in profiles:
        if profile not in project.profiles:
            raise UsageError(f"no entry is of the profile {profile}", hint=_hint(profile, project.profiles))
    for name in names:
        if name not in project.entries:
            if name in project.definitions:
                raise NotFoundError(
                    f"{name} is an agent, not one of the processes of {project.path}",
                    hint=f'`aish spawn -- @{name}`, or an entry with agent = "{name}"',
                )
            raise NotFoundError(f"{project.path} declares no {name}", hint=_hint(name, project.entries))
    needs = {name: entry.needs for name, entry in project.entries.items()}
    if names:
        return closure(names, needs)
    wanted = set(profiles)
    taking = [
        name
        for name, entry in project.entries.items()
        if not entry.profiles or wanted & set(entry.profiles) or name in running
    ]
    return closure(taking, needs)


def _hint(word: str, known: Collection[str]) -> str | None:
    near = nearest(word, known)
    return f"did you mean {near}?" if near else ("there are " + ", ".join(sorted(known)[:10]) if known else None)
