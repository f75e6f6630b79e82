"""What aish.toml would not take is not written into one: it is told as left. Pure.

Others' files have other bounds (`MemoryMax=0`, a grace of two hours). What an import prints is a file that
`aish project check` takes, as far as that does not depend on the caller's variables.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from aish.config.document import parse
from aish.config.problem import Problems, dotted
from aish.project.importing.draft import toml
from aish.project.schema import FILE, SECTIONS
from aish.project.value import Reading

if TYPE_CHECKING:
    from aish.config.places import Path
    from aish.project.importing.draft import Draft

ROUNDS_MOST: Final = 8
"""Of looking again: a table may lack something when a key of it has gone, and the entry when that table has."""
_OF_AN_ENTRY: Final = 2


def fit(draft: Draft) -> None:
    for _ in range(ROUNDS_MOST):
        document = parse(toml(draft).encode(), "/aish.toml", "aish.toml")
        problems = Problems()
        FILE.read(document.table, (), Reading(document, problems))
        found = zip(problems.inside(document, ()), problems.found, strict=False)
        wrong = [(at, str(error.args[0]).removeprefix(f"{dotted(at)}: ")) for at, error in found]
        wrong = [(at, why) for at, why in wrong if at[:1] and at[0] in SECTIONS and not _varies(document.table, at)]
        if not wrong:
            return
        once = dict(reversed(wrong))  # a key and its value may both be wrong: the key's reason is told
        for at, why in once.items():  # a later item of a list first: the places of the others stay
            _leave(draft, at, why)


def _leave(draft: Draft, at: Path, why: str) -> None:
    section, name = str(at[0]), str(at[1])
    table = draft.entries.get((section, name))
    if table is None:
        return  # left as a whole in this round
    draft.leave(draft.files[name], dotted(at[1:]), why)
    if len(at) == _OF_AN_ENTRY:
        del draft.entries[section, name]
        return
    place: Any = table
    for part in at[_OF_AN_ENTRY:-1]:
        place = place[part]
    del place[at[-1]]


def _varies(table: Any, at: Path) -> bool:
    """Whether it has a variable in it: what it says then is not known here."""
    for part in at:
        try:
            table = table[part]
        except (KeyError, IndexError, TypeError):
            return False
    return _has_variable(table)


def _has_variable(item: Any) -> bool:
    match item:
        case str():
            return "${" in item.replace("$$", "")
        case dict():
            return any(map(_has_variable, item.values()))
        case list():
            return any(map(_has_variable, item))
        case _:
            return False
