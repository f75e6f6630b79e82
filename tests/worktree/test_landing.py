"""Work comes home whole, checked as it will be there, or not at all; the user's own changes are never touched."""

from __future__ import annotations

import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from aish.errors import ConflictError, UnavailableError
from aish.worktree import landing, listing, making, removal, repository
from aish.worktree.landing import REBASE, SQUASH, CheckFailedError, Landed, Wish
from aish.worktree.record import LANDED, LANDING, READY, Records

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Repo


@pytest.fixture
def tree(repo: Repo, told: list[str]) -> Path:
    """A worktree x of it."""
    return _tree(repo, told)


def _tree(repo: Repo, told: list[str], name: str = "x") -> Path:
    making.make(repository.find(str(repo.root)), name, tell=told.append)
    return repo.tree(name)


def land(repo: Repo, told: list[str], *, name: str = "x", **wish: object) -> Landed:
    return landing.land(records(repo), name, Wish(**wish), told.append)  # type: ignore[arg-type]


def records(repo: Repo) -> Records:
    return Records(repository.common_of(str(repo.root)))


def gone(repo: Repo, name: str = "x") -> bool:
    return not repo.tree(name).exists() and f"aish/{name}" not in repo.branches and name not in records(repo).names()


def test_commits_and_what_is_not_committed_come_home(repo: Repo, tree: Path, told: list[str]) -> None:
    repo.commit("b.txt", "b\n", folder=tree)
    repo.write("c.txt", "c\n", folder=tree)
    done = land(repo, told)
    assert (done.branch, done.commits, done.files) == ("main", 2, 2)
    assert repo.git("log", "--format=%s %an") == "Work of @x A Person\nchange b.txt A Person\nchange a.txt A Person"
    assert (repo.root / "c.txt").read_text() == "c\n"
    assert repo.status() == ""
    assert gone(repo)


@pytest.mark.parametrize("as_file", [True, False])
def test_a_repository_that_the_agent_put_there_has_nothing_run(
    repo: Repo, tree: Path, told: list[str], tmp_path: Path, *, as_file: bool
) -> None:
    """Git would run what the configuration says that .git leads to; landing, looking and discarding are outside of
    the agent's sandbox."""
    repo.write("b.txt", "b\n", folder=tree)
    evil = tree / "evil" if as_file else tree / ".git"
    (tree / ".git").unlink()
    repo.git("clone", "-q", "--bare", str(repo.root), str(evil))
    repo.git("config", "--file", str(evil / "config"), "core.bare", "false")
    for key in ("core.fsmonitor", "core.sshCommand", "core.pager"):
        repo.git("config", "--file", str(evil / "config"), key, f"touch {tmp_path}/ran;true")
    if as_file:
        (tree / ".git").write_text("gitdir: evil\n")
    listing.listed(records(repo))
    removal.lost(records(repo), record := records(repo).load("x"))  # type: ignore[arg-type]
    landing.land(records(repo), "x", Wish(), told.append)
    assert not (tmp_path / "ran").exists()
    assert (repo.root / "b.txt").read_text() == "b\n"
    assert record is not None
    assert gone(repo)


def test_a_repository_within_the_worktree_has_nothing_run_and_is_not_lost(
    repo: Repo, tree: Path, told: list[str], tmp_path: Path
) -> None:
    """Git looks into what it takes for submodules, by filters that their own configuration names; landed would be a
    link to nothing."""
    inner = tree / "inner"
    inner.mkdir()
    repo.git("init", "-q", folder=inner)
    repo.commit("f", "aaaa\n", folder=inner)
    repo.commit(".gitattributes", "* filter=evil\n", folder=inner)
    repo.git("config", "filter.evil.clean", f"touch {tmp_path}/ran; cat", folder=inner)
    repo.git("config", "core.fsmonitor", f"touch {tmp_path}/ran;true", folder=inner)
    (inner / "f").write_text("bbbb\n")
    for linked in (False, True):  # git does not know it yet, then it does
        if linked:
            repo.git("update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},inner", folder=tree)
        with pytest.raises(ConflictError, match=r"repositories of their own are in .*: inner"):
            land(repo, told)
        listing.listed(records(repo))
        record = records(repo).load("x")
        assert record is not None
        assert any(path.rstrip("/") == "inner" for path in removal.lost(records(repo), record).files)
        assert not (tmp_path / "ran").exists()


