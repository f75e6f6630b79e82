"""The tools as a server of the Model Context Protocol. The library speaks it; here is what it calls."""

from __future__ import annotations

import re
import traceback
from typing import TYPE_CHECKING, Any, Final

import mcp_types as types
import msgspec
from mcp.server.lowlevel import Server
from mcp.shared.exceptions import MCPError

from aish.errors import AishError, InternalError, NotFoundError
from aish.model.nearest import nearest
from aish.tools import arguments as a
from aish.tools import looking, refusal, schema
from aish.tools.desk import Call, Desk
from aish.tools.tool import Tool, offered

if TYPE_CHECKING:
    from mcp.server.context import ServerRequestContext

    Context = ServerRequestContext[Any]

INSTRUCTIONS: Final = """\
aish supervises processes, agents and models of one user: each has an id, a state, a log and a budget, and goes on
when this client ends. Start what runs long (servers, builds, training, other agents) with spawn; wait and logs follow
it; ps shows all. ask gives a question to an agent or model.

Only the person can: answer what agents ask (needs-input), raise budgets and limits (over-budget), adopt processes
that run already, make or show keys, shut the supervisor down. Where one of these is needed, say so, and say which
command does it: aish next, aish limit ID tokens=+50k, aish adopt PID."""

PS: Final = "aish://ps"
LOG: Final = "aish://process/{id}/log"
_LOG: Final = re.compile(r"aish://process/([^/]{1,200})/log")
_LOG_LINES: Final = 200
_NAME_CHARS: Final = 64


class ToolsServer:
    """Of one client."""

    def __init__(self, desk: Desk, *, version: str, read_only: bool) -> None:
        self._desk, self._version = desk, version
        self._tools = offered(read_only=read_only)
        self._listed = [_listed(tool) for tool in self._tools.values()]

    def served(self) -> Server[Any]:
        return Server(
            "aish",
            version=self._version,
            title="aish: supervised processes and agents",
            instructions=INSTRUCTIONS,
            on_list_tools=self._list,
            on_call_tool=self._call,
            on_list_resources=self._resources,
            on_list_resource_templates=self._templates,
            on_read_resource=self._read,
        )

    # --- tools --------------------------------------------------------------------------------------------------

    async def _list(self, _: Context, __: types.PaginatedRequestParams | None) -> types.ListToolsResult:
        return types.ListToolsResult(tools=self._listed)

    async def _call(self, context: Context, params: types.CallToolRequestParams) -> types.CallToolResult:
        tool = self._tools.get(params.name)
        if tool is None:
            near = nearest(params.name, self._tools)
            hint = f"did you mean {near}?" if near else "there are " + ", ".join(self._tools)
            raise MCPError(types.INVALID_PARAMS, f"no such tool: {params.name[:80]}; {hint}")
        try:
            wanted = schema.convert(tool.takes, params.arguments)
            found = await tool.perform(self._by(context), wanted)
        except AishError as error:
            return _refusal(error)
        except Exception as error:  # noqa: BLE001 - one call's fault does not end the server
            traceback.print_exc()
            return _refusal(InternalError(f"a fault in aish: {error!r}", hint="please report it"))
        content = [types.TextContent(text=found.text())]
        return types.CallToolResult(content=list(content), structured_content=msgspec.to_builtins(found))

    def _by(self, context: Context) -> Call:
        params = context.session.client_params
        client = "unknown" if params is None else params.client_info.name[:_NAME_CHARS]
        asked = bool(context.meta and context.meta.get("progress_token") is not None)
        return Call(self._desk, client, context.session.report_progress if asked else None)

    # --- resources ----------------------------------------------------------------------------------------------

    async def _resources(self, _: Context, __: types.PaginatedRequestParams | None) -> types.ListResourcesResult:
        tree = types.Resource(uri=PS, name="ps", description="The process tree.", mime_type="text/plain")
        return types.ListResourcesResult(resources=[tree])

    async def _templates(
        self, _: Context, __: types.PaginatedRequestParams | None
    ) -> types.ListResourceTemplatesResult:
        log = types.ResourceTemplate(
            uri_template=LOG,
            name="log",
            description=f"The last {_LOG_LINES} lines that a process wrote.",
            mime_type="text/plain",
        )
        return types.ListResourceTemplatesResult(resource_templates=[log])

    async def _read(self, context: Context, params: types.ReadResourceRequestParams) -> types.ReadResourceResult:
        try:
            text = await self._text_of(self._by(context), str(params.uri))
        except AishError as error:
            raise MCPError(types.INVALID_PARAMS, refusal.told(error)) from None
        contents = types.TextResourceContents(uri=params.uri, mime_type="text/plain", text=text)
        return types.ReadResourceResult(contents=[contents])

    async def _text_of(self, call: Call, uri: str) -> str:
        if uri == PS:
            return (await looking.ps(call, a.Ps())).text()
        log = _LOG.fullmatch(uri)
        if log is None:
            raise NotFoundError(f"no such resource: {uri[:200]}", hint=f"there are {PS} and {LOG}")
        return (await looking.logs(call, a.Logs(process=log[1], last=_LOG_LINES))).text()


def _listed(tool: Tool) -> types.Tool:
    hints = types.ToolAnnotations(
        title=tool.title,
        read_only_hint=tool.reads,
        destructive_hint=tool.ends,
        idempotent_hint=tool.reads or tool.name == "stop",
        open_world_hint=tool.name in ("spawn", "ask", "send"),
    )
    return types.Tool(
        name=tool.name,
        title=tool.title,
        description=tool.description,
        input_schema=schema.of(tool.takes),
        output_schema=schema.of(tool.gives),
        annotations=hints,
    )


def _refusal(error: AishError) -> types.CallToolResult:
    """What a model can read and act on, where an error of the protocol would be the program's business."""
    return types.CallToolResult(content=[types.TextContent(text=refusal.told(error))], is_error=True)
