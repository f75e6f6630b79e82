"""What the files of a project declare: its entries, as read and checked. Frozen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from aish.config.document import Document
    from aish.config.places import Path


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One process: `section` is that of aish.project.schema.SECTIONS, `values` what its table reads."""

    name: str
    section: str
    values: dict[str, Any]
    document: Document
    place: int
    """In the order of the files."""

    @property
    def at(self) -> Path:
        return (self.section, self.name)

    @property
    def needs(self) -> list[str]:
        return list(self.needs_by_place.values())

    @property
    def needs_by_place(self) -> dict[int, str]:
        """Without those that are wrong."""
        names = (need.get("name") if isinstance(need, dict) else need for need in self.values.get("needs") or ())
        return {place: name for place, name in enumerate(names) if name is not None}

    @property
    def profiles(self) -> list[str]:
        return list(self.values.get("profiles", ()))

    @property
    def stored_model(self) -> bool:
        """A model out of the store: how it is served is not said here."""
        return self.section == "models" and not ({"command", "shell", "url"} & set(self.values))


class Project(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    path: str
    """Of its aish.toml, absolute and without links: what its processes are known by."""
    entries: dict[str, Entry]
    env: dict[str, str] = {}
    env_files: list[str] = []
    """Absolute."""
    inherit: list[str] = []
    groups: dict[str, str] = {}
    """Name -> strategy."""
    budget: dict[str, Any] = {}
    """What its table reads."""
    definitions: dict[str, str] = {}
    """Agents that it defines: name -> what stands for its file."""

    @property
    def profiles(self) -> list[str]:
        return sorted({profile for entry in self.entries.values() for profile in entry.profiles})
