"""A person in a repository of their own, whose agent `fix` is the built-in one with a scripted model."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from conftest import Home

HEAD = "tools: [write, read]\npermissions: allow\n"


class Person:
    """In a repository of their own, with an agent `fix` that writes files."""

    def __init__(self, home: Home, head: str = HEAD, body: str = "Do what is asked.") -> None:
        self.home = home
        self.repo = home.root / "repo"
        self.repo.mkdir()
        config = home.root / "gitconfig"
        config.write_text("[user]\n\tname = A Person\n\temail = person@example.org\n")
        home.environ |= {"GIT_CONFIG_GLOBAL": str(config), "GIT_CONFIG_SYSTEM": "/dev/null"}
        self.git("init", "-q", "-b", "main")
        agents = self.repo / ".aish" / "agents"
        agents.mkdir(parents=True)
        (agents / "fix.md").write_text(f"---\n{head}---\n{body}")
        (self.repo / ".gitignore").write_text("*.o\n")
        (self.repo / "a.txt").write_text("a\r\nb\n")
        self.git("add", ".")
        self.git("commit", "-q", "-m", "begin")

    def git(self, *words: str, folder: Path | None = None) -> str:
        done = subprocess.run(
            ["git", *words],
            cwd=folder or self.repo,
            env=self.home.environ,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.rstrip("\n")

    def aish(self, *words: str, status: int = 0) -> str:
        done = self.home.aish(*words, cwd=self.repo, input="")
        assert done.returncode == status, (done.stdout, done.stderr)
        assert "Traceback" not in done.stderr
        return done.stdout if not status else done.stderr

    def json(self, *words: str) -> Any:
        at = words.index("--") if "--" in words else len(words)
        return json.loads(self.aish(*words[:at], "--json", *words[at:]))

    def spawn(self, *options: str) -> Any:
        return self.home.client.process(self.json("spawn", *options, "--", "@fix")["id"])

    def idle(self, *options: str) -> Any:
        """Spawned, and waiting for messages."""
        agent = self.spawn(*options)
        while agent.row().state != "idle":
            assert agent.row().lifecycle in ("queued", "starting", "running")
        return agent

    def ask(self, target: str, *steps: str) -> str:
        return self.aish("ask", target, " then ".join(steps)).strip()

    def tree(self, name: str) -> Path:
        return self.repo / ".aish" / "worktrees" / name

    def entries(self, id: str) -> list[dict[str, Any]]:
        (path,) = (self.home.state / "agents").glob(f"*-{id}/transcript.jsonl")
        return [json.loads(line) for line in path.read_text().splitlines()]


def write(path: str, content: str) -> str:
    return f"call write {json.dumps({'path': path, 'content': content})}"


def files(tree: Path) -> dict[str, tuple[bytes, int]]:
    """All that is in a working tree, byte for byte, with its mode."""
    found = {}
    for where, _, names in os.walk(tree):
        for name in names:
            path = Path(where) / name
            content = os.fsencode(os.readlink(path)) if path.is_symlink() else path.read_bytes()
            found[str(path.relative_to(tree))] = (content, path.lstat().st_mode)
    return found
