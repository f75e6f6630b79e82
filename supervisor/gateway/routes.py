"""Who there is and where models are, pure: the daemon's members, the names people ask for, the choice of a server.

asked            finds
"", "default"    the default model (for embeddings: the embedding model)
name, @name      the running model of that name, else a stored one that can be started
name:latest      the same as name, and the other way round
id, @id          a running model by its process id
upstream's name  a running model whose server itself uses that name
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Final

from aish.errors import AishError
from aish.model import kind as kinds
from aish.model import state
from aish.model.dialect import KEY, OPENAI
from aish.model.nearest import nearest
from aish.supervisor.gateway.breaker import CLOSED, Breaker
from aish.wire.link import Member, Sync
from aish.wire.spec import FailoverPart, LastWordPart, PricePart, SecretPart

DEFAULT: Final = "default"
LLAMACPP: Final = "llama.cpp"
MOST_FOUND: Final = 1024
_LATEST: Final = ":latest"


@dataclass(slots=True, eq=False)
class Server:
    """One model server that runs (or did a moment ago), with what its probe learned. None: not known."""

    id: str
    name: str
    url: str
    upstream_name: str | None = None
    key_file: str | None = None
    declared_context_tokens: int | None = None
    dialect: str = OPENAI
    """What it speaks: see aish.model.dialect."""
    price: PricePart | None = None
    key: SecretPart | None = None
    """Where its real key is fetched, if not from that file."""
    proxy: str | None = None
    ca_file: str | None = None
    """See aish.wire.spec.RoutePart."""
    login: str = KEY
    """With whose login it is asked: see aish.wire.spec.RoutePart."""
    fallback: tuple[str, ...] = ()
    retries: int = 0
    """See aish.wire.spec.FailoverPart."""
    ready: state.Ready = state.NO
    text: str = ""
    """Why it is not ready."""
    starting: bool = False
    """That is what servers say while they start."""
    hopeless: AishError | None = None
    """What waiting does not mend: its key is refused, or it is no model server."""
    doubted: bool = False
    """A request to it failed, and no probe has come to an end since."""
    breaker: Breaker = CLOSED
    """Whether it wants to be asked: see rests.py."""
    looked: int = 0
    """How often a probe has come to an end."""
    digest: str | None = None
    """Of a stored model: which one, with its options."""
    saves: str | None = None
    """Its build, where it saves KV slots in aish's folder, by its own word."""
    engine: str | None = None
    """LLAMACPP, or None for a server of which nothing special is known."""
    context_tokens: int | None = None
    drops_tools: bool = False
    """It takes tools, and says nothing of them to the model: its template has no place for them."""
    newer_limit: bool = False
    """It refused max_tokens, and named the newer word."""
    slots: int | None = None
    """Requests that it serves at a time, by its own word."""
    concurrent: int | None = None
    """Requests that it is sent at a time, by its user's word."""
    in_flight: int = 0
    sent: int = 0
    """Requests that it was given so far."""
    tokens_per_s: float | None = None
    """Output of its last request, per second."""
    answered_s: float | None = None
    """When it last answered a request, on the loop's clock."""
    created_s: float = 0.0

    @property
    def local(self) -> bool:
        """Whether it listens on this machine, so that asking it costs nothing."""
        return is_local(self.url)

    @property
    def serves_several(self) -> bool:
        """Whether the client says which of its models is meant."""
        return "*" in (self.upstream_name or "")

    @property
    def told_name(self) -> str | None:
        """The model's name that the server is to be told; None: what the client said stays."""
        return None if self.serves_several else self.upstream_name

    def known_as(self, asked: str) -> str:
        """The name by which the server knows what is asked for."""
        return asked if self.serves_several else self.upstream_name or self.name

    def shown_as(self, asked: str) -> str:
        """The name by which what is asked for is recorded: of several models behind one server each has its own."""
        return asked if self.serves_several and fnmatchcase(asked, self.upstream_name or "") else self.name

    @property
    def has_responses(self) -> bool:
        """Whether it gives responses itself: OpenAI's own servers, with what they store and their tools."""
        return self.dialect == OPENAI and self._of_openai

    @property
    def _of_openai(self) -> bool:
        return _is_of_openai(self.url)

    @property
    def limit_field(self) -> str:
        """Where a limit goes that the request does not have: OpenAI's own newer models refuse the old field."""
        return "max_completion_tokens" if self._of_openai or self.newer_limit else "max_tokens"

    @property
    def places(self) -> int | None:
        """Requests that it is sent at a time; None: as many as come."""
        return self.slots if self.concurrent is None else self.concurrent

    @property
    def has_place(self) -> bool:
        """Whether it can have one more now. While in doubt it gets none of those that wait for a place, or all of
        them would fail one after the other."""
        return self.places is None or (self.in_flight < self.places and not self.doubted)

    @property
    def context(self) -> int | None:
        return self.context_tokens if self.context_tokens is not None else self.declared_context_tokens


