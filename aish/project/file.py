"""What an entry is made of beside the project's files: env files and agents."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aish.agents import adapters
from aish.agents import find as agents
from aish.config.project_file import content_of, shown
from aish.errors import AishError, NotFoundError, SourceError, UsageError
from aish.model.nearest import nearest
from aish.project import environ
from aish.project.declare import IDLE_GPUS, located, paths
from aish.project.specify import Read

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aish.config.document import Document
    from aish.config.places import Path
    from aish.config.problem import Problems
    from aish.project.entry import Entry, Project


def env_files(names: list[str]) -> dict[str, str]:
    """What the files say, later ones over earlier ones. Raises SourceError."""
    found: dict[str, str] = {}
    for path in names:
        content = content_of(path, shown(path))
        try:
            text = content.decode()
        except UnicodeDecodeError as error:
            line = content.count(b"\n", 0, error.start) + 1
            raise SourceError("not UTF-8 text", file=shown(path), line=line) from error
        found |= environ.dotenv(text, shown(path))
    return found


def beside(entry: Entry, project: Project, variables: Mapping[str, str], problems: Problems) -> Read:
    """What an entry is made of beside the project's files; what cannot be read is a problem of its key."""
    found: dict[str, str] = {}
    try:
        found = env_files(paths(entry.values.get("env_file"), entry.document.folder, variables))
    except SourceError as error:
        unread(error, entry.document, (*entry.at, "env_file"), problems)
    word = entry.values.get("agent")
    if word is None:
        return Read(env_files=found)
    at = (*entry.at, "agent")
    try:
        file = project.definitions.get(word.removeprefix("@"))
        file = file or _agent_file(word, entry.document.folder, variables)
        agent = agents.read(file)
        digest = agents.digest(file)
        if agent.adapter is not None:
            adapters.load(agent.adapter)
        if agent.worktree is not None:
            hint = "begin it by aish run or aish spawn"
            raise UsageError(f"{word} wants a git worktree of its own, and none is made for an entry", hint=hint)
    except SourceError as error:
        unread(error, entry.document, at, problems)
    except AishError as error:
        problems.add(entry.document, at, str(error), error.hint)
    else:
        if "gpus" in entry.values and "vram" not in entry.values and agent.limits.vram_bytes is None:
            problems.add(entry.document, (*entry.at, "gpus"), *IDLE_GPUS)
        return Read(env_files=found, agent=agent, agent_digest=digest)
    return Read(env_files=found)


def unread(error: SourceError, document: Document, at: Path, problems: Problems) -> None:
    """What is wrong within a file has its own place; a file that cannot be read has that of the key that names it."""
    if error.line is not None:
        problems.take(error)
    else:
        problems.add(document, at, f"{error.file}: {error.message}", error.hint)


def _agent_file(word: str, folder: str, variables: Mapping[str, str]) -> str:
    """Raises NotFoundError, with the nearest name."""
    if "/" in word or word.endswith(".md"):
        return located(word, folder, variables)
    file = agents.locate(word.removeprefix("@"), folder)
    if file is None:
        near = nearest(word, agents.names(folder))
        raise NotFoundError(f"no agent is called {word}", hint=f"did you mean {near}?" if near else "`aish agent ls`")
    return file
