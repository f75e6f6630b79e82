"""What is done in the name of a sandboxed agent outside of its sandbox stays within what that lets."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from aish.sandbox import opening, reach
from aish.sandbox.profile import Plan

PLAN = Plan(
    read=("/usr", "/home/me/data", "/work/project/aish"),
    write=("/home/me/data/out", "/work/project"),
    hide=("/work/project/.env", "/home/me/.ssh", "/usr/secret"),
    git=("/work/project/.git",),
    own=("/run/agent",),
    cache=None,
    network="open",
    doors=(),
    home="/home/me",
    cwd="/work/project",
    links=(),
    plain=(),
)


@pytest.mark.parametrize(
    ("path", "reads", "writes"),
    [
        ("/work/project", True, True),
        ("/work/project/new/file", True, True),
        ("/work/projects", False, False),
        ("/work/project/.env", False, False),
        ("/work/project/.env.example", True, True),
        ("/work/project/aish/x.py", True, False),
        ("/work/project/.git/hooks", True, False),
        ("/work/project/.git/hooks/pre-commit", True, False),
        ("/work/project/.git/config", True, False),
        ("/work/project/.git/commondir", True, False),
        ("/work/project/.git/index", True, True),
        ("/home/me/data/x", True, False),
        ("/home/me/data/out/x", True, True),
        ("/home/me/.ssh/id", False, False),
        ("/usr/bin/env", True, False),
        ("/usr/secret/x", False, False),
        ("/run/agent/settings", False, False),
        ("/", False, False),
    ],
)
def test_the_nearest_word_of_the_plan_decides(path: str, reads: bool, writes: bool) -> None:
    assert (reach.reads(PLAN, path), reach.writes(PLAN, path)) == (reads, writes)


def test_a_folder_is_made_without_following_a_link_that_came_in_between(tmp_path: Path) -> None:
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    inside.mkdir()
    outside.mkdir()
    allowed = lambda path: path == str(inside) or path.startswith(f"{inside}/")  # noqa: E731
    fd = opening.folder(str(inside / "a" / "b"), allowed)
    assert opening.opened(fd) == str(inside / "a" / "b")
    os.close(fd)
    (inside / "link").symlink_to(outside)  # after the path was looked at
    for path in ("link", "link/new", "link/new/deep"):
        with pytest.raises(OSError):
            opening.folder(str(inside / path), allowed)
    assert list(outside.iterdir()) == []
