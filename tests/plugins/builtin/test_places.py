"""No path of a model leads outside, whatever it is made of."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aish.plugins.builtin.places import OutsideError, Places, plain


@pytest.fixture
def work(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    (folder / "sub").mkdir(parents=True)
    (tmp_path / "secret").write_text("s")
    (tmp_path / "workshop").mkdir()
    (folder / "out").symlink_to(tmp_path)
    (folder / "out-file").symlink_to(tmp_path / "secret")
    (folder / "in").symlink_to("sub")
    (folder / "round").symlink_to("round")
    return folder


@pytest.mark.parametrize(
    "path",
    [
        "../secret", "/etc/passwd", "out/secret", "out-file", "sub/../../secret", "../workshop/x", "~/x", "~root/x",
        "", "a\0b", "a\nb", "x" * 5000, "\ud800", "out/work/../secret", "/proc/self/root/etc/passwd",
    ],
)  # fmt: skip
def test_what_leads_outside_is_refused(work: Path, path: str) -> None:
    places = Places(str(work))
    for look in (places.readable, places.writable):
        with pytest.raises(OutsideError):
            look(path)


def test_what_stays_inside_is_not(work: Path) -> None:
    places = Places(str(work))
    for path in ("a", "./a", "sub/b", "in/b", str(work / "c"), "sub/../d", "new/folder/e", "out/work/f"):
        assert places.writable(path).startswith(f"{work}/")
    assert places.readable(".") == str(work)
    with pytest.raises(OutsideError):
        places.writable(".")


def test_further_roots(work: Path) -> None:
    places = Places(str(work), (str(work.parent / "workshop"),))
    assert places.writable("../workshop/x") == str(work.parent / "workshop" / "x")
    with pytest.raises(OutsideError):
        places.readable("../secret")


@pytest.mark.parametrize(
    "path",
    [
        ".git/hooks/pre-commit", "sub/.git/config", ".GIT/config", ".Git/x", "\uff0egit/x", ".g\u200cit/x", ".git./x",
        ".git /x", "GIT~1/x", ".git::$INDEX_ALLOCATION/x", ".git", ".aish/agents/fix.md", ".AISH/x", "sub/../.git/x",
        ".g\u0131t/../.git/x",
    ],
)  # fmt: skip
def test_nothing_is_written_below_git_or_aish(work: Path, path: str) -> None:
    """A hook is run by the next commit, an agent file says what an agent may do."""
    with pytest.raises(OutsideError):
        Places(str(work)).writable(path)


def test_git_by_another_name(work: Path) -> None:
    (work / ".git").mkdir()
    (work / "innocent").symlink_to(".git")
    with pytest.raises(OutsideError):
        Places(str(work)).writable("innocent/config")
    assert Places(str(work)).readable(".git/config")


def test_a_worktree_below_a_folder_of_that_name_can_be_worked_in(tmp_path: Path) -> None:
    folder = tmp_path / ".git" / "worktree"
    folder.mkdir(parents=True)
    assert Places(str(folder)).writable("a") == str(folder / "a")


@given(
    st.text(max_size=40) | st.lists(st.sampled_from(["..", ".", "out", "in", "sub", "", "~", "round"])).map("/".join)
)
def test_no_text_leads_outside(text: str) -> None:
    places = Places("/usr/share")
    try:
        real = places.writable(text)
    except OutsideError:
        return
    assert real.startswith("/usr/share/")
    assert os.path.realpath(real) == real
    assert ".git" not in map(plain, real.split("/"))
