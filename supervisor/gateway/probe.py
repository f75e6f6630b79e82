"""Whether a model server does its job: a real one-token answer decides, not a listing.

    starting   asked again and again, quickly; a server that is still loading answers 503 at once
    ready      left alone while its traffic succeeds; when idle, a local one is asked for /health now and then
    doubt      a request failed, or the idle check did: a real answer decides again; no answer makes it `unknown`

A probe's tokens are counted like everybody's: for the model's own process.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import msgspec

from aish.config.slots import SAVES
from aish.errors import AishError, InputError, StorageError, UpstreamError
from aish.model import state
from aish.model.dialect import ANTHROPIC, CLIENT, OPENAI
from aish.supervisor.gateway.dialects import openai
from aish.supervisor.gateway.dialects.anthropic import head, reply
from aish.supervisor.gateway.dialects.call import NEWER_LIMIT
from aish.supervisor.gateway.duties import Duties
from aish.supervisor.gateway.failure import KeyRefusedError, clause
from aish.supervisor.gateway.log import log
from aish.supervisor.gateway.meter import Used
from aish.supervisor.gateway.routes import LLAMACPP, Server
from aish.supervisor.gateway.upstream import NoServerError, Upstreams, read_bounded

FAST_S: Final = 0.06
FAST_FOR_S: Final = 60.0
SLOW_S: Final = 1.0
REMOTE_S: Final = (0.5, 30.0)  # first and longest pause between questions that may cost money
LOCAL_S: Final = 2.0  # the longest where waiting does not help: somebody mends a key, and looks on
IDLE_CHECK_S: Final = 15.0
# The first answer may include reading tens of gigabytes; a server that was ready answers sooner.
FIRST_ANSWER_S: Final = 600.0
ANSWER_S: Final = 60.0
MAX_PROBE_BYTES: Final = 4 << 20
_BODIES: Final[dict[str, dict[str, object]]] = {
    openai.CHAT: {"messages": [{"role": "user", "content": "hi"}]},
    openai.COMPLETIONS: {"prompt": "hi"},
    openai.EMBEDDINGS: {"input": "hi"},
    head.MESSAGES: {"messages": [{"role": "user", "content": "hi"}]},
}
_ENDPOINTS: Final = {OPENAI: openai.ENDPOINTS, ANTHROPIC: (head.MESSAGES,)}
_NOT_THIS_WAY: Final = (400, 404, 405, 422, 500, 501)
_PASSES: Final = (408, 409, 425, 429)
_BUSY: Final = (429, 529)
_UNREACHED: Final = "its server cannot be reached"
_NO_SUCH_PATH: Final = (404, 405)


@dataclass(slots=True, frozen=True)
class Verdict:
    """`ready` None: it answers, but not now (too many requests): what was known stays. `starting` and `hopeless`: see
    Server."""

    ready: bool | None
    text: str = ""
    starting: bool = False
    hopeless: AishError | None = None


@dataclass(slots=True)
class _Watch:
    task: asyncio.Task[None]
    doubt: asyncio.Event


class Probes:
    """Watches servers. `changed` is told after a server's readiness changed, with what it was; `used` of the tokens
    of a probe; `looked` is called after every probe."""

    def __init__(
        self,
        upstreams: Upstreams,
        duties: Duties,
        changed: Callable[[Server, state.Ready], None],
        used: Callable[[Server, str, Used], None],
        looked: Callable[[], None],
        *,
        idle_check_s: float = IDLE_CHECK_S,
    ) -> None:
        self._upstreams = upstreams
        self._duties = duties
        self._changed = changed
        self._used = used
        self._looked = looked
        self._idle_check_s = idle_check_s
        self._watches: dict[Server, _Watch] = {}

    def start(self, server: Server) -> None:
        doubt = asyncio.Event()
        task = self._duties.begin(self._watch(server, doubt), f"probe {server.id}")
        self._watches[server] = _Watch(task, doubt)

    def stop(self, server: Server) -> None:
        watch = self._watches.pop(server, None)
        if watch is not None:
            watch.task.cancel()

    async def close(self) -> None:
        tasks = [watch.task for watch in self._watches.values()]
        for server in list(self._watches):
            self.stop(server)
        await asyncio.gather(*tasks, return_exceptions=True)

    def doubt(self, server: Server) -> None:
        """A request to the server failed, or somebody waits for it: find out at once whether it answers."""
        watch = self._watches.get(server)
        if watch is not None:
            server.doubted = True
            watch.doubt.set()

    async def _watch(self, server: Server, doubt: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        pause_s = REMOTE_S[0]
        while True:
            doubt.clear()
            verdict = await self._probe(server)
            server.doubted = doubt.is_set()
            self._conclude(server, verdict)
            if server.ready == state.YES and verdict.ready is not False:
                await self._rest(server, doubt)
                began_s, pause_s = loop.time(), REMOTE_S[0]
            elif server.local and verdict.hopeless is None:
                await _pause(doubt, FAST_S if loop.time() - began_s < FAST_FOR_S else SLOW_S)
            else:
                await _pause(doubt, pause_s)
                pause_s = min(2 * pause_s, LOCAL_S if server.local else REMOTE_S[1])

    async def _rest(self, server: Server, doubt: asyncio.Event) -> None:
        """Until there is reason to doubt."""
        loop = asyncio.get_running_loop()
        while True:
            if await _pause(doubt, self._idle_check_s):
                return
            recent = server.answered_s is not None and loop.time() - server.answered_s < self._idle_check_s
            if recent or not server.local or server.in_flight:
                continue
            try:
                await self._upstreams.ask(
                    server, "/health" if server.engine == LLAMACPP else "/models", root=server.engine == LLAMACPP
                )
            except AishError as error:
                if not _answers(server, error):
                    return

    def _conclude(self, server: Server, verdict: Verdict) -> None:
        before = (server.ready, server.text)
        server.starting, server.hopeless = verdict.starting, verdict.hopeless
        server.looked += 1
        match verdict.ready:
            case True:
                server.ready, server.text = state.YES, verdict.text
            case None:
                server.text = verdict.text
            case False:
                known = server.ready != state.NO
                server.ready, server.text = (state.UNKNOWN if known else state.NO), verdict.text
        if (server.ready, server.text) != before:
            log(
                "probe",
                f"{server.name} ({server.id}): ready {server.ready}" + (f", {server.text}" * bool(server.text)),
            )
            self._changed(server, before[0])
        self._looked()

    # --- one probe ----------------------------------------------------------------------------------------------

    async def _probe(self, server: Server) -> Verdict:
        first: Verdict | None = None
        for endpoint in _ENDPOINTS[server.dialect]:
            try:
                async with asyncio.timeout(ANSWER_S if server.ready != state.NO else FIRST_ANSWER_S):
                    status, body = await self._answer(server, endpoint)
                    if status == 400 and _wants_newer_limit(server, body):
                        server.newer_limit = True
                        status, body = await self._answer(server, endpoint)
            except TimeoutError:
                return Verdict(False, "its server does not answer")
            except AishError as error:  # not reached, or its key file is not as it must be
                return _unanswered(server, error)
            if status == 200:
                return await self._accept(server, endpoint, body)
            verdict = _refusal(server, status, body)
            if first is None or (first.hopeless and not verdict.hopeless):
                first = verdict  # where one path is missing, the others tell more
            if status not in _NOT_THIS_WAY:
                break
        assert first is not None
        return first

    async def _answer(self, server: Server, endpoint: str) -> tuple[int, bytes]:
        """(status, body); an error without our key, for everybody is told its words."""
        await self._upstreams.prepare(server)
        scrub = self._upstreams.scrub(server)
        body: dict[str, object] = {"model": server.known_as(server.name), **_BODIES[endpoint]}
        if endpoint != openai.EMBEDDINGS:
            body[server.limit_field] = 1
        response = await self._upstreams.post(server, endpoint, msgspec.json.encode(body))
        try:
            data = await read_bounded(response, MAX_PROBE_BYTES, server)
            return response.status, data if response.status == 200 else scrub.error(data)
        finally:
            response.close()

    async def _accept(self, server: Server, endpoint: str, body: bytes) -> Verdict:
        try:
            used = _used(server, body)
        except InputError as error:
            return _no_model_server(server, "answers with HTML" if _html(body) else f"answers with a {error}")
        self._used(server, endpoint, used or Used(1, 1, estimated=True))
        await self._learn(server)
        return Verdict(True)

    async def _learn(self, server: Server) -> None:
        """What else the server tells about itself; all of it optional."""
        if server.local:
            try:
                if _learn_props(server, await self._upstreams.ask(server, "/props", root=True)):
                    if server.digest is not None:
                        server.saves = _saves(await self._upstreams.ask(server, "/models"))
                    return
            except UpstreamError:
                pass
        try:
            server.context_tokens = _listed_context(server, await self._upstreams.ask(server, "/models"))
        except UpstreamError:
            pass


def _answers(server: Server, error: AishError) -> bool:
    """Whether the error of an idle check says that the server is there: it has no such path, or none without a login.
    A real answer each time would cost a token, and keep it from sleeping."""
    status = error.status if isinstance(error, UpstreamError) else None
    return status in _NO_SUCH_PATH or (server.login == CLIENT and status in (401, 403))


def _used(server: Server, body: bytes) -> Used | None:
    """Raises InputError where it is no answer of a model server."""
    if server.dialect == OPENAI:
        return openai.read(body).used
    try:
        told = reply.usage(reply.message(body, server.name).usage)
    except UpstreamError as error:
        raise InputError(f"malformed reply: {error}") from None
    return told.used() if told is not None else None


async def _pause(doubt: asyncio.Event, pause_s: float) -> bool:
    """Wait so long, or until there is doubt: whether there is."""
    try:
        async with asyncio.timeout(pause_s):
            await doubt.wait()
    except TimeoutError:
        return False
    return True


def _unanswered(server: Server, error: AishError) -> Verdict:
    text = clause(str(error), server.name)
    if isinstance(error, StorageError):
        return Verdict(False, text, hopeless=error)
    if isinstance(error, NoServerError):
        return Verdict(False, text, hopeless=UpstreamError(str(error), hint=_hint(server)))
    if text.startswith(_UNREACHED):  # mostly it has not begun to listen: who waits for that knows no server yet
        text = "no answer" + text.removeprefix(_UNREACHED)
    return Verdict(False, text, starting=True)


def _no_model_server(server: Server, what: str) -> Verdict:
    text = f"is no model server: it {what}"
    error = UpstreamError(f"the server of {server.name} {text}", hint=_hint(server))
    return Verdict(False, f"its server {text}", hopeless=error)


def _hint(server: Server) -> str:
    return f"is its URL right? It ends where OpenAI's paths begin, mostly in /v1: aish inspect {server.name}"


def _html(body: bytes) -> bool:
    return body.lstrip()[:1] == b"<"


def refused(server: Server, status: int) -> KeyRefusedError:
    return KeyRefusedError(
        f"the server of {server.name} refuses aish's key ({status})",
        hint="check the key of that model, and where it comes from",
    )


def _refusal(server: Server, status: int, body: bytes) -> Verdict:
    if status in (401, 403) and server.login == CLIENT:
        return Verdict(True)  # it is there, and wants a login that is not ours to have
    if status in (401, 403):
        return Verdict(False, f"its server refuses the key ({status})", hopeless=refused(server, status))
    if status in _BUSY:
        return Verdict(None if server.ready == state.YES else True, f"its server answers {status}: it is busy")
    if not server.local and status in (400, 422):
        return Verdict(True)  # somebody with authority over that address reads requests; the probe does not suit it
    message = _message(body)
    what = f"answers {status}" + (f": {message}" if message else "")
    if status in _NO_SUCH_PATH and "model" in message.lower():  # it reads requests, and has no such model
        if server.serves_several:
            return Verdict(True)  # and nobody knows one that it has: it is there, and takes our key
        known = server.known_as(server.name)
        hint = f"it is asked for {known!r}: --upstream-name NAME says what it calls the model"
        return Verdict(False, what, hopeless=UpstreamError(f"the server of {server.name} {what}", hint=hint))
    if status < 400 or status in _NO_SUCH_PATH or (status < 500 and _html(body)):
        return _no_model_server(server, what)
    lasts = status < 500 and status not in _PASSES
    hopeless = UpstreamError(f"the server of {server.name} {what}") if lasts else None
    return Verdict(False, f"its server {what}", starting=status == 503, hopeless=hopeless)


def _wants_newer_limit(server: Server, body: bytes) -> bool:
    """Newer models of OpenAI's, maybe behind a proxy, refuse the older word and say so."""
    return server.limit_field != NEWER_LIMIT and NEWER_LIMIT.encode() in body


