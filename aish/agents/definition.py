"""An agent file: Markdown instructions under a YAML head. Pure: text in, Agent or SourceError out.

docs/reference/agent-files.md is the table of keys.
"""

from __future__ import annotations

from aish.agents.agent import (
    ASK,
    DEFAULT_MODEL,
    GATEWAY,
    INPUT_MARK,
    LOGINS,
    PERMISSIONS,
    Agent,
    Limits,
    MapReduce,
    Sampling,
    SandboxTable,
    valid_name,
)
from aish.agents.front_matter import load, split
from aish.errors import UsageError
from aish.model.nearest import nearest
from aish.model.sandbox import CLOSED, HOSTS_MOST, PATHS_MOST, PROFILES
from aish.model.size import parse_count
from aish.model.spec import HOLD

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from aish.agents.front_matter import Field, Page
    from aish.errors import SourceError

FILE_BYTES_MAX: Final = 256 << 10
TEXT_MAX: Final = 16 << 10
WALL_S_MAX: Final = 366 * 86400.0
TOKENS_MAX: Final = 10**15
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
    "worktree",
)
ADAPTER_KEYS: Final = ("program", "arguments", "login", "permissions", "sandbox")
"""Of an agent that an adapter runs."""
TEXT_KEYS: Final = (
    *("temperature", "top_p", "seed", "stop", "frequency_penalty", "presence_penalty"),
    *("whole_sentences", "map_reduce"),
)
"""Of one that turns text into text: an adapter's program asks its model by itself."""
LIMIT_KEYS: Final = ("tokens", "max_output_tokens", "wall_s")
SANDBOX_KEYS: Final = ("profile", "write", "read", "hide", "hosts", "models", "spawn")
MAP_REDUCE_KEYS: Final = ("chunk_prompt", "part_tokens", "reduce", "reduce_prompt")
# Known to come; until then an agent that relies on them must not run without them.
RESERVED_KEYS: Final = (
    "tools",
    "environment",
    "secrets",
    "mcp_servers",
    "schema",
)
RESERVED_LIMIT_KEYS: Final = ("usd", "requests", "children", "depth", "vram", "context")


def parse(text: str, file: str) -> Agent:
    """The agent that `text` defines; `file` gives its default name and the place in errors. Raises SourceError."""
    page = split(text, file)
    reader = _Reader(page, load(page), "")
    reader.known(KEYS, RESERVED_KEYS)
    reader.choice("input", ("text",), "text")
    adapter = _adapter(reader)
    prompt = reader.template("prompt")
    if not page.body and prompt is None and adapter is None:
        hint = "write what it shall do below the front matter, or give it a prompt"
        raise page.error("the agent has no instructions", page.body_line, hint)
    return Agent(
        _name(reader, file),
        description=reader.text("description", "", length_max=1000),
        model=reader.text("model", DEFAULT_MODEL, length_max=200),
        instructions=page.body,
        prompt=INPUT_MARK if prompt is None else prompt,
        limits=_limits(reader.table("limits")),
        sampling=_sampling(reader),
        map_reduce=_map_reduce(reader.table("map_reduce")),
        whole_sentences=reader.flag("whole_sentences"),
        when_reserved=_when_reserved(reader),
        file=file,
        adapter=adapter,
        program=reader.text("program", "", length_max=1000) or None,
        arguments=reader.texts("arguments", ARGUMENTS_MAX),
        login=reader.choice("login", LOGINS, GATEWAY),
        permissions=reader.choice("permissions", PERMISSIONS, ASK),
        worktree=_worktree(reader),
        sandbox=_sandbox(reader),
    )


def _adapter(reader: _Reader) -> str | None:
    """What runs it; None: aish itself. A key that would do nothing is a mistake."""
    adapter = reader.text("adapter", "", length_max=100) or None
    for key in TEXT_KEYS if adapter is not None else ADAPTER_KEYS:
        if key in reader.fields:
            hint = "adapter: NAME has a program run" if adapter is None else f"{adapter} asks its model by itself"
            raise reader.error(key, "does nothing here", hint)
    return adapter


def _name(reader: _Reader, file: str) -> str:
    stem = file.rpartition("/")[2].removesuffix(".md")
    name = reader.text("name", stem, length_max=1000)
    if not valid_name(name):
        hint = "letters, digits, '.', '_' and '-', first a letter, not like an id such as p12"
        raise reader.error("name", f"@{name[:80]} cannot be a name", hint)
    return name


def _when_reserved(reader: _Reader) -> str:
    text = reader.text("when_reserved", HOLD, length_max=200)
    if text != HOLD and not (text.startswith("model:") and text.removeprefix("model:").strip()):
        raise reader.error("when_reserved", f"expected hold or model:NAME, found {text!r}")
    return text


def _worktree(reader: _Reader) -> str | None:
    """`true`: called as the process; a text: called so."""
    field = reader.fields.get("worktree")
    if field is None or isinstance(field.value, bool):
        return "" if field is not None and field.value else None
    name = reader.text("worktree", "", length_max=200)
    if not valid_name(name):
        raise reader.error("worktree", f"{name[:80]} cannot be a name", "true, or a name as an agent has")
    return name


def _limits(reader: _Reader) -> Limits:
    reader.known(LIMIT_KEYS, RESERVED_LIMIT_KEYS)
    return Limits(
        tokens=reader.count("tokens"),
        max_output_tokens=reader.count("max_output_tokens"),
        wall_s=reader.number("wall_s", 0.001, WALL_S_MAX),
    )


