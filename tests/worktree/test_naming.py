"""Names of processes as names of folders and branches."""

from __future__ import annotations

import subprocess

import pytest

from aish.worktree import naming


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("fixer", "fixer"),
        ("a/b:c", "a-b-c"),
        ("a..b", "a-b"),
        ("x.lock", "x-lock"),
        ("x.", "x"),
        ("-x", "x"),
        ("é", "agent"),
        ("", "agent"),
        ("p12", "p12-1"),
        ("gateway", "gateway-1"),
        ("a" * 200, "a" * 100),
    ],
)
def test_fit_for_a_path_and_a_branch(name: str, plain: str) -> None:
    assert naming.plain(name) == plain
    done = subprocess.run(["git", "check-ref-format", "--branch", naming.branch(plain)], capture_output=True)
    assert done.returncode == 0


def test_candidates_go_on_with_numbers() -> None:
    found = naming.candidates("x")
    assert [next(found) for _ in range(3)] == ["x", "x-2", "x-3"]
