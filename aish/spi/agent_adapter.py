"""How aish runs an agent program that others wrote. Entry point group `aish.agent_adapter`: a callable that returns
an AgentAdapter; the entry point's name is the adapter's, and so is `@name` where no agent file has it.

    headless   the adapter's `run` is one turn: it starts the program by its host, reads what that writes in the
               program's own language, and tells the host text, progress, activity and questions
    attached   the program has the terminal and the host is gone: `attached` only says with which words and
               variables it finds the gateway

An adapter runs in a process of its own (aish.agents.host), the leader of the agent's tree; never in the daemon. It is
imported to look up `@name`: what is heavy is imported in `run`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, Protocol, runtime_checkable

from aish.errors import UpstreamError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from aish.spi.acting import Acting
    from aish.wire.question import AnswerPart, OptionPart

GROUP: Final = "aish.agent_adapter"

Permissions = Literal["ask", "allow", "deny"]
"""What becomes of a permission that the program asks for: a person is asked, or it is answered so."""
Login = Literal["gateway", "own", "client"]
"""With whose login models are asked: by the process's own key and the models of the gateway, or by the login that the
program has itself, as its adapter's `own_login` says (a subscription) or through the gateway, untouched, with the
process's key beside it (`client`): its model is one with `--login client` there."""
Meter = Literal["metered", "observed", "none"]
"""How the use of a program's own login is known: its requests pass the gateway, the logs of its sessions are read
after the fact, or not at all."""
METERED: Final = "metered"


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """Where models are asked. `base_url` is OpenAI's, with /v1; `origin` is the same without it, as Anthropic's and
    Google's clients want it. `key` is the process's own."""

    base_url: str
    key: str

    @property
    def origin(self) -> str:
        return self.base_url.removesuffix("/").removesuffix("/v1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One turn. `prompt` is all of what is asked, `instructions` those of the agent file; `model` a name at the
    gateway; None with its own login: the program's choice. `session`: goes on with that one, in the program's own
    word for it. `arguments` are further words for the program; `program` is its path, None: as PATH has it."""

    prompt: str
    instructions: str = ""
    model: str | None = None
    login: Login = "gateway"
    permissions: Permissions = "ask"
    session: str | None = None
    program: str | None = None
    arguments: tuple[str, ...] = ()
    cwd: str = "."
    acting: Acting | None = None
    """Of the built-in agent alone, but for its `schema`: that one has by whichever adapter answers by one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What to start. `environ` changes the host's own: None takes a variable away. `cwd` None: the agent's folder."""

    argv: tuple[str, ...]
    environ: Mapping[str, str | None] = field(default_factory=dict)
    cwd: str | None = None


class Lines(Protocol):
    """The standard streams of something that was started."""

    async def send(self, line: str) -> None:
        """A line to its stdin. Raises UpstreamError where it does not read any more."""
        ...

    def lines(self) -> AsyncIterator[str]:
        """Lines of its stdout to its end; longer ones than 16 MiB are cut. What is not UTF-8 is replaced."""
        ...

    async def close(self) -> None:
        """End its stdin."""
        ...


class Program(Lines, Protocol):
    """A started command. Its stderr is the host's."""

    async def ended(self) -> int:
        """Its exit status as shells have it, 128 + n for a signal, once it has ended."""
        ...

    def signal(self, number: int) -> None: ...


class Entry(NamedTuple):
    """What is started in place of a command, so that it is in the sandbox. `fds` are passed on by these numbers, and
    closed by who starts it."""

    argv: Sequence[str]
    environ: Mapping[str, str]
    fds: Sequence[int] = ()


class Confinement(Protocol):
    """The agent's sandbox, for an adapter that acts for a model in the host's own process, which is outside of it.
    Paths are absolute and without links."""

    @property
    def offline(self) -> bool:
        """No host may be asked."""
        ...

    @property
    def proxy(self) -> str | None:
        """The URL of what other hosts are asked by, and by nothing else: it says which may be. None: nothing is in
        between."""
        ...

    @property
    def stays(self) -> str | None:
        """A folder that it writes to and finds again in its next turn, unlike its home; others do not see it. For
        conversations, where what its program has for them is not in the sandbox. None: nobody keeps anything."""
        ...

    def enter(self, argv: Sequence[str], environ: Mapping[str, str], cwd: str, *, looking: bool = False) -> Entry:
        """A command in it; `looking`: one that writes nothing and needs no network has neither. Raises NotFoundError
        where there is no such program, UnavailableError."""
        ...

    def reads(self, path: str) -> bool: ...

    def writes(self, path: str) -> bool: ...


class Host(Protocol):
    """What an adapter's turn has of aish."""

    gateway: Gateway

    @property
    def confinement(self) -> Confinement | None:
        """None: the agent has no sandbox."""
        ...

    folder: str
    """Private, empty, and gone when the turn is over: for settings files and the like."""
    conversation: bytes | None
    """What `keep` was given last, or was given where the agent has gone back to, or begun from; None: a new one."""
    midway: bytes | None
    """What `keep_midway` was given last in this very turn, which then did not come to its end: it goes on from there.
    None: it begins."""
    keeps_midway: bool
    """Whether `keep_midway` is of use: the agent may be parked."""

    async def start(self, command: Command) -> Program:
        """In the agent's sandbox, if it has one: what an adapter starts by itself is not. Raises NotFoundError where
        there is no such program, with the hint of `AgentAdapter.missing`."""
        ...

    async def helper(self, name: str, command: Command) -> Lines:
        """A supervised process that belongs to this one: below it in `ps`, with a log of its own for its stderr, in
        its sandbox, and gone with it, whoever dies first. `command.environ` is all of its environment. It ends with
        the turn. Raises AishError where it cannot be started."""
        ...

    def text(self, piece: str) -> None:
        """A piece of the final answer, for stdout. Raises what ends the turn where nobody reads it any more."""
        ...

    def progress(self, line: str) -> None:
        """A line for a person who watches, on stderr."""
        ...

    def activity(self, word: str | None, doing: str | None = None) -> None:
        """What it is doing: one of aish.model.state.TOLD, and a few words about it ("bash: pytest -x")."""
        ...

    async def ask(
        self,
        title: str,
        *,
        kind: str = "permission",
        body: str = "",
        form: str = "text",
        options: Sequence[OptionPart] = (),
        words: bool = False,
        token: str | None = None,
    ) -> AnswerPart:
        """Ask the person, or answer as the task's `permissions` say. See aish.wire.question. Cancelled: withdrawn."""
        ...

    def session(self, id: str) -> None:
        """What the program calls this conversation: kept, so that it can be gone on with."""
        ...

    def keep(self, conversation: bytes) -> None:
        """The conversation as it is after this turn: `conversation` of the next one. For an adapter that has it in
        its own hands, or whose program can branch one: then it is a place in it (aish.agents.host.bookmark), to be
        branched by a turn without `Task.session`. It says so by `keeps_conversation`, and is forked and rewound by
        that."""
        ...

    def keep_midway(self, conversation: bytes) -> None:
        """The conversation in the middle of the turn, where everything that was begun has its result. Raises
        StorageError, LimitError."""
        ...

    def record(self, kind: str, **detail: str | float | bool | None) -> None:
        """An entry of the transcript: "tool", "result", "thought" …; text and questions are entered by themselves."""
        ...


class ProgramError(UpstreamError):
    """The program has failed; `ended` is its own exit status, 128 + n for a signal, and the agent's, too."""

    def __init__(self, message: str, *, ended: int, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.ended = ended


@runtime_checkable
class AgentAdapter(Protocol):
    """May have `own_keys`, too: variables with provider keys, else withheld, that its own login may be in; and
    `keeps_sessions`, False where it cannot go on with a conversation by its session; and `keeps_conversation`, True
    where it uses `Host.keep`; and `keeps_newest_only`, True where what it has kept is of no use any more as soon as
    its program goes on with the same session; and `passes_login`, True where it knows the login `client`; and
    `answers_by_schema`, True where its answer is a JSON object by the schema that `Task.acting` has."""

    name: str
    program: str
    """The program as people type it, such as "claude"."""
    own_login: Meter
    """How its use by its own login is known."""
    confined: bool
    """All that a model makes it do stays in the agent's sandbox: by `Host.start` and `Host.helper`, and by
    `Host.confinement` what it does itself. False: such an agent is refused a sandbox, which would not hold it."""

    def missing(self) -> str | None:
        """What has to be installed first, as a sentence with the command; None when it can run."""
        ...

    def attached(self, task: Task, gateway: Gateway, folder: str) -> Command:
        """The program on a terminal, with the task's model and prompt (may be empty). `folder` is private and stays
        as long as the process does."""
        ...

    async def run(self, task: Task, host: Host) -> None:
        """One turn without a terminal, to its end. A cancelled one (asyncio.CancelledError) lets the program know if
        it can, and ends it. Raises AishError: RefusedError where a permission was denied and nothing was done for it,
        BudgetError for a budget, LimitError for another bound, UpstreamError for what the program or its model
        reports, ProgramError for its status."""
        ...