def test_hooks_that_lie_in_the_repository_are_those_of_the_users_tree(
    repo: Repo, told: list[str], tmp_path: Path
) -> None:
    """core.hooksPath may name a folder of the working tree: the agent has written to its own."""
    hook = repo.write(".hooks/pre-commit", f"#!/bin/sh\ntouch {tmp_path}/mine\n")
    hook.chmod(0o755)
    repo.git("add", ".hooks")
    repo.git("commit", "-q", "-m", "hooks")
    repo.git("config", "core.hooksPath", ".hooks")
    tree = _tree(repo, told)
    repo.write(".hooks/pre-commit", f"#!/bin/sh\ntouch {tmp_path}/evil\n", folder=tree)
    land(repo, told)
    assert (tmp_path / "mine").exists()
    assert not (tmp_path / "evil").exists()


def test_merged_with_what_is_there_by_now_the_users_line_first(repo: Repo, tree: Path, told: list[str]) -> None:
    repo.commit("b.txt", "b\n", folder=tree)
    mine = repo.commit("mine.txt", "mine\n")
    land(repo, told, check="test -e mine.txt && test -e b.txt")
    assert repo.git("rev-parse", "HEAD^1") == mine
    assert repo.git("log", "-1", "--format=%s") == "Merge the work of @x (aish/x)"
    assert sorted(path.name for path in repo.root.iterdir() if path.suffix) == ["a.txt", "b.txt", "mine.txt"]
    assert repo.status() == ""


@pytest.mark.parametrize("how", [SQUASH, REBASE])
def test_as_one_commit_or_on_top(repo: Repo, tree: Path, told: list[str], how: str) -> None:
    repo.commit("b.txt", "b\n", folder=tree)
    repo.commit("c.txt", "c\n", folder=tree)
    mine = repo.commit("mine.txt", "mine\n")
    land(repo, told, how=how, message="All of it")
    lines = repo.git("log", "--format=%s", f"{mine}..").splitlines()
    assert lines == (["All of it"] if how == SQUASH else ["change c.txt", "change b.txt"])
    assert repo.git("rev-list", "--merges", "HEAD") == ""
    assert gone(repo)


def test_a_check_that_fails_changes_nothing(repo: Repo, tree: Path, told: list[str]) -> None:
    repo.commit("b.txt", "b\n", folder=tree)
    mine = repo.commit("mine.txt", "mine\n")
    with pytest.raises(CheckFailedError) as caught:
        land(repo, told, check="test ! -e mine.txt || exit 7")
    assert caught.value.status == 7
    assert repo.head == mine
    assert repo.status() == ""
    assert (tree / "mine.txt").exists(), "it is merged there, so that it can be mended"
    assert land(repo, told, check="test -n $AISH_PORT && test $PWD = $AISH_WORKTREE").commits == 2


def test_conflicts_are_told_with_their_files(repo: Repo, tree: Path, told: list[str]) -> None:
    for how in ("merge", REBASE):
        theirs = repo.commit("a.txt", f"theirs {how}\n", folder=tree)
        mine = repo.commit("a.txt", f"mine {how}\n")
        with pytest.raises(ConflictError, match=r"conflicts with main: a\.txt"):
            land(repo, told, how=how)
        assert repo.head == mine
        assert repo.status() == repo.git("status", "--porcelain", folder=tree) == ""
        assert repo.git("rev-parse", "HEAD", folder=tree) == theirs
        record = records(repo).load("x")
        assert record is not None
        assert record.state == READY


@pytest.mark.parametrize("what", ["changed", "staged", "untracked", "ignored", "above", "removed"])
def test_the_users_changes_are_in_the_way_and_stay(repo: Repo, tree: Path, told: list[str], what: str) -> None:
    """Git itself writes over what it ignores."""
    path = "a.txt" if what in ("changed", "staged", "removed") else "d/new.txt"
    repo.commit(path, "theirs\n", folder=tree)
    if what == "above":
        mine = repo.write("d", "mine\n")
        (repo.root / ".git" / "info" / "exclude").open("a").write("d\n")
    else:
        mine = repo.write(path, "mine\n")
    if what == "staged":
        repo.git("add", path)
    if what == "removed":
        mine.unlink()
    if what == "ignored":
        (repo.root / ".git" / "info" / "exclude").open("a").write("new.txt\n")
    before = repo.head
    with pytest.raises(ConflictError, match=f"uncommitted changes of what would be landed: {path}"):
        land(repo, told, check="touch never")
    assert repo.head == before
    assert mine.exists() == (what != "removed")
    assert what == "removed" or mine.read_text() == "mine\n"
    assert not (tree / "never").exists(), "it was checked for nothing"


def test_other_changes_of_the_user_stay_beside_it(repo: Repo, tree: Path, told: list[str]) -> None:
    repo.commit("other.txt", "old\n")
    repo.git("merge", "-q", "main", folder=tree)
    repo.commit("b.txt", "b\n", folder=tree)
    repo.write("other.txt", "mine\n")
    repo.git("add", "other.txt")
    repo.write("a.txt", "mine too\n")
    land(repo, told)
    assert repo.status() == " M a.txt\nM  other.txt"
    assert (repo.root / "b.txt").exists()


