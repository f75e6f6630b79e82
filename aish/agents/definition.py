"""An agent file: Markdown instructions under a YAML head. Pure: text in, Agent or SourceError out.

docs/reference/agent-files.md is the table of keys.
"""

from __future__ import annotations

from aish.agents import acting, limits, surroundings
from aish.agents.agent import (
    ASK,
    DEFAULT_MODEL,
    GATEWAY,
    INPUT_MARK,
    LOGINS,
    NAME_HINT,
    PERMISSIONS,
    Agent,
    MapReduce,
    Sampling,
    SandboxTable,
    valid_name,
)
from aish.agents.front_matter import load, split
from aish.agents.reader import Reader
from aish.model.sandbox import CLOSED, HOSTS_MOST, PATHS_MOST, PROFILES
from aish.model.spec import HOLD, PARK, RESERVED_HINT
from aish.sandbox import hosts
from aish.spi.acting import BUILTIN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from aish.spi.acting import Acting

FILE_BYTES_MAX: Final = 256 << 10
ARGUMENTS_MAX: Final = 100
STOPS_MAX: Final = 4  # more are refused by OpenAI's dialect

KEYS: Final = (
    "name",
    "description",
    "model",
    "prompt",
    "input",
    "limits",
    "temperature",
    "top_p",
    "seed",
    "stop",
    "frequency_penalty",
    "presence_penalty",
    "whole_sentences",
    "when_reserved",
    "map_reduce",
    "adapter",
    *("program", "arguments", "login", "permissions", "sandbox"),
    *acting.KEYS,
    *("environment", "secrets"),
    "worktree",
)
TABLE_KEYS: Final = ("instructions", "file")
"""Of a table in an aish.toml beside those: in a file of its own the text below the head is what they say."""
ADAPTER_KEYS: Final = ("program", "arguments", "login", "permissions", "sandbox")
"""Of an agent that an adapter runs."""
SAMPLING_KEYS: Final = ("temperature", "top_p", "seed", "stop", "frequency_penalty", "presence_penalty")
"""Of one whose requests aish makes itself: an adapter's program asks its model as it likes."""
TEXT_KEYS: Final = ("whole_sentences", "map_reduce")
"""Of one that turns text into text."""
SANDBOX_KEYS: Final = ("profile", "write", "read", "hide", "hosts", "models", "spawn")
MAP_REDUCE_KEYS: Final = ("chunk_prompt", "part_tokens", "reduce", "reduce_prompt")


def parse(text: str, file: str) -> Agent:
    """The agent that `text` defines; `file` gives its default name and the place in errors. Raises SourceError."""
    page = split(text, file)
    reader = Reader(page, load(page), "")
    if "instructions" in reader.fields:
        raise reader.error("instructions", "not a key", "instructions are the text below the front matter")
    reader.known(KEYS)
    return _agent(reader, file, file.rpartition("/")[2].removesuffix(".md"))


def of_table(reader: Reader, file: str, name: str) -> Agent:
    """The agent that a table of an aish.toml defines; `reader.page.body` are its instructions already. Raises
    SourceError."""
    reader.known((*KEYS, *TABLE_KEYS))
    return _agent(reader, file, name)


def _agent(reader: Reader, file: str, called: str) -> Agent:
    page = reader.page
    reader.choice("input", ("text",), "text")
    login = reader.choice("login", LOGINS, GATEWAY)
    adapter = _adapter(reader)
    acts = acting.read(reader, file, PERMISSIONS) if adapter == BUILTIN else None
    prompt = reader.template("prompt")
    if not page.body and prompt is None and adapter is None:
        hint = "write what it shall do below the front matter, or give it a prompt"
        if reader.prefix:
            hint = 'instructions = "…", file = "NAME.md", or a prompt'
        where = f"{reader.prefix[:-1]}: " if reader.prefix else ""
        raise page.error(f"{where}the agent has no instructions", page.body_line, hint)
    return Agent(
        _name(reader, called),
        description=reader.text("description", "", length_max=1000),
        model=reader.text("model", DEFAULT_MODEL, length_max=200),
        instructions=page.body,
        prompt=INPUT_MARK if prompt is None else prompt,
        limits=limits.read(reader.table("limits")),
        sampling=_sampling(reader),
        map_reduce=_map_reduce(reader.table("map_reduce")),
        whole_sentences=reader.flag("whole_sentences"),
        when_reserved=_when_reserved(reader, adapter),
        file=file,
        adapter=adapter,
        program=reader.text("program", "", length_max=1000) or None,
        arguments=reader.texts("arguments", ARGUMENTS_MAX),
        login=login,
        permissions=_permissions(reader, acts),
        acting=acts,
        worktree=_worktree(reader),
        sandbox=_sandbox(reader),
        environment=surroundings.environment(reader),
        secrets=surroundings.secrets(reader, login),
    )


