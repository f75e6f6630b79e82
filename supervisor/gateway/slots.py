"""KV slots of agents, kept in files after a turn and put back before one: see docs/adr/0028-kv-slots.md.

    answered   the last chat of each agent is remembered
    keep       a slot with as many tokens -> saved -> is it this conversation? -> beside the agent's checkpoints
    use        noted -> before the next chat: has its slot it still? -> a link to the file -> a slot gets it

The server decides at each request which slot a conversation gets, and tells nobody: so what it saves is looked at.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import time
from collections import OrderedDict
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

import msgspec

from aish.agents import keeping
from aish.config import slots
from aish.errors import AishError, ConflictError, InputError, LimitError, NotFoundError, StorageError
from aish.model import kind
from aish.supervisor.gateway import slot_file
from aish.supervisor.gateway.dialects import openai
from aish.supervisor.gateway.log import log
from aish.wire.part import SlotPart
from aish.wire.reply import SlotKept

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aish.supervisor.gateway.dialects.crossing import Crossing
    from aish.supervisor.gateway.meter import Used
    from aish.supervisor.gateway.routes import Directory, Server
    from aish.supervisor.gateway.upstream import Upstreams
    from aish.wire.message import SlotKeep, SlotUse

KEEP_S: Final = 3.0
"""Whoever keeps one has had a turn, whose answer waits. A server that reads a long prompt answers between two batches
of it."""
PUT_BACK_S: Final = 10.0
"""What its chat would wait for, too."""
BODY_MOST_BYTES: Final = 1 << 20
MOST_ASKED: Final = 64
"""Agents whose last chat is remembered."""
FREE_LEAST_BYTES: Final = 1 << 30
"""On the disk, besides the file."""
DRAFT_S: Final = 600.0
"""An older draft was left by a kill."""


@dataclass(slots=True)
class _Asked:
    """The last chat of an agent. `talk`: how long its messages are, and their digest. `tokens`: that a slot has of it
    and its answer, None: the server did not tell. `unlike`: why no slot has it as a whole; '' where one has.
    `strayed`: one in this turn did not go on with the one before."""

    server: Server
    body: bytes
    talk: tuple[int, bytes]
    tokens: int | None
    unlike: str
    strayed: bool


@dataclass(slots=True)
class _Wanted:
    """`server`: at which it was seen to."""

    part: SlotPart
    server: Server | None = None


@dataclass(slots=True)
class _Home:
    """In which slot a conversation was when it was kept or put back."""

    server: Server
    place: int
    part: SlotPart


class _Slot(msgspec.Struct):
    id: int
    is_processing: bool
    n_prompt_tokens: int = 0


class Slots:
    """One per gateway. `state_folder`: where agents have their folders."""

    def __init__(self, state_folder: str, directory: Directory, upstreams: Upstreams) -> None:
        self._state, self._directory, self._upstreams = state_folder, directory, upstreams
        self._asked: OrderedDict[str, _Asked] = OrderedDict()
        self._wanted: dict[str, _Wanted] = {}
        self._homes: dict[str, _Home] = {}
        """By process, the longest ago first."""
        self._told: dict[str, str] = {}
        self._locks: dict[Server, asyncio.Lock] = {}
        self._token_bytes: dict[str | None, float] = {}
        """By model: what its files have for a token."""

    def forget(self, process: str) -> None:
        """It has ended."""
        for each in (self._asked, self._wanted, self._homes, self._told):
            each.pop(process, None)

    def gone(self, server: Server) -> None:
        self._locks.pop(server, None)
        self._homes = {process: home for process, home in self._homes.items() if home.server is not server}

    # --- requests -----------------------------------------------------------------------------------------------

    def answered(self, process: str, server: Server, crossing: Crossing, body: bytes, used: Used | None) -> None:
        """A request of that process was answered to its end."""
        member, call = self._directory.members.get(process), crossing.call
        if member is None or member.kind != kind.AGENT or call.endpoint == openai.EMBEDDINGS:
            return
        unlike = _unlike(server, crossing, body)
        messages = memoryview(b"" if unlike else call.fields.get("messages", b""))[:-1]  # others may follow
        before = self._asked.pop(process, None)
        strayed = before is not None and (before.strayed or before.talk != _talk(messages[: before.talk[0]]))
        told = used is not None and not used.estimated
        tokens = used.input + used.output - 1 if used is not None and told else None  # the last one is not read yet
        self._asked[process] = _Asked(server, b"" if unlike else body, _talk(messages), tokens, unlike, strayed)
        if len(self._asked) > MOST_ASKED:
            self._asked.popitem(last=False)

    def wants(self, process: str) -> bool:
        """Whether there is something to do before a request of that process is sent."""
        return process in self._wanted

    async def before(self, process: str, server: Server, path: str) -> None:
        """A request of that process is about to be sent there. What goes wrong makes it slower, and is told later."""
        wanted = self._wanted.get(process)
        if wanted is None or wanted.server is server or path == openai.EMBEDDINGS:
            return
        wanted.server = server
        try:
            _check(wanted.part, server)
            async with asyncio.timeout(PUT_BACK_S), self._lock(server):
                await self._put_back(process, server, wanted.part)
        except (AishError, OSError) as error:
            self._told[process] = f"{_words(error)}: the conversation was read once more"
            log("slots", f"{process} at {server.name}: {self._told[process]}")

    # --- what hosts ask -----------------------------------------------------------------------------------------

    def use(self, question: SlotUse) -> None:
        """Raises NotFoundError."""
        part = question.slot
        if not slots.there(self._folder(question.target), part.sha256, part.bytes):
            raise NotFoundError("the file of its KV slot is gone, or is not whole")
        self._wanted[question.target] = _Wanted(part)

    async def keep(self, question: SlotKeep) -> SlotKept:
        process = question.target
        self._wanted.pop(process, None)
        told = self._told.pop(process, "")
        asked = self._asked.pop(process, None)
        try:
            async with asyncio.timeout(KEEP_S):
                return SlotKept(slot=await self._keep(process, asked, alone=question.alone), told=told)
        except (AishError, OSError) as error:
            return SlotKept(why=_words(error), told=told)

    # --- keeping ------------------------------------------------------------------------------------------------

    async def _keep(self, process: str, asked: _Asked | None, *, alone: bool) -> SlotPart:
        """Raises AishError, OSError, TimeoutError."""
        if asked is None:
            raise NotFoundError("the gateway knows of no chat of it in this turn: it may have begun anew")
        if asked.unlike or asked.tokens is None:
            raise ConflictError(asked.unlike or "its model's server did not tell how much it has read")
        if asked.strayed and alone:
            raise ConflictError("its program had several conversations in this turn: which goes on is not known")
        server = asked.server
        if self._directory.servers.get(server.id) is not server:
            raise ConflictError("its model's server has ended since")
        self._check_room(server, asked.tokens)
        async with self._lock(server):
            prompt = await self._upstreams.prompt_tokens(server, asked.body)
            places = [
                slot.id
                for slot in await self._slots(server)
                if slot.n_prompt_tokens == asked.tokens and not slot.is_processing
            ]
            for place in places:
                with contextlib.suppress(slot_file.OtherConversationError):
                    part = await self._saved(process, server, place, prompt, asked.tokens)
                    self._is_at(process, _Home(server, place, part))
                    return part
        raise slot_file.OtherConversationError

    async def _saved(self, process: str, server: Server, place: int, prompt: list[int], tokens: int) -> SlotPart:
        """Raises OtherConversationError, and as `_keep`."""
        folder = self._folder(process)
        with self._draft(process) as draft:
            await self._upstreams.slot(server, place, "save", os.path.basename(draft))
            found = await asyncio.to_thread(slot_file.look, draft, prompt, tokens)
            self._token_bytes[server.digest] = found.bytes / tokens
            if found.bytes > slot_file.FILE_MOST_BYTES:
                raise _too_large(found.bytes)
            await asyncio.to_thread(_store, draft, folder, found.sha256)
        await asyncio.to_thread(self._prune)
        return SlotPart(
            sha256=found.sha256,
            bytes=found.bytes,
            tokens=tokens,
            digest=server.digest or "",
            context_tokens=server.context_tokens or 0,
            build=server.saves or "",
        )

    def _prune(self) -> None:
        slot_file.prune([slots.kept(folder) for folder in keeping.folders(self._state)])

    def _check_room(self, server: Server, tokens: int) -> None:
        """Raises LimitError, OSError."""
        likely_bytes = tokens * self._token_bytes.get(server.digest, 0.0)
        if likely_bytes > slot_file.FILE_MOST_BYTES:
            raise _too_large(likely_bytes)
        disk = os.statvfs(self._state)
        if disk.f_bavail * disk.f_frsize < likely_bytes + FREE_LEAST_BYTES:
            raise LimitError("the disk has too little room for the file of its KV slot")

    # --- putting back -------------------------------------------------------------------------------------------

    async def _put_back(self, process: str, server: Server, part: SlotPart) -> None:
        """Raises AishError, OSError, TimeoutError."""
        there = await self._slots(server)
        home = self._homes.get(process)
        if home is not None and (home.server, home.part) == (server, part) and _has(there, home):
            return
        path = slots.path(self._folder(process), part.sha256)
        if await asyncio.to_thread(slot_file.digest, path) != part.sha256:
            raise InputError("the file of its KV slot is damaged")
        place = self._least_missed(process, server, there)
        with self._draft(process) as draft:
            os.link(path, draft)
            await self._upstreams.slot(server, place, "restore", os.path.basename(draft))
        self._is_at(process, _Home(server, place, part))

    def _least_missed(self, process: str, server: Server, there: list[_Slot]) -> int:
        """Its own, one that no agent is known to have, or that of who has had it longest. Raises ConflictError."""
        order = [home.place for home in self._homes.values() if home.server is server]
        home = self._homes.get(process)
        own = home.place if home is not None and home.server is server else None
        idle = [slot.id for slot in there if not slot.is_processing]
        if not idle:
            raise ConflictError("all slots of its model's server are at work")
        return min(idle, key=lambda place: (place != own, order.index(place) if place in order else -1))

    def _is_at(self, process: str, at: _Home) -> None:
        """Who was there is there no more."""
        gone = [who for who, home in self._homes.items() if home.server is at.server and home.place == at.place]
        for who in (process, *gone):
            self._homes.pop(who, None)
        self._homes[process] = at

    # --- servers and files --------------------------------------------------------------------------------------

    async def _slots(self, server: Server) -> list[_Slot]:
        """Raises UpstreamError, InputError."""
        try:
            return msgspec.convert(await self._upstreams.ask(server, "/slots", root=True), list[_Slot])
        except msgspec.ValidationError as error:
            raise InputError(f"its model's server tells of its slots what aish does not know: {error}") from error

    def _lock(self, server: Server) -> asyncio.Lock:
        return self._locks.setdefault(server, asyncio.Lock())

    def _folder(self, process: str) -> str:
        return keeping.folder(self._state, process, self._directory.epoch or 0)

    @contextlib.contextmanager
    def _draft(self, process: str) -> Iterator[str]:
        """A path where servers write and read; what is there goes afterwards. Raises OSError."""
        folder = slots.drafts(self._state)
        path = os.path.join(folder, f"{process}-{secrets.token_hex(8)}")
        try:
            yield path
        finally:
            for each in (path, *_left(folder)):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(each)


def _left(folder: str) -> Iterator[str]:
    """Drafts of gateways that were killed."""
    for name in os.listdir(folder):
        path = os.path.join(folder, name)
        with contextlib.suppress(FileNotFoundError):
            if os.stat(path).st_ctime < time.time() - DRAFT_S:  # the other time of a link is that of its file
                yield path


def _has(there: list[_Slot], home: _Home) -> bool:
    """Whether nobody else seems to have had that slot since."""
    return any(slot.id == home.place and slot.n_prompt_tokens == home.part.tokens for slot in there)


def _store(draft: str, folder: str, sha256: str) -> None:
    """Raises OSError, StorageError."""
    if not os.path.isdir(folder):
        raise StorageError("nothing is kept of that agent")
    os.chmod(draft, 0o600)
    os.makedirs(slots.kept(folder), mode=0o700, exist_ok=True)
    os.replace(draft, slots.path(folder, sha256))


def _unlike(server: Server, crossing: Crossing, body: bytes) -> str:
    call = crossing.call
    if server.saves is None:
        return f"the server of {server.name} has what it has read as long as it has room, and saves nothing of it"
    if crossing.path != openai.CHAT:
        return "its last request was no chat"
    if call.parts or call.copies > 1:
        return "its last request had images or sounds in it, or asked for several answers"
    return "its last request is too long to be remembered" if len(body) > BODY_MOST_BYTES else ""


def _talk(messages: memoryview) -> tuple[int, bytes]:
    return len(messages), blake2b(messages, digest_size=16).digest()


def _check(part: SlotPart, server: Server) -> None:
    """Raises ConflictError where a file does not fit."""
    if server.saves is None:
        raise ConflictError(f"the server of {server.name} takes no KV slots")
    if part.digest != server.digest:
        raise ConflictError(f"its KV slot is of another model than {server.name} is now")
    if part.context_tokens != server.context_tokens:
        raise ConflictError(f"its KV slot is of a context of {part.context_tokens:,} tokens")
    if part.build != server.saves:
        raise ConflictError(f"its KV slot is of another build of the server, {part.build}")


def _too_large(size_bytes: float) -> LimitError:
    return LimitError(f"the file of its KV slot has {size_bytes / 1e9:.1f} GB: more than is kept")


def _words(error: AishError | OSError) -> str:
    match error:
        case TimeoutError():
            return "its model's server is busy"
        case OSError():
            return f"the file of its KV slot: {error.strerror}"
        case _:
            return error.message
