"""A connection to the daemon: typed requests, typed replies, a new daemon found when the old one died."""

from __future__ import annotations

import os
import select
import socket
import sys
import time
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec

from aish import errors
from aish.client import finding, interrupts
from aish.config import folders
from aish.errors import (
    AishError,
    DisconnectedError,
    InputError,
    InternalError,
    UnavailableError,
    VersionError,
)
from aish.wire import address, codec
from aish.wire.frame import Channel
from aish.wire.message import (
    VERSION,
    Adopt,
    Amend,
    Answer,
    Ask,
    AwaitResponse,
    BudgetQuery,
    Conclude,
    Cont,
    Doctor,
    Down,
    Events,
    Gpus,
    Hello,
    History,
    Inspect,
    KeepText,
    KeyList,
    KeyRevoke,
    Label,
    Logs,
    MailQuery,
    Message,
    Pause,
    Questions,
    Receive,
    RequestsQuery,
    Respond,
    Send,
    Serve,
    Shutdown,
    Snapshot,
    Spawn,
    Stop,
    Switch,
    Tell,
    TextQuery,
    UsageQuery,
    Wait,
    WaitMany,
    Why,
    WindowList,
    WindowSet,
    WindowUnset,
    Withdraw,
    Wrapup,
)
from aish.wire.reply import Failure, Welcome

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import TracebackType
    from typing import Self

    from aish.wire.reply import Reply

R = TypeVar("R", bound=Message)

START_TIMEOUT_S: Final = 30.0
LIVED_S: Final = 1.0
"""A daemon that worked on a request for so long was one that works: with the next one the time starts anew."""
LOOK_S: Final = 0.5
"""One that runs has answered by then; else it is looked whether it does."""
ONCE_MORE: Final = "then try again"
OVERLOADED: Final = "it hangs, or the machine is overloaded: look at its process"
LATE_S: Final = 2.0
"""How much later than the end of a wait the daemon may tell it: then it is taken for one that does not answer."""
MOST_S: Final = 1e9
"""More than that is no time-out; what is no number of seconds is for the daemon to refuse."""
_REPEATABLE: Final = (
    *(
        Adopt,
        Doctor,
        Events,
        Gpus,
        History,
        Inspect,
        KeyList,
        Logs,
        RequestsQuery,
        Serve,
        Shutdown,
        Snapshot,
        Spawn,
        UsageQuery,
        Wait,
    ),
    *(Amend, BudgetQuery, Cont, Down, KeyRevoke, Label, Pause, Stop, Switch, WaitMany, Why, WindowList),
    *(KeepText, TextQuery, WindowSet, WindowUnset, Wrapup),
    *(Answer, Ask, Conclude, Questions, Tell, Withdraw),
    *(AwaitResponse, MailQuery, Receive, Respond, Send),
)
"""Requests that may be sent again to a new daemon: they ask, they carry a token, or twice is as good as once."""

_ERRORS: Final[dict[str, type[AishError]]] = {
    kind.code: kind
    for kind in map(errors.__dict__.__getitem__, errors.__all__)
    if kind is not errors.SourceError  # has a place; across the wire it arrives as a plain AishError
}


class Trial:
    """A request on its way, over as many daemons as it takes: what is sent, and whether again."""

    def __init__(self, message: Message) -> None:
        self._message = message
        self._begun_s = self._failing_s = self._sent_s = time.monotonic()
        self._left_s: float | None = None

    def body(self) -> bytes:
        """To be sent now; a wait that is asked for again is shorter by what has gone by. Raises InputError."""
        self._sent_s = time.monotonic()
        message = self._message
        if isinstance(message, Wait | WaitMany) and message.timeout_s is not None and 0 <= message.timeout_s < MOST_S:
            self._left_s = max(0.0, message.timeout_s - (self._sent_s - self._begun_s))
            message = msgspec.structs.replace(message, timeout_s=self._left_s)
        return codec.encode(message)

    def patience_s(self) -> float | None:
        """How long the answer may take; None: as long as it takes."""
        return None if self._left_s is None else self._left_s + LATE_S

    def silent(self) -> UnavailableError:
        """There was no answer for so long."""
        from aish.client import standstill

        late = f"the daemon does not answer: the time to wait was over {LATE_S:.0f} s ago"
        return UnavailableError(late, hint=standstill.why() or OVERLOADED)

    def unsent(self, error: DisconnectedError) -> None:
        """The daemon was gone before it had the whole request, so nothing of it has been done: it may be sent again,
        whatever it is. Raises `error` where no daemon lives long enough."""
        now_s = time.monotonic()
        if now_s - self._sent_s > LIVED_S:
            self._failing_s = now_s
        if now_s - self._failing_s > START_TIMEOUT_S:
            raise error

    def unanswered(self, error: DisconnectedError) -> None:
        """The daemon went away with the request. Raises UnavailableError where it may not be repeated, else as
        `unsent`."""
        if not isinstance(self._message, _REPEATABLE):
            raise UnavailableError(
                f"the daemon went away during {type(self._message).__name__.lower()}: it may have taken effect",
                hint="look with `aish ps`, then try again",
            ) from error
        self.unsent(error)