def _adapter(reader: Reader) -> str | None:
    """What runs it; None: aish itself. A key that would do nothing is a mistake."""
    adapter = reader.text("adapter", "", length_max=100) or None
    if adapter is None and acting.wanted(reader):
        adapter = BUILTIN
    for key, hint in _idle(adapter):
        if key in reader.fields:
            raise reader.error(key, "does nothing here", hint)
    return adapter


def _idle(adapter: str | None) -> list[tuple[str, str]]:
    """Keys that do nothing for what runs it, and why."""
    if adapter is None:
        return [(key, "adapter: NAME has a program run, tools: [] the built-in agent") for key in ADAPTER_KEYS]
    if adapter == BUILTIN:
        ours = [(key, "it is of programs that others wrote") for key in ("program", "arguments", "login")]
        return ours + [(key, "it is of agents without tools") for key in TEXT_KEYS]
    own = f"{adapter} asks its model by itself"
    tools = f"{adapter} has tools of its own"
    return [(key, own) for key in (*SAMPLING_KEYS, *TEXT_KEYS)] + [(key, tools) for key in acting.KEYS]


def _permissions(reader: Reader, acts: Acting | None) -> str:
    return ASK if acts is not None and acts.permissions else reader.choice("permissions", PERMISSIONS, ASK)


def _name(reader: Reader, called: str) -> str:
    name = reader.text("name", called, length_max=1000)
    if not valid_name(name):
        raise reader.error("name", f"@{name[:80]} cannot be a name", NAME_HINT)
    return name


def _when_reserved(reader: Reader, adapter: str | None) -> str:
    text = reader.text("when_reserved", HOLD, length_max=200)
    if text not in (HOLD, PARK) and not (text.startswith("model:") and text.removeprefix("model:").strip()):
        raise reader.error("when_reserved", f"{RESERVED_HINT}, found {text!r}")
    if text == PARK and adapter is None:
        hint = "adapter: NAME or tools: […] make one that does; hold waits"
        raise reader.error("when_reserved", "this agent keeps no conversation that it could go on with", hint)
    return text


def _worktree(reader: Reader) -> str | None:
    """`true`: called as the process; a text: called so."""
    field = reader.fields.get("worktree")
    if field is None or isinstance(field.value, bool):
        return "" if field is not None and field.value else None
    name = reader.text("worktree", "", length_max=200)
    if not valid_name(name):
        raise reader.error("worktree", f"{name[:80]} cannot be a name", "true, or a name as an agent has")
    return name


def _sampling(reader: Reader) -> Sampling:
    return Sampling(
        temperature=reader.number("temperature", 0.0, 2.0),
        top_p=reader.number("top_p", 0.001, 1.0),
        seed=reader.whole("seed", 0, 2**31 - 1),
        stop=reader.texts("stop", STOPS_MAX),
        frequency_penalty=reader.number("frequency_penalty", -2.0, 2.0),
        presence_penalty=reader.number("presence_penalty", -2.0, 2.0),
    )


def _sandbox(reader: Reader) -> SandboxTable | None:
    """A word, or a table."""
    field = reader.fields.get("sandbox")
    if field is None:
        return None
    if isinstance(field.value, str):
        return SandboxTable(reader.choice("sandbox", PROFILES, CLOSED))
    table = reader.table("sandbox")
    table.known(SANDBOX_KEYS)
    return SandboxTable(
        table.choice("profile", PROFILES, CLOSED),
        write=table.texts("write", PATHS_MOST),
        read=table.texts("read", PATHS_MOST),
        hide=table.texts("hide", PATHS_MOST),
        hosts=tuple(_host(table, text) for text in table.texts("hosts", HOSTS_MOST)),
        models=table.flag("models", True),
        spawn=table.flag("spawn"),
    )


def _host(reader: Reader, text: str) -> str:
    try:
        hosts.read(text)
    except ValueError as error:
        hint = 'example.org, "*.example.org" for all below it, example.org:8443'
        raise reader.error("hosts", f"{text[:60]!r}: {error}", hint) from None
    return text


def _map_reduce(reader: Reader) -> MapReduce:
    reader.known(MAP_REDUCE_KEYS)
    reduce = reader.choice("reduce", ("answer", "join"), "answer")
    reduce_prompt = reader.template("reduce_prompt")
    if reduce == "join" and reduce_prompt is not None:
        raise reader.error("reduce_prompt", "is never used: reduce is join", "drop one of the two")
    return MapReduce(
        chunk_prompt=reader.template("chunk_prompt"),
        reduce="join" if reduce == "join" else "answer",
        reduce_prompt=reduce_prompt,
        part_tokens=reader.count("part_tokens"),
    )
