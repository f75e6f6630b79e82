"""What an agent file says: which model, which instructions, within which limits.

Plain slotted classes: the shell loads this on every `@name`.
"""

from __future__ import annotations

from aish.model.spec import HOLD

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final, Literal

    from aish.spi.acting import Acting

    Reduce = Literal["answer", "join"]

DEFAULT_MODEL: Final = "default"  # the gateway knows which model the user made the default
INPUT_MARK: Final = "{input}"
NAME_LENGTH_MAX: Final = 64

GATEWAY: Final = "gateway"
OWN: Final = "own"
CLIENT: Final = "client"
"""Its own login, as `own`, but through the gateway: `--login client` of the model, which has to be served."""
LOGINS: Final = (GATEWAY, OWN, CLIENT)
ASK: Final = "ask"
PERMISSIONS: Final = (ASK, "allow", "deny")


class Limits:
    """`tokens`: input + output of all its requests. `budget`: what else of models, by the words of
    aish.wire.budget ("usd", "requests/day"; "hard" is 1). `max_output_tokens`: of one answer. `wall_s`: seconds by
    the clock, holds included. `children`, `depth`, `pids`, `memory_bytes`, `cpus`: of its tree, as
    aish.wire.spec.LimitPart has them; `vram_bytes` of GPU memory on each of `gpu_count` devices. None: no
    limit of its own."""

    __slots__ = (
        "budget",
        "children",
        "cpus",
        "depth",
        "gpu_count",
        "max_output_tokens",
        "memory_bytes",
        "pids",
        "tokens",
        "vram_bytes",
        "wall_s",
    )

    def __init__(
        self,
        tokens: int | None = None,
        max_output_tokens: int | None = None,
        wall_s: float | None = None,
        *,
        budget: Mapping[str, float] | None = None,
        children: int | None = None,
        depth: int | None = None,
        vram_bytes: int | None = None,
        gpu_count: int | None = None,
        memory_bytes: int | None = None,
        cpus: float | None = None,
        pids: int | None = None,
    ) -> None:
        self.tokens = tokens
        self.max_output_tokens = max_output_tokens
        self.wall_s = wall_s
        self.budget = dict(budget or {})
        self.children = children
        self.depth = depth
        self.vram_bytes = vram_bytes
        self.gpu_count = gpu_count
        self.memory_bytes = memory_bytes
        self.cpus = cpus
        self.pids = pids

    @property
    def context(self) -> int | None:
        """Tokens of one request at most."""
        found = self.budget.get("context")
        return None if found is None else int(found)


class Sampling:
    """How the next token is chosen, in OpenAI's words; None: left to the model server."""

    __slots__ = ("frequency_penalty", "presence_penalty", "seed", "stop", "temperature", "top_p")

    def __init__(
        self,
        temperature: float | None = None,
        top_p: float | None = None,
        seed: int | None = None,
        stop: tuple[str, ...] = (),
        frequency_penalty: float | None = None,
        presence_penalty: float | None = None,
    ) -> None:
        self.temperature = temperature
        self.top_p = top_p
        self.seed = seed
        self.stop = stop
        self.frequency_penalty = frequency_penalty
        self.presence_penalty = presence_penalty


class SandboxTable:
    """What the file of an agent lets its program reach: paths as they are written there, `~` and relative ones to the
    folder it is started in."""

    __slots__ = ("hide", "hosts", "models", "profile", "read", "spawn", "write")

    def __init__(
        self,
        profile: str,
        *,
        write: tuple[str, ...] = (),
        read: tuple[str, ...] = (),
        hide: tuple[str, ...] = (),
        hosts: tuple[str, ...] = (),
        models: bool = True,
        spawn: bool = False,
    ) -> None:
        self.profile = profile
        self.write, self.read, self.hide, self.hosts = write, read, hide, hosts
        self.models, self.spawn = models, spawn


class MapReduce:
    """What happens to an input that the model's context cannot hold: every part is answered by `chunk_prompt`; then
    the answers are one text that `reduce_prompt` answers ("answer"), or simply follow each other ("join"). A part has
    at most `part_tokens`; None: what the context holds."""

    __slots__ = ("chunk_prompt", "part_tokens", "reduce", "reduce_prompt")

    def __init__(
        self,
        chunk_prompt: str | None = None,
        reduce: Reduce = "answer",
        reduce_prompt: str | None = None,
        part_tokens: int | None = None,
    ) -> None:
        self.chunk_prompt = chunk_prompt
        self.reduce: Reduce = reduce
        self.reduce_prompt = reduce_prompt
        self.part_tokens = part_tokens


class Agent:
    """One agent. `instructions` is the system message, `prompt` the user message, where `{input}` stands for the
    text; `when_reserved` as aish.wire.spec.SpecPart has it; `file` is where it was read from, None for a model that
    is asked directly. `adapter`: it is a program that others wrote, or acts (`acting`); `program`, `arguments`,
    `login`, `permissions` and `sandbox` are of such a one, as aish.spi.agent_adapter.Task has them. `environment` is
    set in its process, `secrets` are variables of the caller that it may see. `worktree`: it runs in a git worktree
    of that name, "" for its own."""

    __slots__ = (
        "acting",
        "adapter",
        "arguments",
        "description",
        "environment",
        "file",
        "instructions",
        "limits",
        "login",
        "map_reduce",
        "model",
        "name",
        "permissions",
        "program",
        "prompt",
        "sampling",
        "sandbox",
        "secrets",
        "when_reserved",
        "whole_sentences",
        "worktree",
    )

    def __init__(
        self,
        name: str,
        *,
        description: str = "",
        model: str = DEFAULT_MODEL,
        instructions: str = "",
        prompt: str = INPUT_MARK,
        limits: Limits | None = None,
        sampling: Sampling | None = None,
        map_reduce: MapReduce | None = None,
        whole_sentences: bool = False,
        when_reserved: str = HOLD,
        file: str | None = None,
        adapter: str | None = None,
        program: str | None = None,
        arguments: tuple[str, ...] = (),
        login: str = GATEWAY,
        permissions: str = ASK,
        worktree: str | None = None,
        sandbox: SandboxTable | None = None,
        acting: Acting | None = None,
        environment: Mapping[str, str] | None = None,
        secrets: tuple[str, ...] = (),
    ) -> None:
        self.name = name
        self.description = description
        self.model = model
        self.instructions = instructions
        self.prompt = prompt
        self.limits = limits or Limits()
        self.sampling = sampling or Sampling()
        self.map_reduce = map_reduce or MapReduce()
        self.whole_sentences = whole_sentences
        self.when_reserved = when_reserved
        self.file = file
        self.adapter = adapter
        self.program = program
        self.arguments = arguments
        self.login = login
        self.permissions = permissions
        self.worktree = worktree
        self.sandbox = sandbox
        self.acting = acting
        self.environment = dict(environment or {})
        self.secrets = secrets


def direct(model: str) -> Agent:
    """The agent that `@model` is: no instructions, the prompt goes to the model as it was typed."""
    return Agent(model, model=model)


NAME_HINT: Final = "letters, digits, '.', '_' and '-', first a letter, not like an id such as p12"


def valid_name(name: str) -> bool:
    """Whether `@name` can name an agent: ASCII letters, digits, '.', '_', '-'; first a letter; no id (p12)."""
    plain = name.isascii() and name[:1].isalpha() and len(name) <= NAME_LENGTH_MAX
    return plain and all(c.isalnum() or c in "._-" for c in name) and not _like_id(name)


def _like_id(name: str) -> bool:
    return name[0] == "p" and name[1:].isdecimal()