def _message(body: bytes) -> str:
    try:
        message = msgspec.json.decode(body)["error"]["message"]
    except (msgspec.DecodeError, KeyError, TypeError, UnicodeDecodeError, RecursionError):
        return ""
    return message[:120] if isinstance(message, str) else ""


def _learn_props(server: Server, props: object) -> bool:
    """llama.cpp's /props; False if it is something else."""
    if not isinstance(props, dict) or not isinstance(props.get("default_generation_settings"), dict):
        return False
    server.engine = LLAMACPP
    context = props["default_generation_settings"].get("n_ctx")
    server.context_tokens = context if isinstance(context, int) and context > 0 else None
    caps = props.get("chat_template_caps")
    server.drops_tools = isinstance(caps, dict) and caps.get("supports_tools") is False
    slots = props.get("total_slots")
    server.slots = slots if isinstance(slots, int) and slots > 0 else None
    return True


def _saves(listing: object) -> str | None:
    """Which build of a server that saves KV slots for us it is, from its listing of models."""
    try:
        tags = listing["data"][0]["tags"]  # type: ignore[index]
        found = [tag for tag in tags if isinstance(tag, str) and tag.startswith(SAVES)]
    except (KeyError, IndexError, TypeError):
        return None
    return found[0].removeprefix(SAVES) if found else None


def _listed_context(server: Server, listing: object) -> int | None:
    """The context size in a listing of models: every server has its own word for it."""
    entries = listing.get("data") if isinstance(listing, dict) else None
    if not isinstance(entries, list):
        return None
    named = [e for e in entries if isinstance(e, dict) and e.get("id") == server.upstream_name]
    for entry in named or entries[:1] if len(entries) == 1 or named else []:
        if not isinstance(entry, dict):
            continue
        meta = entry.get("meta")
        for value in (
            entry.get("max_model_len"),
            entry.get("context_length"),
            entry.get("context_window"),
            meta.get("n_ctx") if isinstance(meta, dict) else None,
        ):
            if isinstance(value, int) and not isinstance(value, bool) and value > 0:
                return value
    return None