def test_a_target_that_moves_during_the_check_is_merged_and_checked_again(
    repo: Repo, tree: Path, told: list[str]
) -> None:
    repo.commit("b.txt", "b\n", folder=tree)
    move = "git -C $AISH_REPOSITORY commit -q --allow-empty -m moved"
    check = f'echo x >> ../count; test "$(wc -l < ../count)" -gt 1 || {{ {move}; echo y > $AISH_REPOSITORY/u; }}'
    land(repo, told, check=check)
    assert told == ["main has moved meanwhile: once more"]
    assert repo.git("log", "-1", "--format=%s", "HEAD^1") == "moved"


def test_nothing_to_land(repo: Repo, tree: Path, told: list[str]) -> None:
    assert land(repo, told).commits == 0
    assert gone(repo)


def test_kept(repo: Repo, tree: Path, told: list[str]) -> None:
    repo.commit("b.txt", "b\n", folder=tree)
    land(repo, told, keep=True)
    assert tree.exists()
    repo.commit("c.txt", "c\n", folder=tree)
    assert land(repo, told).commits == 1


def test_what_cannot_be_landed(repo: Repo, tree: Path, told: list[str]) -> None:
    repo.commit("b.txt", "b\n", folder=tree)
    repo.git("checkout", "-q", "--detach")
    with pytest.raises(ConflictError, match="no branch checked out"):
        land(repo, told)
    repo.git("checkout", "-q", "main")
    repo.commit("a.txt", "theirs\n", folder=tree)
    repo.commit("a.txt", "mine\n")
    subprocess.run(["git", "merge", "-q", "main"], cwd=tree, check=False, capture_output=True)
    with pytest.raises(ConflictError, match="x is in the middle of a merge"):
        land(repo, told)
    repo.git("merge", "--abort", folder=tree)
    subprocess.run(["git", "merge", "-q", "aish/x"], cwd=repo.root, check=False, capture_output=True)
    with pytest.raises(ConflictError, match="repo is in the middle of a merge"):
        land(repo, told, check="touch ../never")
    assert not repo.tree("never").exists()


