"""From a name to a server that is ready: waits for one that loads, has a stored one started, tells why it waits."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from aish.errors import NotFoundError, UnavailableError, UpstreamError
from aish.model import state
from aish.supervisor.gateway.bell import Bell
from aish.supervisor.gateway.breaker import CLOSED
from aish.supervisor.gateway.dialects.openai import STORED, Listed
from aish.supervisor.gateway.meter import Live
from aish.supervisor.gateway.rests import Rests
from aish.supervisor.gateway.routes import (
    DEFAULT,
    Directory,
    Running,
    Server,
    Stored,
    Unknown,
    choose,
    paused,
    same_name,
)
from aish.wire.link import ServeFailed

READY_S: Final = 600.0
STARTING_S: Final = 15.0
"""How long it surprises nobody that a server does not answer yet."""
MOST_TOLD: Final = 8
"""So many names stand in an error, of those that there are."""
FIRST_WORD_S: Final = 5.0
"""How long a request waits for the daemon's very first word about what models there are."""


_Seen = dict[str, int]
"""Probes of a server, by its id, that were over when the request came."""


@dataclass(slots=True, frozen=True)
class _Failed:
    serial: int
    message: str
    hint: str | None


class Models:
    """`need` asks the daemon for a stored model: (model, asked by); `doubt` has a server probed at once."""

    def __init__(
        self,
        directory: Directory,
        bell: Bell,
        need: Callable[[str, str | None], None],
        doubt: Callable[[Server], None],
        rests: Rests,
        *,
        ready_s: float = READY_S,
    ) -> None:
        self._directory = directory
        self._bell = bell
        self._need = need
        self._doubt = doubt
        self._rests = rests
        self._ready_s = ready_s
        self._waiting: Counter[str] = Counter()
        self._asked: dict[str, str] = {}
        self._failed: dict[str, _Failed] = {}
        self._serial = 0

    async def ready(
        self,
        asked: str,
        account: str,
        live: Live,
        alive: Callable[[], object],
        *,
        embedding: bool = False,
        patient: bool = True,
        awake: bool = True,
        fits: Callable[[Server], bool] | None = None,
    ) -> Server:
        """A ready server for the model that `asked` means; waits for it up to a deadline.

        `alive` is called after every change and may raise to end the wait. Not `patient`: only one that is loading is
        waited for. Not `awake`: one that rests will do, for a question that is none for the model. `fits`: only those
        of which it is true.

        Raises NotFoundError for a name that nobody knows, UnavailableError when the model cannot be had,
        UpstreamError when its server is none, RestingError where all that are ready rest.
        """
        found = self._directory.find(asked, embedding=embedding)
        if isinstance(found, Running) and (server := self._choose(_those(found.servers, fits), awake=awake)):
            return server
        began_s = asyncio.get_running_loop().time()
        deadline_s = began_s + self._ready_s
        while self._directory.epoch is None and await self._bell.wait_until(began_s + FIRST_WORD_S):
            pass
        found = self._directory.find(asked, embedding=embedding)
        if isinstance(found, Unknown):
            raise _not_found(found)
        self._waiting[found.name] += 1
        try:
            return await self._wait(
                found,
                asked,
                account,
                live,
                alive,
                deadline_s,
                embedding=embedding,
                patient=patient,
                awake=awake,
                fits=fits,
            )
        finally:
            live.note = ""
            self._waiting[found.name] -= 1
            if not self._waiting[found.name]:
                del self._waiting[found.name]
                self._asked.pop(found.name, None)

    async def _wait(
        self,
        found: Running | Stored,
        asked: str,
        account: str,
        live: Live,
        alive: Callable[[], object],
        deadline_s: float,
        *,
        embedding: bool,
        patient: bool,
        awake: bool,
        fits: Callable[[Server], bool] | None,
    ) -> Server:
        name, since, seen = found.name, self._serial, _Seen()
        reason, loading = "", False
        while True:
            now = self._directory.find(asked, embedding=embedding)
            match now:
                case Running(_, every) if servers := _those(every, fits):
                    server = self._choose(servers, awake=awake)
                    if server is not None:
                        return server
                    self._asked.pop(name, None)
                    if self._paused(servers):
                        await self._until_continued(servers, live, alive)
                        deadline_s = asyncio.get_running_loop().time() + self._ready_s
                        continue
                    if patient:
                        self._give_up_if_hopeless(servers, seen)
                    else:
                        _give_up_if_vain(servers)
                    reason, loading = servers[0].text, all(server.ready == state.NO for server in servers)
                    live.why, live.note = f"waits for {name} to get ready", _note(servers[0])
                case Stored() if not loading:
                    self._ask(name, account)
                    live.why = f"waits for {name} to start"
                case Running() | Stored() | Unknown():  # another try would end as this one did
                    raise UnavailableError(f"the model {name} ended before it was ready", hint=f"aish logs {name}")
            if not await self._bell.wait_until(deadline_s):
                raise UnavailableError(
                    f"the model {name} did not get ready within {self._ready_s:g} s"
                    + (f": {reason}" if reason else ""),
                    hint=f"aish logs {name}",
                )
            alive()
            failed = self._failed.get(name)
            if failed is not None and failed.serial > since:
                raise UnavailableError(f"the model {name} cannot be started: {failed.message}", hint=failed.hint)

    def open(
        self, asked: str, *, embedding: bool = False, fits: Callable[[Server], bool] | None = None
    ) -> tuple[Server, ...]:
        """The servers of that model which can be asked now: ready, paused by nobody, and at no rest. `fits`: only
        those of which it is true."""
        found = self._directory.find(asked, embedding=embedding)
        if not isinstance(found, Running):
            return ()
        for server in found.servers:
            if not self._is_open(server, fits):
                return tuple([server for server in found.servers if self._is_open(server, fits)])
        return found.servers

    def _is_open(self, server: Server, fits: Callable[[Server], bool] | None) -> bool:
        return (
            server.ready == state.YES
            and not self._directory.held(server.id)
            and (server.breaker is CLOSED or self._rests.admits(server))
            and (fits is None or fits(server))
        )

    def of(self, asked: str, *, embedding: bool = False) -> tuple[Server, ...]:
        """The servers of a model, ready or not."""
        found = self._directory.find(asked, embedding=embedding)
        return found.servers if isinstance(found, Running) else ()

    def answers(self, asked: str, *, embedding: bool = False) -> bool:
        """Whether one of them is ready, as the probes say."""
        return any(server.ready == state.YES for server in self.of(asked, embedding=embedding))

    def _choose(self, servers: Sequence[Server], *, awake: bool) -> Server | None:
        """Raises RestingError where there are ready ones, and all of them rest."""
        ready = [s for s in servers if s.ready == state.YES and not self._directory.held(s.id)]
        found = [server for server in ready if self._admits(server)] if awake else ready
        if ready and not found:
            raise self._rests.error(ready[0].name, ready)
        return choose(found)

    def _admits(self, server: Server) -> bool:
        return server.breaker is CLOSED or self._rests.admits(server)

    def _paused(self, servers: Sequence[Server]) -> bool:
        return all(self._directory.held(server.id) for server in servers)

    async def _until_continued(self, servers: Sequence[Server], live: Live, alive: Callable[[], object]) -> None:
        """A person may leave a model paused for as long as he likes: no deadline."""
        live.why, live.note = f"{servers[0].name} is paused", paused(servers[0].name)
        while self._paused(servers):
            await self._bell.wait_until(None)
            alive()
        live.note = ""

    def _give_up_if_hopeless(self, servers: Sequence[Server], seen: _Seen) -> None:
        """Raises what is wrong with them, once each has been probed since the request came: who just mended a key
        file must not be told of the old one."""
        for server in servers:
            if seen.setdefault(server.id, server.looked) == server.looked and server.hopeless is not None:
                self._doubt(server)
        fresh = [server.hopeless for server in servers if seen[server.id] != server.looked]
        hopeless = [error for error in fresh if error is not None]
        if len(hopeless) == len(servers):
            raise hopeless[0]

    def _ask(self, name: str, account: str) -> None:
        if name not in self._asked:
            self._asked[name] = account
            self._need(name, account)

    def ask_again(self) -> None:
        """There is a new daemon: it does not know what was asked of the old one."""
        for name, account in self._asked.items():
            self._need(name, account)

    def failed(self, message: ServeFailed) -> None:
        """The daemon cannot start it: everybody who waits for it gets to know."""
        self._serial += 1
        for name in list(self._waiting):
            if same_name(name, message.model):
                self._failed[name] = _Failed(self._serial, message.message, message.hint)
                self._asked.pop(name, None)
        self._bell.ring()

    # --- listing ------------------------------------------------------------------------------------------------

    def listed(self) -> list[Listed]:
        """Everything that can be asked for; `default` first."""
        directory = self._directory
        found = [self._listed(name) for name in directory.names()]
        if directory.default_model:
            found.insert(0, self._listed(DEFAULT))
        return found

    def one(self, asked: str) -> Listed:
        """One of them, by any of its names. Raises NotFoundError."""
        found = self._directory.find(asked)
        if isinstance(found, Unknown):
            raise _not_found(found)
        return self._listed(asked)

    def _listed(self, name: str) -> Listed:
        match self._directory.find(name):
            case Running(_, servers):
                server = choose(servers) or servers[0]
                return Listed(name, server.created_s, _state(server), server.context)
            case Stored():
                return Listed(name, 0, STORED)
            case Unknown():
                return Listed(name, 0, "unknown")