def _sampling(reader: _Reader) -> Sampling:
    return Sampling(
        temperature=reader.number("temperature", 0.0, 2.0),
        top_p=reader.number("top_p", 0.001, 1.0),
        seed=reader.whole("seed", 0, 2**31 - 1),
        stop=reader.texts("stop", STOPS_MAX),
        frequency_penalty=reader.number("frequency_penalty", -2.0, 2.0),
        presence_penalty=reader.number("presence_penalty", -2.0, 2.0),
    )


def _sandbox(reader: _Reader) -> SandboxTable | None:
    """A word, or a table."""
    field = reader.fields.get("sandbox")
    if field is None:
        return None
    if isinstance(field.value, str):
        return SandboxTable(reader.choice("sandbox", PROFILES, CLOSED))
    table = reader.table("sandbox")
    table.known(SANDBOX_KEYS, ())
    return SandboxTable(
        table.choice("profile", PROFILES, CLOSED),
        write=table.texts("write", PATHS_MOST),
        read=table.texts("read", PATHS_MOST),
        hide=table.texts("hide", PATHS_MOST),
        hosts=table.texts("hosts", HOSTS_MOST),
        models=table.flag("models", True),
        spawn=table.flag("spawn"),
    )


def _map_reduce(reader: _Reader) -> MapReduce:
    reader.known(MAP_REDUCE_KEYS, ())
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


class _Reader:
    """Typed access to one table of a head; `prefix` is how its keys are called in errors ("limits.")."""

    def __init__(self, page: Page, fields: dict[str, Field], prefix: str) -> None:
        self.page = page
        self.fields = fields
        self.prefix = prefix

    def error(self, key: str, message: str, hint: str | None = None) -> SourceError:
        field = self.fields.get(key)
        return self.page.error(f"{self.prefix}{key}: {message}", field.line if field else None, hint)

    def known(self, keys: tuple[str, ...], reserved: tuple[str, ...]) -> None:
        for key in self.fields:
            if key in reserved:
                hint = "remove it: agents of this version turn text into text, within limits of tokens and time"
                raise self.error(key, "not supported yet", hint)
            if key == "instructions" and "model" in keys:
                raise self.error(key, "not a key", "instructions are the text below the front matter")
            if key not in keys:
                near = nearest(key, keys)
                hint = f"did you mean {near}?" if near else "known here: " + ", ".join(keys)
                raise self.error(key, "unknown key", hint)

    def table(self, key: str) -> _Reader:
        value = self._value(key)
        if value is not None and not isinstance(value, dict):
            raise self.error(key, "expected a table", "put its keys on lines of their own, indented by two spaces")
        return _Reader(self.page, value or {}, f"{key}.")

    def text(self, key: str, default: str, *, length_max: int) -> str:
        value = self._value(key)
        if value is None:
            return default
        if not isinstance(value, str):
            raise self.error(key, f"expected a text, found {_kind(value)}", "put it in quotes")
        if not value.strip() or len(value) > length_max:
            raise self.error(key, "is empty" if not value.strip() else f"is longer than {length_max} characters")
        if length_max <= 1000 and not value.isprintable():
            raise self.error(key, "expected one line of printable text")
        return value

    def template(self, key: str) -> str | None:
        if key not in self.fields:
            return None
        value = self.text(key, "", length_max=TEXT_MAX).strip()
        if value.count(INPUT_MARK) != 1:
            raise self.error(key, f"needs {INPUT_MARK} exactly once", f"{INPUT_MARK} is where the text goes")
        return value

    def texts(self, key: str, count_max: int) -> tuple[str, ...]:
        value = self._value(key)
        if value is None:
            return ()
        items = [field.value for field in value] if isinstance(value, list) else [value]
        texts = tuple(item for item in items if isinstance(item, str) and 0 < len(item) <= 200)
        if len(texts) != len(items) or not 0 < len(texts) <= count_max:
            hint = 'such as "END" or ["END", "\\n\\n"]'
            raise self.error(key, f"expected a text, or a list of 1 to {count_max} texts", hint)
        return texts

    def choice(self, key: str, choices: tuple[str, ...], default: str) -> str:
        value = self.text(key, default, length_max=100)
        if value not in choices:
            near = nearest(value, choices)
            hint = f"did you mean {near}?" if near else None
            raise self.error(key, f"expected {' or '.join(choices)}, found {value!r}", hint)
        return value

    def flag(self, key: str, default: bool = False) -> bool:
        value = self._value(key)
        if value is not None and not isinstance(value, bool):
            raise self.error(key, f"expected true or false, found {_kind(value)}")
        return default if value is None else bool(value)

    def count(self, key: str) -> int | None:
        value = self._value(key)
        if isinstance(value, str):
            try:
                value = parse_count(value)
            except UsageError as error:
                raise self.error(key, error.message, error.hint) from error
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= TOKENS_MAX:
            raise self.error(key, "expected a count above 0", "such as 200k or 5000")
        return value

    def whole(self, key: str, least: int, most: int) -> int | None:
        value = self._value(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise self.error(key, f"expected a whole number from {least} to {most}")
        return value

    def number(self, key: str, least: float, most: float) -> float | None:
        value = self._value(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value <= most:
            raise self.error(key, f"expected a number from {least:g} to {most:g}")
        return float(value)

    def _value(self, key: str) -> str | int | float | list[Field] | dict[str, Field] | None:
        """The value of a key that may be absent; a key that is there without a value is a mistake."""
        field = self.fields.get(key)
        if field is None:
            return None
        if field.value is None:
            raise self.error(key, "has no value", "give it one or drop the line")
        return field.value


def _kind(value: object) -> str:
    match value:
        case bool():
            return "true or false"  # yes, no, on and off too: YAML 1.1
        case int() | float():
            return "a number"
        case str():
            return "a text"
        case list():
            return "a list"
        case _:
            return "a table"
