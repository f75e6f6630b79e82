"""spawn and run in a git worktree, land and discard: with real agents in a real repository."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from aish.cli.arguments import Parser

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import Home

    Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def repo(shared_home: Home, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = shared_home.root / "repo"
    (root / "sub").mkdir(parents=True)
    config = shared_home.root / "gitconfig"
    config.write_text("[user]\n\tname = A Person\n\temail = person@example.org\n[init]\n\tdefaultBranch = main\n")
    shared_home.environ |= {"GIT_CONFIG_GLOBAL": str(config), "GIT_CONFIG_SYSTEM": "/dev/null"}
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    git(root, "init", "-q")
    (root / "sub" / "a.txt").write_text("a\n")
    git(root, "add", ".")
    git(root, "commit", "-q", "-m", "first")
    return root


def git(folder: Path, *words: str) -> str:
    done = subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture
def aish(shared_home: Home, repo: Path) -> Run:
    return lambda *words, **options: shared_home.aish(*words, **{"cwd": repo / "sub"} | options)


def test_spawned_worked_and_landed(shared_home: Home, repo: Path, aish: Run) -> None:
    script = "pwd; echo $PWD; echo $AISH_WORKTREE $AISH_REPOSITORY; test $PORT = $AISH_PORT && echo new > b.txt"
    done = aish("spawn", "--worktree", "--name", "fixer", "--", "sh", "-c", script)
    assert (done.returncode, done.stderr) == (0, "")
    shared_home.client.wait("fixer")
    tree = repo / ".aish" / "worktrees" / "fixer"
    said = aish("logs", "fixer").stdout.split()
    assert said == [str(tree / "sub")] * 2 + [str(tree), str(repo)]
    assert git(repo, "status", "--porcelain") == ""
    assert "fixer" in aish("ps", "--all", "-l", "worktree").stdout
    shown = aish("inspect", "fixer").stdout
    assert "fixer, on branch aish/fixer" in shown
    assert str(tree / "sub") in shown
    (line,) = json.loads(aish("land", "--json").stdout)
    assert (line["name"], line["state"], line["ahead"], line["behind"], line["dirty"]) == ("fixer", "exited", 0, 0, 1)
    assert line["into"] == "main"
    listed = aish("land").stdout
    assert listed.splitlines()[0].split()[:4] == ["NAME", "AGENT", "STATE", "AHEAD"]
    done = aish("land", "@fixer", "--check", "test -e b.txt", "-m", "by fixer", cwd=shared_home.root)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("fixer: 1 commit, 1 file landed in main (")
    assert (repo / "sub" / "b.txt").read_text() == "new\n"
    assert git(repo, "log", "-1", "--format=%s") == "by fixer"
    assert not tree.exists()
    assert git(repo, "branch", "--format=%(refname:short)") == "main"
    done = aish("land", "@fixer")
    assert (done.returncode, "worktree fixer is gone" in done.stderr) == (69, True)


def test_while_it_runs_it_is_neither_landed_nor_discarded(shared_home: Home, repo: Path, aish: Run) -> None:
    go = shared_home.root / "go"
    os.mkfifo(go)
    script = f"echo half > b.txt; echo > {shared_home.root}/began; read x < {go}; echo whole > b.txt"
    os.mkfifo(shared_home.root / "began")
    aish("spawn", "--worktree", "--name", "slow", "--", "sh", "-c", script)
    (shared_home.root / "began").read_text()
    for verb in ("land", "discard"):
        done = aish(verb, "slow")
        assert (done.returncode, "still works in the worktree slow" in done.stderr) == (69, True)
    assert aish("land", "slow", "--running").returncode == 0
    assert (repo / "sub" / "b.txt").read_text() == "half\n"
    done = aish("spawn", "--worktree=slow", "--worktree-again", "--", "true")
    assert "somebody works in the worktree slow" in done.stderr
    go.write_text("\n")
    shared_home.client.wait("slow")
    assert aish("land", "slow").returncode == 0
    assert (repo / "sub" / "b.txt").read_text() == "whole\n"


def test_a_check_that_fails_is_status_1(shared_home: Home, repo: Path, aish: Run) -> None:
    aish("run", "--worktree", "--name", "bad", "--", "sh", "-c", "echo x > b.txt")
    done = aish("land", "bad", "--check", "echo it is bad; false")
    assert done.returncode == 1
    assert "it is bad" in done.stderr
    assert "nothing is landed" in done.stderr
    assert not (repo / "sub" / "b.txt").exists()
    done = aish("land", "bad", "--check", "exit 3", "--json")
    assert json.loads(done.stdout) == {"landed": False, "name": "bad", "check": 3}


def test_what_would_be_lost_is_told_before_it_is(shared_home: Home, repo: Path, aish: Run) -> None:
    aish("run", "--worktree", "--name", "idle", "--", "true")
    assert aish("discard", "idle").stdout == "idle: discarded\n"
    script = "echo x > b.txt; git add b.txt; git commit -q -m 'my work'; echo y > c.txt"
    aish("run", "--worktree", "--name", "busy", "--", "sh", "-c", script)
    done = aish("discard", "busy")
    assert done.returncode == 69
    assert "my work" in done.stderr
    assert "c.txt" in done.stderr
    assert "has 1 commit and 1 uncommitted file that nothing else has" in done.stderr
    shared_home.client.forget("busy")
    done = aish("discard", "busy", "--yes")
    assert (done.returncode, done.stdout) == (0, "busy: discarded, with 1 commit and 1 uncommitted file\n")
    assert git(repo, "branch", "--format=%(refname:short)") == "main"


def test_killed_in_mid_landing_and_in_mid_making(shared_home: Home, repo: Path, aish: Run) -> None:
    aish("run", "--worktree", "--name", "w", "--", "sh", "-c", "echo x > b.txt")
    before = git(repo, "rev-parse", "HEAD")
    assert aish("land", "w", "--check", "kill -9 $PPID").returncode == -9
    assert (git(repo, "rev-parse", "HEAD"), git(repo, "status", "--porcelain")) == (before, "")
    assert json.loads(aish("land", "--json").stdout)[0]["state"] == "half landed"
    done = aish("land", "w")
    assert (done.returncode, done.stderr) == (0, "aish land: landing w was broken off: gone on with\n")
    assert (repo / "sub" / "b.txt").exists()
    hook = repo / ".aish" / "worktree-setup"
    hook.write_text("#!/bin/sh\nkill -9 $PPID\n")
    hook.chmod(0o755)
    assert aish("spawn", "--worktree", "--name", "v", "--", "true").returncode == -9
    assert json.loads(aish("land", "--json").stdout)[0]["state"] == "half made"
    assert aish("discard", "v").returncode == 0
    assert git(repo, "branch", "--format=%(refname:short)") == "main"
    hook.unlink()


def test_names_go_on_and_restarts_stay(shared_home: Home, repo: Path, aish: Run) -> None:
    for name in ("job", "job-2"):
        done = aish("spawn", "--worktree=job", "--", "sh", "-c", "pwd >> runs.txt")
        assert done.returncode == 0, done.stderr
        shared_home.client.wait(name)
        row = next(row for row in shared_home.client.processes(all=True) if row.name == name)
        assert row.labels["worktree"] == name
    done = aish("start", "job-2")
    assert done.returncode == 0, done.stderr
    shared_home.client.wait("job-2")
    tree = repo / ".aish" / "worktrees"
    assert (tree / "job-2" / "sub" / "runs.txt").read_text() == f"{tree}/job-2/sub\n" * 2
    aish("run", "--worktree=job", "--worktree-again", "--", "sh", "-c", "pwd >> runs.txt")
    assert (tree / "job" / "sub" / "runs.txt").read_text() == f"{tree}/job/sub\n" * 2


def test_the_hook_sets_it_up_or_fails_the_start(shared_home: Home, repo: Path, aish: Run) -> None:
    hook = repo / ".aish" / "worktree-setup"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(
        '#!/bin/sh\necho setting up\npwd > "$AISH_WORKTREE/up"\necho "$AISH_PORT $AISH_REPOSITORY" >> up\n'
    )
    done = aish("run", "--worktree", "--name", "w", "--", "cat", "../up")
    assert done.returncode in (69, 126), done.stderr
    assert "is not executable" in done.stderr
    hook.chmod(0o755)
    done = aish("run", "--worktree", "--name", "w", "--", "sh", "-c", "cat ../up; echo $PORT")
    tree = repo / ".aish" / "worktrees" / "w"
    assert "setting up" in done.stderr
    lines = done.stdout.split()
    assert lines == [str(tree), lines[-1], str(repo), lines[-1]]
    hook.write_text("#!/bin/sh\necho no room; exit 4\n")
    done = aish("spawn", "--worktree", "--name", "v", "--", "true")
    assert done.returncode == 69
    assert "no room\n" in done.stderr
    assert "has ended with status 4" in done.stderr
    assert not (repo / ".aish" / "worktrees" / "v").exists()
    assert [row.name for row in shared_home.client.processes(all=True) if row.name == "v"] == []


def test_without_a_hook_what_git_ignores_and_is_needed_comes_along(repo: Path, aish: Run) -> None:
    (repo / ".gitignore").write_text(".env*\n!.env.example\n.venv/\n")
    (repo / ".env.example").write_text("KEY=\n")
    git(repo, "add", ".")
    git(repo, "commit", "-q", "-m", "ignore")
    (repo / ".env").write_text("KEY=1\n")
    (repo / "sub" / ".env.local").write_text("KEY=2\n")
    (repo / ".venv" / "lib" / "python3" / "site-packages").mkdir(parents=True)
    done = aish("run", "--worktree", "--name", "w", "--", "sh", "-c", "cat ../.env .env.local; readlink ../.venv")
    assert done.stdout == f"KEY=1\nKEY=2\n{repo}/.venv\n"
    assert "2 files copied that git ignores: .env, sub/.env.local" in done.stderr
    assert aish("land", "w").stdout == "w: nothing to land, main has all of it\n", "what was copied would be landed"
    (repo / ".venv" / "lib" / "python3" / "site-packages" / "x.pth").write_text(str(repo))
    done = aish("run", "--worktree", "--name", "w", "--", "test", "-e", "../.venv")
    assert done.returncode == 1
    assert "no .venv: that of" in done.stderr


def test_what_never_begins_leaves_no_worktree(repo: Path, aish: Run) -> None:
    for verb in ("spawn", "run"):
        done = aish(verb, "--worktree", "--name", "w", "--", "/no/such/program")
        assert done.returncode == 127, done.stderr
        assert git(repo, "branch", "--format=%(refname:short)") == "main"
    assert aish("land").stdout == ""


@pytest.mark.slow
def test_an_agent_file_asks_for_one_also_in_a_pipeline(shared_home: Home, repo: Path, aish: Run) -> None:
    program = repo / "agent.sh"
    program.write_text("#!/bin/sh\npwd\ncat > given.txt\n")
    program.chmod(0o755)
    agents = repo / ".aish" / "agents"
    agents.mkdir(parents=True)
    (agents / "mine.md").write_text(f"---\nadapter: program\nprogram: {program}\nworktree: true\n---\n")
    git(repo, "add", ".")
    git(repo, "commit", "-q", "-m", "agent")
    done = aish("-c", "echo text | @mine")
    assert done.returncode == 0, done.stderr
    tree = repo / ".aish" / "worktrees" / "mine"
    assert done.stdout == f"{tree}/sub\n"
    assert (tree / "sub" / "given.txt").read_text().strip() == "text"
    done = aish("map", "--text", "@mine", "--", "a")
    assert done.returncode != 0
    assert "wants a git worktree of its own" in done.stderr


@pytest.mark.parametrize(
    ("words", "status", "told"),
    [
        (("land", "nobody"), 69, "neither a process nor a worktree"),
        (("land", "--squash"), 2, "land which?"),
        (("land", "x", "--squash", "--rebase"), 2, "not allowed with"),
        (("discard", "nobody"), 69, "neither a process nor a worktree"),
        (("spawn", "--label", "worktree=x", "--", "true"), 2, "the label worktree is aish's own"),
        (("spawn", "--worktree-dirty", "--", "true"), 2, "says nothing without --worktree"),
        (("spawn", "--worktree-again", "--name", "new", "--", "true"), 69, "no worktree is called new"),
    ],
)
def test_wrong_words(aish: Run, words: tuple[str, ...], status: int, told: str) -> None:
    done = aish(*words)
    assert (done.returncode, told in done.stderr) == (status, True), done.stderr


def test_the_word_behind_an_option_that_may_have_a_value_is_the_command() -> None:
    """`aish spawn --worktree sleep 60` would else run 60."""
    parser = Parser("x", "x")
    parser.add_argument("--worktree", nargs="?", const="")
    options, command = parser.command(["--worktree", "sleep", "60"])
    assert (options.worktree, command) == ("", ["sleep", "60"])