def test_two_at_once_both_come_home(repo: Repo, told: list[str]) -> None:
    """Neither may be lost because the other moved the branch."""
    failed: list[BaseException] = []

    def one(name: str) -> None:
        try:
            land(repo, [], name=name, check="true")
        except BaseException as error:  # noqa: BLE001  told in the main thread
            failed.append(error)

    for name in ("x", "y", "z"):
        repo.commit(f"{name}.txt", name, folder=_tree(repo, told, name))
    threads = [threading.Thread(target=one, args=(name,)) for name in ("x", "y", "z")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failed == []
    assert [(repo.root / f"{name}.txt").read_text() for name in ("x", "y", "z")] == ["x", "y", "z"]
    assert repo.branches == ["main"]
    assert repo.status() == ""


def test_what_the_agent_checked_out_is_what_lands(repo: Repo, tree: Path, told: list[str]) -> None:
    repo.git("checkout", "-q", "-b", "fix", folder=tree)
    repo.commit("b.txt", "b\n", folder=tree)
    land(repo, told)
    assert (repo.root / "b.txt").exists()
    assert repo.branches == ["fix", "main"]


def test_hooks_of_the_repository_have_their_say(repo: Repo, tree: Path, told: list[str]) -> None:
    repo.hook("pre-commit", "echo not like this; echo why >&2; exit 1")
    repo.write("b.txt", "b\n", folder=tree)
    with pytest.raises(UnavailableError):
        land(repo, told)
    assert (tree / "b.txt").read_text() == "b\n"
    assert told == ["not like this", "why"]
    repo.hook("pre-commit", "exit 0")
    repo.hook("post-merge", f"echo x >> '{repo.root.parent}/merged'; exit 1")
    land(repo, told)
    assert (repo.root.parent / "merged").exists()
    assert gone(repo)


def test_another_landing_of_it_is_told(repo: Repo, tree: Path, told: list[str]) -> None:
    with records(repo).held("x"), pytest.raises(ConflictError, match="somebody works on the worktree x"):
        land(repo, told)


def test_a_lock_that_another_git_has_left_is_told(
    repo: Repo, tree: Path, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aish.worktree.git.LOCKED_S", 0.2)
    repo.commit("b.txt", "b\n", folder=tree)
    lock = repo.write(".git/index.lock", "")
    before = repo.head
    with pytest.raises(ConflictError, match=r"index\.lock"):
        land(repo, told)
    assert repo.head == before
    lock.unlink()
    assert land(repo, told).commits == 1


AISH = "$(ps -o ppid= -p $PPID)"
"""Who has git run the hook."""
KILLS = {
    "check": (None, "kill -9 $PPID"),
    "commit": ("pre-commit", f"kill -9 {AISH}"),
    "committed": ("post-commit", f"kill -9 {AISH}"),
    "merge": ("pre-merge-commit", f"kill -9 {AISH}"),
    "merge and git": ("prepare-commit-msg", f'test "$2" != merge || kill -9 {AISH} $PPID'),
    "rebase and git": ("pre-rebase", f"kill -9 {AISH} $PPID"),
    "landed": ("post-merge", f"kill -9 {AISH}"),
    "landing and git": ("reference-transaction", f"grep -q refs/heads/main && kill -9 {AISH} $PPID; exit 0"),
}


@pytest.mark.parametrize("where", KILLS)
def test_killed_anywhere_it_is_the_old_or_the_new_and_can_be_landed_again(
    repo: Repo, tree: Path, told: list[str], where: str
) -> None:
    """A landing that is cut in two would leave the user's files neither here nor there."""
    repo.commit("b.txt", "b\n", folder=tree)
    repo.commit("a.txt", "theirs\n", folder=tree)
    repo.write("c.txt", "c\n", folder=tree)
    before = repo.commit("mine.txt", "mine\n")
    repo.write("mine.txt", "unsaved\n")
    hook, script = KILLS[where]
    if hook is not None:
        repo.hook(hook, script)
    code = (
        "import sys; from aish.worktree import landing; from aish.worktree.record import Records;"
        "landing.land(Records(sys.argv[1]), 'x', landing.Wish(sys.argv[2] or None, sys.argv[3]), print)"
    )
    how = REBASE if "rebase" in where else "merge"
    check = script if hook is None else ""
    done = subprocess.run(
        [sys.executable, "-P", "-c", code, records(repo).common, check, how], check=False, timeout=60
    )
    assert done.returncode == -9
    if hook is not None:
        (repo.root / ".git" / "hooks" / hook).unlink()
    left = records(repo).load("x")
    assert left is not None
    assert left.state in (LANDING, LANDED)
    assert (repo.root / "mine.txt").read_text() == "unsaved\n"
    if where in ("landed", "landing and git"):
        _settled(repo)
    else:
        assert repo.head == before
        assert repo.status() == " M mine.txt"
    lock = repo.root / ".git" / "index.lock"
    lock.unlink(missing_ok=True)  # of the git that was killed: we tell it, and leave it to the user
    (repo.root / ".git" / "refs" / "heads" / "main.lock").unlink(missing_ok=True)
    (repo.root / ".git" / "HEAD.lock").unlink(missing_ok=True)
    land(repo, told)
    assert told == ["landing x was broken off: gone on with"]
    assert gone(repo)
    assert repo.status() == " M mine.txt"
    assert [(repo.root / name).read_text() for name in ("a.txt", "b.txt", "c.txt", "mine.txt")] == [
        "theirs\n",
        "b\n",
        "c\n",
        "unsaved\n",
    ]


def _settled(repo: Repo) -> None:
    """Until the git that outlives the landing has ended: it holds the lock of the worktree."""
    import fcntl

    with (repo.root / ".git" / "aish" / "x.lock").open("r+b") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)


def test_killed_while_it_is_removed(repo: Repo, tree: Path, told: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    repo.commit("b.txt", "b\n", folder=tree)
    with monkeypatch.context() as patch:
        patch.setattr(removal, "take_away", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            land(repo, told)
    (tree / ".git").unlink()
    land(repo, told)
    assert gone(repo)


def test_files_that_a_cut_landing_has_changed_go_back(repo: Repo, tree: Path, told: list[str]) -> None:
    """Git writes files first, the index then, the branch last."""
    repo.commit("gone.txt", "gone\n")
    repo.git("merge", "-q", "main", folder=tree)
    repo.git("rm", "-q", "gone.txt", folder=tree)
    repo.commit("new.txt", "new\n", folder=tree)
    new = repo.commit("a.txt", "theirs\n", folder=tree)
    record = records(repo).load("x")
    assert record is not None
    record.state, record.into, record.old, record.new = LANDING, "main", repo.head, new
    records(repo).save(record)
    repo.write("a.txt", "theirs\n")
    repo.write("new.txt", "new\n")
    (repo.root / "gone.txt").unlink()
    repo.write("mine.txt", "mine\n")
    with pytest.raises(CheckFailedError):
        land(repo, told, check="exit 1")
    assert repo.status() == "?? mine.txt"
    records(repo).save(record)
    repo.write("a.txt", "neither\n")
    with pytest.raises(ConflictError, match=r"changed since: a\.txt"):
        land(repo, told)
    assert (repo.root / "a.txt").read_text() == "neither\n"
