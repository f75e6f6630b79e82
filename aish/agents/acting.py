"""The keys of an agent that acts, read from its file: tools, permissions, paths, hosts, servers, schema."""

from __future__ import annotations

import json
import os

from aish.agents import schema
from aish.model.nearest import nearest
from aish.spi.acting import DEFAULT, FETCH, TOOLS, Acting

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

    from aish.agents.front_matter import Value
    from aish.agents.reader import Reader

KEYS: Final = ("tools", "paths", "hosts", "mcp_servers", "schema")
ROOTS_MAX: Final = 32
HOSTS_MAX: Final = 100
SERVER_KEYS: Final = ("type", "command", "args", "env", "cwd", "url", "headers")
_MCP_TOP: Final = "mcpServers"


def wanted(reader: Reader) -> bool:
    """Whether the file says anything that only an agent that acts has."""
    return any(key in reader.fields for key in KEYS)


def read(reader: Reader, file: str, choices: tuple[str, ...]) -> Acting:
    """`choices` are what a permission may be. Raises SourceError."""
    tools = _tools(reader)
    hosts = tuple(_host(reader, text) for text in reader.texts("hosts", HOSTS_MAX))
    if FETCH in tools and not hosts:
        raise reader.error(
            "tools", "fetch needs hosts", 'hosts: [docs.python.org, "*.example.org"] are all it may ask'
        )
    base = base_folder(file)
    return Acting(
        tools=tools,
        permissions=permissions(reader, choices),
        paths=tuple(_folder(base, text) for text in reader.texts("paths", ROOTS_MAX)),
        hosts=hosts,
        mcp_servers=_servers(reader, base),
        schema=_schema(reader, base),
    )


def permissions(reader: Reader, choices: tuple[str, ...]) -> dict[str, str]:
    """Tool -> rule, where the file has a table of them. Other tools than aish's are those of MCP servers."""
    field = reader.fields.get("permissions")
    if field is None or not isinstance(field.value, dict):
        return {}
    table = reader.table("permissions")
    for key in table.fields:
        near = nearest(key, (*TOOLS, DEFAULT))
        if key not in (*TOOLS, DEFAULT) and "mcp_servers" not in reader.fields:
            raise table.error(key, "no such tool", f"did you mean {near}?" if near else ", ".join((*TOOLS, DEFAULT)))
    return {key: table.choice(key, choices, "") for key in table.fields}


def base_folder(file: str) -> str:
    """What paths in an agent file are relative to: the folder that has `.aish`, else that of the file."""
    folder = os.path.dirname(os.path.abspath(file.partition("#")[0]))
    above, last = os.path.split(folder)
    project, middle = os.path.split(above)
    return project if (middle, last) == (".aish", "agents") else folder


def _folder(base: str, text: str) -> str:
    return os.path.normpath(os.path.join(base, os.path.expanduser(text)))


def _tools(reader: Reader) -> tuple[str, ...]:
    field = reader.fields.get("tools")
    if field is None:
        return ()
    if not isinstance(field.value, list):
        raise reader.error("tools", "expected a list", f"such as [{TOOLS[0]}, {TOOLS[1]}]; [] is none")
    for item in field.value:
        if item.value not in TOOLS:
            near = nearest(str(item.value), TOOLS)
            hint = f"did you mean {near}?" if near else "there are: " + ", ".join(TOOLS)
            raise reader.error("tools", f"no tool is called {str(item.value)[:40]}", hint)
    return tuple(dict.fromkeys(str(item.value) for item in field.value))


def _host(reader: Reader, text: str) -> str:
    bare = text.removeprefix("*.") if text != "*" else ""
    fine = text == "*" or (bare and all(c.isascii() and (c.isalnum() or c in ".-") for c in bare))
    if not fine or bare.startswith(".") or bare.endswith("."):
        raise reader.error("hosts", f"{text[:60]!r} is no host", 'example.org, "*.example.org" for all below it, "*"')
    return text.lower()


def _servers(reader: Reader, base: str) -> dict[str, Any]:
    value = _table_or_file(reader, "mcp_servers", base)
    servers = value.get(_MCP_TOP, value)
    if not isinstance(servers, dict):
        raise reader.error("mcp_servers", f"{_MCP_TOP} is no table")
    for name, entry in servers.items():
        if not isinstance(entry, dict) or ("command" in entry) == ("url" in entry):
            raise reader.error(
                "mcp_servers", f"{name}: needs a command, or a url", "as in .mcp.json of other programs"
            )
        for key in entry:
            if key not in SERVER_KEYS:
                near = nearest(str(key), SERVER_KEYS)
                raise reader.error(
                    "mcp_servers", f"{name}: unknown key {key}", f"did you mean {near}?" if near else None
                )
        env = entry.get("env", {})
        if not isinstance(env, dict) or not all(isinstance(text, str) for text in env.values()):
            raise reader.error("mcp_servers", f"{name}: env is no table of texts", "put its values in quotes")
    return servers


def _schema(reader: Reader, base: str) -> dict[str, Any] | None:
    value = _table_or_file(reader, "schema", base)
    if not value:
        return None
    try:
        return schema.checked(value)
    except schema.SchemaError as error:
        raise reader.error("schema", str(error), error.hint) from error


def _table_or_file(reader: Reader, key: str, base: str) -> dict[str, Any]:
    field = reader.fields.get(key)
    if field is None:
        return {}
    if isinstance(field.value, dict):
        value = plain(field.value)
    else:
        path = _folder(base, reader.text(key, "", length_max=1000))
        try:
            with open(path, "rb") as stream:
                content = stream.read(schema.BYTES_MAX + 1)
            value = json.loads(content)
        except OSError as error:
            raise reader.error(key, f"{path} cannot be read: {error.strerror}") from error
        except (ValueError, RecursionError) as error:
            raise reader.error(key, f"{path} is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise reader.error(key, "expected a table", "or the path of a JSON file that has one")
    return value


def plain(value: Value) -> Any:
    """What a head says, without the lines where it stands."""
    if isinstance(value, dict):
        return {key: plain(field.value) for key, field in value.items()}
    if isinstance(value, list):
        return [plain(field.value) for field in value]
    return value
