"""aish.toml: models, agents, services and schedules of a folder, and what is to be done about them. What a Python
program uses is `Project`, and `AsyncProject` for asyncio."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aish.project.aio import AsyncProject
    from aish.project.blocking import Project

__all__ = ["AsyncProject", "Project"]
_HOMES = {"AsyncProject": "aish.project.aio", "Project": "aish.project.blocking"}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
