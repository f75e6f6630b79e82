"""Git repositories in temporary folders, with an identity and nothing of the user's configuration."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest


class Repo:
    """A repository with one commit of `a.txt` on `main`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir(parents=True, exist_ok=True)
        self.git("init", "-q", "-b", "main")
        self.commit("a.txt", "a\n")

    def git(self, *words: str, folder: Path | None = None) -> str:
        done = subprocess.run(
            ["git", *words], cwd=folder or self.root, capture_output=True, text=True, check=False, timeout=30
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.rstrip("\n")

    def commit(self, path: str, text: str, *, folder: Path | None = None) -> str:
        self.write(path, text, folder=folder)
        self.git("add", path, folder=folder)
        self.git("commit", "-q", "-m", f"change {path}", folder=folder)
        return self.git("rev-parse", "HEAD", folder=folder)

    def write(self, path: str, text: str, *, folder: Path | None = None) -> Path:
        file = (folder or self.root) / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def hook(self, name: str, text: str) -> None:
        file = self.root / ".git" / "hooks" / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(f"#!/bin/sh\n{text}\n")
        file.chmod(0o755)

    def tree(self, name: str) -> Path:
        return self.root / ".aish" / "worktrees" / name

    @property
    def branches(self) -> list[str]:
        return self.git("branch", "--format=%(refname:short)").splitlines()

    @property
    def head(self) -> str:
        return self.git("rev-parse", "HEAD")

    def status(self) -> str:
        return self.git("status", "--porcelain")


@pytest.fixture(autouse=True)
def _identity(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    config = tmp_path_factory.mktemp("git") / "config"
    config.write_text(
        '[user]\n\tname = A Person\n\temail = person@example.org\n[protocol "file"]\n\tallow = always\n'
    )
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", "/dev/null")


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    return Repo(tmp_path / "repo")


@pytest.fixture
def told() -> list[str]:
    return []