@lru_cache(maxsize=256)
def _is_of_openai(url: str) -> bool:
    return url.partition("://")[2].partition("/")[0].endswith((".openai.com", ".openai.azure.com"))


@lru_cache(maxsize=256)
def is_local(url: str) -> bool:
    if url.startswith("unix:"):
        return True
    host = url.partition("://")[2].partition("/")[0].rpartition("@")[2]
    return host.partition(":")[0] in ("127.0.0.1", "localhost") or host.startswith("[::1]")


def origin(url: str) -> str:
    """Scheme, host and port: whose server it is."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.partition('/')[0]}".lower()


@dataclass(slots=True, frozen=True)
class Running:
    """At least one server of that name runs, ready or not."""

    name: str
    servers: tuple[Server, ...]


@dataclass(slots=True, frozen=True)
class Stored:
    """It does not run, but could."""

    name: str


@dataclass(slots=True, frozen=True)
class Unknown:
    name: str
    near: str | None
    known: tuple[str, ...]


Found = Running | Stored | Unknown


@dataclass(slots=True, frozen=True)
class Changed:
    """What a Sync or Delta changed."""

    appeared: tuple[Server, ...] = ()
    """Servers to probe."""
    vanished: tuple[Server, ...] = ()
    ended: tuple[str, ...] = ()
    """Processes that are not alive any more, or gone."""


@dataclass(slots=True)
class Directory:
    """The gateway's copy of the process table; the daemon's word replaces it."""

    epoch: int | None = None
    members: dict[str, Member] = field(default_factory=dict)
    servers: dict[str, Server] = field(default_factory=dict)
    """By process id."""
    default_model: str = ""
    embedding_model: str = ""
    stored: tuple[str, ...] = ()
    _running: dict[tuple[str, bool], Running] = field(default_factory=dict)
    """What was found, until the table changes: every request asks several times."""

    def sync(self, message: Sync) -> Changed:
        """Take over the whole truth."""
        self._running.clear()
        fresh = message.epoch != self.epoch
        self.epoch = message.epoch
        self.default_model = message.default_model
        self.embedding_model = message.embedding_model
        self.stored = tuple(message.stored_models)
        wanted = {member.id: member for member in message.members}
        gone = [id for id in self.members if fresh or id not in wanted]
        appeared: list[Server] = []
        vanished: list[Server] = []
        ended: list[str] = []
        for id in gone:
            del self.members[id]
            ended.append(id)
            if id in self.servers:
                vanished.append(self.servers.pop(id))
        for member in wanted.values():
            change = self.put(member)
            appeared += change.appeared
            vanished += change.vanished
            ended += change.ended
        return Changed(tuple(appeared), tuple(vanished), tuple(ended))

    def put(self, member: Member) -> Changed:
        """Take over one member."""
        self._running.clear()
        before = self.members.get(member.id)
        self.members[member.id] = member
        ended = (member.id,) if not member.alive and (before is None or before.alive) else ()
        server = self.servers.get(member.id)
        wanted = _server(member)
        if wanted is None:
            vanished = () if server is None else (self.servers.pop(member.id),)
            return Changed((), vanished, ended)
        if server is not None and _same(server, wanted):
            server.concurrent = wanted.concurrent
            server.fallback, server.retries = wanted.fallback, wanted.retries
            return Changed((), (), ended)
        self.servers[member.id] = wanted
        return Changed((wanted,), () if server is None else (server,), ended)

    def find(self, asked: str, *, embedding: bool = False) -> Found:
        """The model that `asked` means."""
        known = self._running.get((asked, embedding))
        if known is not None:
            return known
        found = self._find(asked, embedding=embedding)
        if isinstance(found, Running):
            if len(self._running) >= MOST_FOUND:
                self._running.clear()
            self._running[asked, embedding] = found
        return found

    def _find(self, asked: str, *, embedding: bool) -> Found:
        name = asked.removeprefix("@")
        if name in ("", DEFAULT):
            name = (self.embedding_model if embedding else "") or self.default_model
        for matches in (
            lambda server: same_name(server.name, name) or server.id == name,
            lambda server: server.upstream_name == name,
            lambda server: server.serves_several and fnmatchcase(name, server.upstream_name or ""),
        ):
            servers = tuple(filter(matches, self.servers.values()))
            if servers:
                return Running(servers[0].name, servers)
        for stored in self.stored:
            if same_name(stored, name):
                return Stored(stored)
        known = self.names()
        return Unknown(name, nearest(name.partition(":")[0], known) or nearest(name, known), known)

    def names(self) -> tuple[str, ...]:
        """Every model that can be asked for, running ones first, each once."""
        return tuple(dict.fromkeys([server.name for server in self.servers.values()] + list(self.stored)))

    def nice(self, id: str) -> int:
        """The niceness of a process; 0 where it is not known any more."""
        member = self.members.get(id)
        return 0 if member is None else member.nice

    def last_word(self, id: str) -> LastWordPart | None:
        """What a process that is wrapped up may still ask."""
        member = self.members.get(id)
        return None if member is None else member.last_word

    def switched(self, id: str) -> str | None:
        """The model that answers a process, whatever it asks for."""
        member = self.members.get(id)
        return None if member is None else member.switched

    def held(self, id: str) -> bool:
        """Whether a person holds the process."""
        member = self.members.get(id)
        return member is not None and member.held


def choose(candidates: Sequence[Server]) -> Server | None:
    """The server to send a request to: a ready one, the least busy, of equals the one that had fewest so far; None if
    none is ready."""
    ready = [server for server in candidates if server.ready == state.YES]
    return min(ready, key=_load) if ready else None


def widest(servers: Sequence[Server]) -> Server:
    """The one of them to which the largest requests can go: what is enough for it is enough for all."""
    return servers[0] if len(servers) == 1 else max(servers, key=_width)


def _width(server: Server) -> tuple[bool, int]:
    context = server.context
    return server.engine != LLAMACPP or context is None, context or 0


def _load(server: Server) -> tuple[bool, int, int]:
    return not server.has_place, server.in_flight, server.sent


def paused(name: str) -> str:
    """What is told to who waits for a model that a person paused."""
    return f"{name} is paused: aish cont {name}"


def same_name(a: str, b: str) -> bool:
    """Whether two model names mean the same one: a missing tag is `latest`."""
    return a == b or a.removesuffix(_LATEST) == b.removesuffix(_LATEST)


def slots(servers: Iterable[Server]) -> dict[str, int | None]:
    """Ready models and how many requests each serves at a time."""
    return {server.id: server.places for server in servers if server.ready == state.YES}


def _server(member: Member) -> Server | None:
    if member.kind != kinds.MODEL or not member.alive or member.route is None:
        return None
    route, failover = member.route, member.failover or FailoverPart()
    return Server(
        member.id,
        member.name,
        route.url,
        route.upstream_name,
        route.key_file,
        route.context_tokens,
        route.dialect,
        route.price,
        route.key,
        route.proxy,
        route.ca_file,
        route.login,
        tuple(failover.fallback),
        failover.retries,
        digest=route.digest,
        concurrent=route.concurrent,
    )


def _same(server: Server, wanted: Server) -> bool:
    """Whether the server at hand is the wanted one, so that what was learned about it stays true."""
    names = (
        "name",
        "url",
        "dialect",
        "upstream_name",
        "digest",
        "key_file",
        "price",
        "key",
        "proxy",
        "ca_file",
        "login",
    )
    return all(getattr(server, name) == getattr(wanted, name) for name in names)
