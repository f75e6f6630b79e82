"""A short way from the text of an aish.toml to what it declares, without files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from aish.config.document import parse
from aish.config.problem import Problems
from aish.project import declare, specify
from aish.project.specify import Read, Wanted

if TYPE_CHECKING:
    from collections.abc import Callable

    from aish.project.entry import Project


class Told:
    """`problems` as people read them: file:line: key: …; `hints` beside them."""

    def __init__(self, text: str, **variables: str) -> None:
        found = Problems()
        documents = [parse(text.encode(), "/work/demo/aish.toml", "aish.toml")]
        self.project: Project = declare.declare(documents, {"HOME": "/home/me", **variables}, found)
        self.problems = [str(error) for error in found.in_order()]
        self.hints = [error.hint for error in found.in_order()]

    def wanted(self, name: str, **read: object) -> Wanted:
        assert self.problems == []
        return specify.wanted(
            self.project.entries[name],
            self.project,
            Read(**read),
            {},
            {"HOME": "/home/me"},  # type: ignore[arg-type]
        )


@pytest.fixture
def told() -> Callable[..., Told]:
    return Told
