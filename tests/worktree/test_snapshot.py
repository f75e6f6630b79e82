"""A working tree as a commit that no branch has, and back: byte for byte, and past the user's index and HEAD."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from aish.errors import ConflictError
from aish.worktree import snapshot
from aish.worktree.snapshot import Shadow

if TYPE_CHECKING:
    from tests.worktree.conftest import Repo

REFS = f"{snapshot.REFS}/test"


class Bench:
    def __init__(self, repo: Repo, folder: Path) -> None:
        self.repo, self.tree = repo, folder / "tree"
        repo.git("worktree", "add", "-q", "-b", "aish/x", str(self.tree))
        place = snapshot.place_of(str(self.tree), str(repo.root))
        self.shadow = Shadow(str(folder / "private"), place)

    def write(self, path: str, data: bytes | str) -> Path:
        file = self.tree / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data if isinstance(data, bytes) else data.encode())
        return file

    def git(self, *words: str) -> str:
        return self.repo.git(*words, folder=self.tree)

    def files(self) -> dict[str, bytes]:
        return {
            str(path.relative_to(self.tree)): path.read_bytes() for path in self.tree.rglob("*") if path.is_file()
        }

    def take(self) -> snapshot.Snapshot:
        return self.shadow.take(REFS)

    def back(self, wanted: snapshot.Snapshot) -> None:
        now = self.take()
        self.shadow.check(wanted, now)
        self.shadow.lay(wanted)


@pytest.fixture
def bench(repo: Repo, tmp_path: Path) -> Bench:
    return Bench(repo, tmp_path)


def test_taking_one_touches_nothing(bench: Bench) -> None:
    bench.write("new", "new")
    bench.write("staged", "staged")
    bench.git("add", "staged")
    bench.write("staged", "changed since")
    index = Path(bench.shadow.place.git_dir) / "index"
    before, status = index.read_bytes(), bench.git("status", "--porcelain")
    taken = bench.take()
    assert index.read_bytes() == before
    assert (bench.git("status", "--porcelain"), bench.git("rev-parse", "HEAD")) == (status, taken.head)
    assert bench.git("show", f"{taken.commit}:staged") == "changed since"
    assert bench.git("show", f"{taken.commit}^2:staged") == "staged"
    assert bench.repo.branches == ["aish/x", "main"], "no branch has it"
    assert bench.shadow.take(REFS, taken) == taken, "nothing has changed: nothing is made"


def test_files_come_back_whatever_git_would_make_of_them(bench: Bench) -> None:
    """Line ends and filters: what an agent left there is not what `git add` would keep of it."""
    bench.repo.git("config", "filter.upper.clean", "tr a-z A-Z")
    bench.write(".gitattributes", "* text=auto eol=lf\n*.f filter=upper\n")
    bench.write("crlf.txt", b"a\r\nb\r\n")
    bench.write("low.f", "lower")
    bench.write(".gitignore", "*.o\n")
    bench.write("ignored.o", "stays")
    bench.write("with\nnewline ü", "x").chmod(0o755)
    before, taken = bench.files(), bench.take()
    bench.write("crlf.txt", "other")
    bench.write("low.f", "OTHER")
    (bench.tree / "with\nnewline ü").unlink()
    bench.write("folder/new", "new")
    bench.write("ignored.o", "changed")
    bench.back(taken)
    assert bench.files() == before | {"ignored.o": b"changed"}
    assert os.access(bench.tree / "with\nnewline ü", os.X_OK)


def test_nothing_that_the_folder_names_is_run(bench: Bench, tmp_path: Path) -> None:
    """An agent in a sandbox may write its folder: the snapshot is taken outside of that."""
    ran = tmp_path / "ran"
    script = tmp_path / "evil"
    script.write_text(f"#!/bin/sh\ntouch {ran}\ncat\n")
    script.chmod(0o755)
    taken = bench.take()
    (bench.tree / ".git").unlink()
    subprocess.run(["git", "init", "-q", str(bench.tree)], check=True)
    for key in ("core.fsmonitor", "filter.evil.clean", "filter.evil.smudge", "filter.evil.process"):
        subprocess.run(["git", "-C", str(bench.tree), "config", key, str(script)], check=True)
    hook = bench.tree / ".git" / "hooks" / "reference-transaction"
    hook.parent.mkdir(exist_ok=True)
    hook.symlink_to(script)
    bench.repo.hook("reference-transaction", f"touch {ran}")
    bench.write(".gitattributes", "* filter=evil\n")
    bench.write("a.txt", "changed")
    assert bench.take().commit != taken.commit
    bench.back(taken)
    assert not ran.exists()
    assert (bench.tree / "a.txt").read_text() == "a\n"


def test_a_folder_that_became_a_link_leads_nowhere(bench: Bench, tmp_path: Path) -> None:
    """Going back would write through it, outside of the working tree."""
    bench.write("folder/file", "inside")
    taken = bench.take()
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_text("of somebody else")
    shutil.rmtree(bench.tree / "folder")
    (bench.tree / "folder").symlink_to(outside)
    linked = bench.take()
    bench.back(taken)
    assert (bench.tree / "folder" / "file").read_text() == "inside"
    assert (outside / "file").read_text() == "of somebody else"
    bench.back(linked)
    assert os.readlink(bench.tree / "folder") == str(outside)
    assert (outside / "file").read_text() == "of somebody else"


def test_what_it_leaves_out_is_told_and_never_written_over(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot, "FILE_BYTES", 1000)
    bench.write("data", "small")
    small = bench.take()
    bench.write("data", "x" * 1001)
    subprocess.run(["git", "init", "-q", str(bench.tree / "nested")], check=True)
    (bench.tree / "nested" / "file").write_text("x")
    big = bench.take()
    assert big.left_out == ["data", "nested/"]
    with pytest.raises(ConflictError, match="not kept, and it would be written over: data"):
        bench.back(small)
    assert (bench.tree / "data").stat().st_size == 1001


def test_a_merge_under_way_is_not_gone_back_over(bench: Bench) -> None:
    taken = bench.take()
    bench.repo.commit("a.txt", "theirs\n")
    bench.write("a.txt", "ours\n")
    bench.git("commit", "-q", "-am", "ours")
    done = subprocess.run(["git", "merge", "main"], cwd=bench.tree, capture_output=True, check=False)
    assert done.returncode
    assert bench.take().staged is None
    with pytest.raises(ConflictError, match="in the middle of a merge"):
        bench.back(taken)


def test_a_branch_that_is_elsewhere_by_now_stays_there(bench: Bench, tmp_path: Path) -> None:
    taken = bench.take()
    bench.git("switch", "-q", "-c", "another")
    bench.repo.git("worktree", "add", "-q", str(tmp_path / "second"), "aish/x")
    with pytest.raises(ConflictError, match="checked out in"):
        bench.back(taken)


def test_a_new_working_tree_is_filled_with_it(bench: Bench, tmp_path: Path) -> None:
    bench.write("new", b"new\r\n")
    bench.write("staged", "staged")
    bench.git("add", "staged")
    taken, files = bench.take(), bench.files()
    second = tmp_path / "second"
    bench.repo.git("worktree", "add", "-q", "-b", "aish/y", str(second), taken.head)
    snapshot.fill(str(second), str(bench.repo.root), taken)
    found = {str(path.relative_to(second)): path.read_bytes() for path in second.rglob("*") if path.is_file()}
    assert {**found, ".git": b""} == {**files, ".git": b""}
    status = bench.repo.git("status", "--porcelain", folder=second)
    assert status == bench.git("status", "--porcelain")