def _those(servers: tuple[Server, ...], fits: Callable[[Server], bool] | None) -> tuple[Server, ...]:
    return servers if fits is None else tuple(filter(fits, servers))


def _give_up_if_vain(servers: Sequence[Server]) -> None:
    """Raises what is wrong with them, where none of them is loading: there is somebody else to ask. No probe is made
    for that: every request would make one."""
    if any(server.ready == state.NO and server.hopeless is None for server in servers):
        return
    hopeless = next((server.hopeless for server in servers if server.hopeless is not None), None)
    raise hopeless or UpstreamError(f"{servers[0].name} does not answer: {servers[0].text}")


def _note(server: Server) -> str:
    """Why it takes long, for the person who waits; nothing while a server just starts."""
    if not server.text or (server.starting and time.time() - server.created_s < STARTING_S):
        return ""
    return f"waiting for {server.name}: {server.text}"


def _state(server: Server) -> str:
    match server.ready:
        case "yes":
            return "ready"
        case "no":
            return "loading"
        case "unknown":
            return state.UNKNOWN


def _not_found(found: Unknown) -> NotFoundError:
    name = found.name or DEFAULT
    if found.near:
        hint = f"did you mean {found.near}?"
    elif found.known:
        hint = "there are: " + ", ".join(found.known[:MOST_TOLD]) + (", …" if len(found.known) > MOST_TOLD else "")
    else:
        hint = "no model runs or is stored: aish model pull smollm2"
    return NotFoundError(f"The model '{name}' does not exist", hint=hint)
