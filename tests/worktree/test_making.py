"""A worktree is made whole or not at all, and the user's working tree does not show it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

from aish.errors import ConflictError, NotFoundError, RefusedError, StorageError, UnavailableError
from aish.worktree import beginning, making, removal, repository
from aish.worktree.record import MADE, MAKING, Records

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Repo

    from aish.worktree.record import Record


def make(folder: Path, told: list[str], name: str = "x", **options: bool) -> Record:
    return making.make(repository.find(str(folder)), name, tell=told.append, **options).record


def test_from_head_on_a_branch_of_its_own_and_unseen(repo: Repo, told: list[str]) -> None:
    record = make(repo.root, told)
    assert (record.state, record.branch, record.folder) == (MADE, "aish/x", str(repo.tree("x")))
    assert repo.git("symbolic-ref", "--short", "HEAD", folder=repo.tree("x")) == "aish/x"
    assert repo.git("rev-parse", "aish/x") == repo.head
    assert repo.status() == "", "it shows in the user's git status"
    assert told == []


def test_uncommitted_changes_stay_and_are_told_or_come_along(repo: Repo, told: list[str]) -> None:
    repo.write("a.txt", "changed\n")
    repo.write("new/b.txt", "b\n")
    make(repo.root, told)
    assert (repo.tree("x") / "a.txt").read_text() == "a\n"
    assert told == ["uncommitted changes of 2 paths are not in it: --worktree-dirty takes them along"]
    make(repo.root, told, "y", dirty=True)
    assert (repo.tree("y") / "a.txt").read_text() == "changed\n"
    assert (repo.tree("y") / "new" / "b.txt").read_text() == "b\n"
    assert len(told) == 1
    assert repo.git("stash", "list") == ""


def test_the_next_number_unless_the_old_one_is_wanted(repo: Repo, told: list[str]) -> None:
    first = make(repo.root, told)
    assert make(repo.root, told).name == "x-2"
    assert make(repo.root, told, again=True).folder == first.folder
    repo.git("branch", "aish/z")
    assert make(repo.root, told, "z").name == "z-2", "a branch of the user's is no worktree of ours"
    with pytest.raises(NotFoundError, match="no worktree is called w"):
        make(repo.root, told, "w", again=True)


def test_in_a_sub_folder_also_one_that_git_does_not_know(repo: Repo, told: list[str]) -> None:
    (repo.root / "sub" / "deep").mkdir(parents=True)
    record = make(repo.root / "sub" / "deep", told)
    assert record.cwd == str(repo.tree("x") / "sub" / "deep")
    assert os.path.isdir(record.cwd)


def test_ports_are_each_ones_own(repo: Repo, told: list[str]) -> None:
    assert len({make(repo.root, told).port for _ in range(3)}) == 3


def test_begun_in_a_worktree_it_lies_beside_that_and_comes_home_there(repo: Repo, told: list[str]) -> None:
    """Inside it would go with it."""
    make(repo.root, told)
    nested = make(repo.tree("x"), told, "y")
    assert nested.folder == str(repo.tree("y"))
    assert nested.home == str(repo.tree("x"))
    own = repo.root.parent / "own"
    repo.git("worktree", "add", "-q", str(own))
    assert make(own, told, "z").folder == str(repo.tree("z"))


def test_detached_head_and_names_with_odd_characters(repo: Repo, told: list[str], tmp_path: Path) -> None:
    repo.git("checkout", "-q", "--detach")
    assert make(repo.root, told).base == repo.head
    other = type(repo)(tmp_path / "a b\n é")
    record = make(other.root, told)
    assert (other.tree("x") / "a.txt").exists()
    records = Records(repository.common_of(str(other.root)))
    assert records.load("x") == record
    assert other.status() == ""
    removal.take_away(records, record)
    assert other.branches == ["main"]


def test_environment_of_a_hook_leads_nowhere_else(
    repo: Repo, told: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A git hook has GIT_DIR set; what it starts elsewhere would work on the wrong repository."""
    other = type(repo)(tmp_path / "other")
    monkeypatch.setenv("GIT_DIR", str(other.root / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(other.root / ".git" / "index"))
    record = make(repo.root, told)
    monkeypatch.undo()
    assert record.home == str(repo.root)


def test_submodules(repo: Repo, told: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    part = type(repo)(tmp_path / "part")
    repo.git("submodule", "--quiet", "add", str(part.root), "part")
    repo.git("commit", "-q", "-m", "with a part")
    record = make(repo.root, told)
    assert "its submodules are empty" in told[-1]
    removal.take_away(Records(repository.common_of(str(repo.root))), record)
    assert not repo.tree("x").exists(), "git refuses to remove a worktree with submodules"
    within = make(repo.root / "part", told, "y")
    assert within.home == str(repo.root / "part")
    assert repo.git("status", "--porcelain", folder=repo.root / "part") == ""


@pytest.mark.parametrize("where", ["none", "unborn", "bare", "git"])
def test_where_no_worktree_can_be(where: str, repo: Repo, told: list[str], tmp_path: Path) -> None:
    folder = tmp_path / "there"
    folder.mkdir()
    expected: type[Exception] = ConflictError
    if where == "none":
        expected = NotFoundError
    elif where == "unborn":
        repo.git("init", "-q", folder=folder)
    elif where == "bare":
        repo.git("init", "-q", "--bare", folder=folder)
    else:
        folder = repo.root / ".git"
    with pytest.raises(expected):
        make(folder, told)


def test_of_a_bare_repository_with_working_trees(repo: Repo, told: list[str], tmp_path: Path) -> None:
    bare, tree = tmp_path / "bare.git", tmp_path / "tree"
    repo.git("clone", "-q", "--bare", str(repo.root), str(bare))
    repo.git("worktree", "add", "-q", str(tree), folder=bare)
    record = make(tree, told)
    assert record.folder == str(bare / ".aish" / "worktrees" / "x")
    assert repo.git("status", "--porcelain", folder=tree) == ""


def test_without_git(repo: Repo, told: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(UnavailableError, match="git is not installed"):
        make(repo.root, told)


@pytest.mark.root
def test_a_repository_of_somebody_else_is_not_trusted(repo: Repo, told: list[str]) -> None:
    subprocess.run(["chown", "-R", "1234", repo.root], check=True)
    with pytest.raises(RefusedError, match="does not trust") as caught:
        make(repo.root, told)
    assert "safe.directory" in (caught.value.hint or "")


@pytest.mark.root
def test_a_full_disk_leaves_nothing(tmp_path: Path, repo: Repo, told: list[str]) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", disk], check=False).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        small = type(repo)(disk / "r")
        small.commit("big", "x\n" * 100_000)
        free = os.statvfs(disk)
        (small.root / "filler").write_bytes(b"x" * max(0, free.f_bavail * free.f_bsize - (64 << 10)))
        with pytest.raises(StorageError):
            make(small.root, told)
        assert small.branches == ["main"]
        assert not small.tree("x").exists()
    finally:
        subprocess.run(["umount", disk], check=True)


def test_a_failing_hook_of_the_repository_leaves_nothing(repo: Repo, told: list[str]) -> None:
    repo.hook("post-checkout", "echo not here >&2; exit 3")
    with pytest.raises(UnavailableError, match="not here"):
        make(repo.root, told)
    assert repo.branches == ["main"]
    assert not repo.tree("x").exists()
    assert Records(repository.common_of(str(repo.root))).names() == []


def test_killed_while_it_is_made_the_next_one_takes_it_away(repo: Repo, told: list[str]) -> None:
    """Half a worktree that is taken for a whole one would be a start in a folder without the hook's work."""
    setup = repo.write(".aish/worktree-setup", "#!/bin/sh\nkill -9 $PPID\n")
    setup.chmod(0o755)
    code = (
        "import sys; from aish.worktree import making, repository;"
        "making.make(repository.find(sys.argv[1]), 'x', tell=print)"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code, repo.root], check=False, timeout=60)
    assert done.returncode == -9
    records = Records(repository.common_of(str(repo.root)))
    left = records.load("x")
    assert left is not None
    assert left.state == MAKING
    assert repo.tree("x").exists()
    setup.unlink()
    assert make(repo.root, told).name == "x"
    assert told == ["a half-made worktree x is taken away first"]


def test_killed_before_anybody_began_in_it_the_next_one_takes_it_away(repo: Repo, told: list[str]) -> None:
    """It stayed for ever, with a branch, and the next one got a number."""
    code = (
        "import os, sys; from aish.worktree import making, repository;"
        "making.make(repository.find(sys.argv[1]), 'x', tell=print); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-P", "-c", code, repo.root], check=False, timeout=60)
    records = Records(repository.common_of(str(repo.root)))
    left = records.load("x")
    assert left is not None
    assert left.state == MADE
    assert make(repo.root, told).name == "x-2", "somebody may have begun in it"
    nobody: Any = {"begun": lambda _: False}
    held = beginning.hold(left.folder)
    assert make(repo.root, told, **nobody).name == "x-3", "somebody is about to"
    os.close(held)
    work = repo.write("b.txt", "by hand\n", folder=repo.tree("x"))
    assert make(repo.root, told, **nobody).name == "x-4", "what is nowhere else"
    work.unlink()
    assert told == ["nobody has begun in the worktree x, which has 1 uncommitted file: `aish discard x` drops it"]
    assert make(repo.root, told, **nobody).name == "x"
    assert told[1:] == ["the worktree x, in which nobody has begun, is taken away first"]


def test_several_at_once_get_one_each(repo: Repo) -> None:
    names: list[str] = []
    failed: list[BaseException] = []

    def one() -> None:
        try:
            names.append(make(repo.root, []).name)
        except BaseException as error:  # noqa: BLE001  told in the main thread
            failed.append(error)

    threads = [threading.Thread(target=one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failed == []
    assert len(set(names)) == 4
    assert "x" in names


def test_removed_by_hand_it_is_taken_away_all_the_same(repo: Repo, told: list[str]) -> None:
    record = make(repo.root, told)
    shutil.rmtree(record.folder)
    removal.take_away(Records(repository.common_of(str(repo.root))), record)
    assert repo.branches == ["main"]
    assert str(repo.tree("x")) not in repo.git("worktree", "list")