class Client:
    """One connection. Requests are answered in order; a stream (`stream`) takes the connection for itself.

    Not for several threads at once. All methods raise the errors of aish.errors that the daemon reports.
    """

    def __init__(self, channel: Channel, welcome: Welcome, program: str) -> None:
        self._channel = channel
        self._program = program
        self.welcome = welcome
        self.starts = True
        """Whether `reconnect` brings a daemon up where none runs any more."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def fileno(self) -> int:
        return self._channel.fileno()

    def close(self) -> None:
        self._channel.close()

    def request(self, message: Message, fds: Sequence[int] = ()) -> Reply:
        """Send and wait for the reply; see `request_with_fds`. Descriptors in the reply are closed."""
        reply, received = self.request_with_fds(message, fds)
        for fd in received:
            os.close(fd)
        return reply

    def ask(self, expected: type[R], message: Message, fds: Sequence[int] = ()) -> R:
        """`request`, with the reply's type checked: anything else is the daemon's fault (InternalError)."""
        return expect(expected, self.request(message, fds))

    def request_with_fds(self, message: Message, fds: Sequence[int] = ()) -> tuple[Reply, list[int]]:
        """Send and wait for the reply and its descriptors, which the caller then owns.

        When the daemon goes away meanwhile, requests that may be repeated are sent again to the next one;
        the others raise UnavailableError, since they may have taken effect.
        """
        trial = Trial(message)
        while True:
            try:
                self._channel.send(trial.body(), list(fds))
            except DisconnectedError as error:
                trial.unsent(error)
            else:
                try:
                    return self._reply_within(trial.patience_s())
                except DisconnectedError as error:
                    trial.unanswered(error)
                except TimeoutError as error:
                    self.close()
                    raise trial.silent() from error
            self.reconnect()

    def send(self, message: Message) -> None:
        """Send without waiting; `receive` gets the reply, or tells that the daemon is gone, also where it was gone
        already. For callers that watch fileno() themselves."""
        try:
            self._channel.send(codec.encode(message))
        except DisconnectedError:
            pass  # the end of the connection can be read, too: one place for the caller to look after it

    def receive(self) -> Reply:
        reply, fds = self._reply()
        for fd in fds:
            os.close(fd)
        return reply

    def receive_with_fds(self) -> tuple[Reply, list[int]]:
        """`receive`, with the descriptors of the reply, which the caller then owns."""
        return self._reply()

    @property
    def buffered(self) -> bool:
        """True if `receive` would return at once although fileno() is not readable."""
        return self._channel.buffered

    def stream(self, message: Message) -> Iterator[Reply]:
        """Replies one after another, for Snapshot(every_s=…) and Events(follow=True), until the connection ends.

        Raises DisconnectedError when the daemon goes away: the caller decides how to go on (`reconnect`).
        """
        self._channel.send(codec.encode(message))
        while True:
            yield self.receive()

    def reconnect(self, *, start: bool = True) -> None:
        """Find the daemon again; with `start` (and `starts`), starting one if need be."""
        self._channel.close()
        self._channel, self.welcome = _connected(self._program, start=start and self.starts, even_stopped=True)

    def _reply_within(self, patience_s: float | None) -> tuple[Reply, list[int]]:
        """Raises TimeoutError."""
        if patience_s is None:
            return self._reply()
        sock = self._channel.sock
        sock.settimeout(patience_s)
        try:
            return self._reply()
        finally:
            sock.settimeout(None)

    def _reply(self) -> tuple[Reply, list[int]]:
        if not self._channel.buffered and self._channel.fileno() >= 0:
            interrupts.readable(self._channel.sock)
        body, fds = self._channel.receive()
        reply = codec.decode_reply(body)
        if isinstance(reply, Failure):
            raise failure(reply)
        return reply, fds


def expect(expected: type[R], reply: Reply) -> R:
    """The reply, with its type checked. Raises InternalError."""
    if not isinstance(reply, expected):
        raise InternalError(f"the daemon answered {type(reply).__name__}, not {expected.__name__}")
    return reply


def failure(reply: Failure) -> AishError:
    """The error that a Failure stands for."""
    kind = _ERRORS.get(reply.code, AishError)
    if kind is InputError:
        return InputError(reply.message, field=reply.field, hint=reply.hint)
    return kind(reply.message, hint=reply.hint)


def connect(
    *, start: bool = True, program: str = "aish", patience_s: float = START_TIMEOUT_S, even_stopped: bool = False
) -> Client:
    """Connect to this user's daemon; with `start`, bring it up first where none runs.

    `patience_s`: for how long, where it does not answer. One that is stopped is told at once, unless `even_stopped`:
    for who has begun something, and goes on with it when the daemon does.

    Raises NotRunningError (none runs, without `start`), UnavailableError (it does not get up in time), VersionError
    (it speaks another version), StorageError (the folders cannot be used).
    """
    channel, welcome = _connected(program, start=start, patience_s=patience_s, even_stopped=even_stopped)
    return Client(channel, welcome, program)


def _connected(
    program: str, *, start: bool, patience_s: float = START_TIMEOUT_S, even_stopped: bool
) -> tuple[Channel, Welcome]:
    for pause_s in finding.attempts(start=start, patience_s=patience_s):
        if pause_s is None:
            from aish.client import bringup

            bringup.start()
            continue
        if pause_s:
            time.sleep(pause_s)
        greeted = _attempt(program, patience_s, even_stopped=even_stopped)
        if greeted is not None:
            return greeted
    raise InternalError("the attempts to find the daemon ended without a word")


def _attempt(program: str, patience_s: float, *, even_stopped: bool) -> tuple[Channel, Welcome] | None:
    """A greeted connection, or None where nothing listens (or what listens is just going down)."""
    sock = listening(even_stopped=even_stopped)
    if sock is None:
        return None
    channel = Channel(sock)
    try:
        sock.settimeout(patience_s)
        channel.send(hello(program))
        if not even_stopped:
            _await_word(sock, patience_s)
        welcome = welcomed(channel.receive()[0], program)
        sock.settimeout(None)
    except DisconnectedError:
        channel.close()
        return None
    except TimeoutError as error:
        channel.close()
        raise silent(patience_s) from error
    except BaseException:
        channel.close()
        raise
    return channel, welcome


def _await_word(sock: socket.socket, patience_s: float) -> None:
    """Until it says something. Raises TimeoutError, UnavailableError where it is stopped."""
    until_s = time.monotonic() + patience_s
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    while not poll.poll(max(0.0, min(LOOK_S, until_s - time.monotonic())) * 1000):
        check_runs(sock)
        if time.monotonic() >= until_s:
            raise TimeoutError


def check_runs(sock: socket.socket) -> None:
    """Look whether the daemon at the other end stands still. Raises UnavailableError."""
    from aish.client import standstill  # only where there is no answer

    pid = int.from_bytes(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)[:4], sys.byteorder)
    if pid > 0 and standstill.stopped(pid):
        raise UnavailableError(standstill.why(pid) or "the daemon was stopped, and goes on", hint=ONCE_MORE)


def listening(*, even_stopped: bool = False) -> socket.socket | None:
    """A connection to the daemon's socket; None where nothing listens, or so many wait that no more fit.

    Raises UnavailableError: it cannot be reached, or (unless `even_stopped`) is stopped and accepts nobody."""
    try:
        return address.connect(folders.daemon_socket(), wait=False)
    except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError):
        return None
    except BlockingIOError:
        from aish.client import standstill

        why = None if even_stopped else standstill.why()
        if why is not None:
            raise UnavailableError(why, hint=ONCE_MORE) from None
        return None
    except OSError as error:
        hidden = finding.out_of_reach()
        if hidden is not None:
            raise hidden from error
        raise UnavailableError(f"cannot reach the daemon: {folders.daemon_socket()}: {error.strerror}") from error


def hello(program: str) -> bytes:
    return codec.encode(Hello(version=VERSION, program=program))


def silent(patience_s: float) -> UnavailableError:
    return UnavailableError(
        f"the daemon accepted the connection but said nothing for {patience_s:.0f} s",
        hint=OVERLOADED,
    )


def welcomed(body: bytes, program: str) -> Welcome:
    """The answer to Hello. Raises UnavailableError, VersionError and what the daemon answers."""
    try:
        reply = codec.decode_reply(body)
    except InputError as error:
        raise UnavailableError(
            f"what answers at {folders.daemon_socket()} does not speak like a daemon: {error}",
            hint="another program, or another version of aish: end it, then try again",
        ) from error
    if isinstance(reply, Failure):
        raise failure(reply)
    welcome = expect(Welcome, reply)
    if welcome.version != VERSION and program != "shutdown":
        raise VersionError(
            f"the daemon speaks version {welcome.version} of the protocol, this program version {VERSION}",
            hint="`aish shutdown` ends it with all that it supervises, then try again",
        )
    return welcome
