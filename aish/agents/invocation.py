"""The runner's command line: made by whoever starts an agent, read by aish.agents.__main__."""

from __future__ import annotations

import sys

from aish.agents.agent import DEFAULT_MODEL, Agent, direct
from aish.agents.options import parted
from aish.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Final

OPTIONS: Final = ("--file", "--name", "--model", "--model-direct")


class Invocation:
    """`file` or `direct_model` is set. `name` and `model` override what the file says."""

    __slots__ = ("direct_model", "file", "model", "name", "prompt")

    def __init__(
        self,
        file: str | None = None,
        direct_model: str | None = None,
        name: str | None = None,
        model: str | None = None,
        prompt: str = "",
    ) -> None:
        self.file = file
        self.direct_model = direct_model
        self.name = name
        self.model = model
        self.prompt = prompt

    @property
    def called(self) -> str:
        """How messages call it before its file is read."""
        stem = (self.file or "").rpartition("/")[2].removesuffix(".md")
        return self.name or self.direct_model or stem or "agent"


def command(
    words: Sequence[str],
    *,
    file: str | None = None,
    direct_model: str | None = None,
    name: str | None = None,
    model: str | None = None,
) -> tuple[str, ...]:
    """The argv that runs an agent (`file`) or asks a model directly (`direct_model`) with `words` as its prompt.

    -P: an agent runs in the user's folder, and a file there that is called like a module must not be imported.
    """
    argv = [sys.executable, "-P", "-m", "aish.agents"]
    pairs = (("--file", file), ("--model-direct", direct_model), ("--name", name), ("--model", model))
    for option, value in pairs:
        if value is not None:
            argv += [option, value]
    return (*argv, "--", *words)


def parse_words(argv: Sequence[str]) -> Invocation:
    """Read the words that `command` made. Raises UsageError."""
    values, _, given = parted(argv, OPTIONS)
    file, model = values.get("--file"), values.get("--model-direct")
    if (file is None) == (model is None):
        raise UsageError("give --file PATH or --model-direct MODEL", hint="one of the two")
    words = " ".join(given).encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return Invocation(file, model, values.get("--name"), values.get("--model"), words)


def agent_of(invocation: Invocation, environ: Mapping[str, str]) -> Agent:
    """The agent to run. Its model: `--model`, else its file's; AISH_MODEL where the file leaves it to the user.

    Raises SourceError, NotFoundError.
    """
    if invocation.direct_model is not None:
        agent = direct(invocation.direct_model)
    else:
        from aish.agents.find import read  # YAML is only loaded for a file

        agent = read(invocation.file or "")
        if agent.model == DEFAULT_MODEL:
            agent.model = environ.get("AISH_MODEL") or agent.model
        agent.model = invocation.model or agent.model
    agent.name = invocation.name or agent.name
    return agent
