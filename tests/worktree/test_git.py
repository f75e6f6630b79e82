"""What git's failures are in our errors."""

from __future__ import annotations

import pytest

from aish.errors import AishError, ConflictError, NotFoundError, RefusedError, StorageError, UnavailableError
from aish.worktree import git
from aish.worktree.git import Done

DUBIOUS = """fatal: detected dubious ownership in repository at '/r'
To add an exception for this directory, call:

\tgit config --global --add safe.directory /r
"""


@pytest.mark.parametrize(
    ("err", "kind", "told"),
    [
        ("fatal: not a git repository (or any of the parent directories): .git\n", NotFoundError, "not in a git"),
        ("fatal: could not write: No space left on device\n", StorageError, "No space left"),
        (
            "fatal: Unable to create '/r/.git/index.lock': File exists.\n\nAnother git process",
            ConflictError,
            "index.lock",
        ),
        ("fatal: failed to read .git/worktrees/x-2/commondir: Success\n", ConflictError, "commondir"),
        ("hint: x\nfatal: something else\n", UnavailableError, "git merge: something else"),
        ("", UnavailableError, "git merge: status 128"),
        (DUBIOUS, RefusedError, "does not trust"),
    ],
)
def test_errors(err: str, kind: type[AishError], told: str) -> None:
    error = git.error_of(("merge",), Done(128, b"", err))
    assert type(error) is kind
    assert told in str(error)


def test_nothing_leads_git_elsewhere() -> None:
    given = {"GIT_DIR": "/x", "GIT_INDEX_FILE": "/y", "GIT_AUTHOR_NAME": "A", "PATH": "/bin"}
    assert git.clean(given) == {"GIT_AUTHOR_NAME": "A", "PATH": "/bin"}
    assert set(git.environ(given)) == {*git.clean(given), "LC_ALL", "LANGUAGE", "GIT_TERMINAL_PROMPT", "GIT_EDITOR"}


def test_a_path_may_end_with_a_blank_or_be_no_text() -> None:
    assert Done(0, b"/a \n", "").line == "/a "
    assert Done(0, b"a\0\xff\0", "").items == ["a", "\udcff"]
