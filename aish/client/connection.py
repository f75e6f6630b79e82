"""A connection to the daemon: typed requests, typed replies, a new daemon found when the old one died."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Final, TypeVar

from aish import errors
from aish.config import folders
from aish.errors import (
    AishError,
    DisconnectedError,
    InputError,
    InternalError,
    NotRunningError,
    UnavailableError,
    VersionError,
)
from aish.wire import address, codec
from aish.wire.frame import Channel
from aish.wire.message import (
    VERSION,
    Adopt,
    Cont,
    Doctor,
    Events,
    Failure,
    Gpus,
    Hello,
    History,
    Inspect,
    KeyList,
    KeyRevoke,
    Label,
    Logs,
    Message,
    Pause,
    Serve,
    Snapshot,
    Spawn,
    Stop,
    UsageQuery,
    Wait,
    WaitMany,
    Welcome,
    Why,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import TracebackType
    from typing import Self

    from aish.wire.message import Reply

R = TypeVar("R", bound=Message)

START_TIMEOUT_S: Final = 30.0
AGAIN_S: Final = 0.5
"""How often the holder is asked again for a daemon while none answers. Asking twice does no harm."""
PATIENCE_S: Final = 2.0
"""A daemon that keeps ending at its start is told of after so long."""
LIVED_S: Final = 1.0
"""A daemon that worked on a request for so long was one that works: with the next one the time starts anew."""
_REPEATABLE: Final = (
    *(Adopt, Doctor, Events, Gpus, History, Inspect, KeyList, Logs, Serve, Snapshot, Spawn, UsageQuery, Wait),
    *(Cont, KeyRevoke, Label, Pause, Stop, WaitMany, Why),
)
"""Requests that may be sent again to a new daemon: they ask, they carry a token, or twice is as good as once."""

_ERRORS: Final[dict[str, type[AishError]]] = {
    kind.code: kind
    for kind in map(errors.__dict__.__getitem__, errors.__all__)
    if kind is not errors.SourceError  # has a place; across the wire it arrives as a plain AishError
}


class Client:
    """One connection. Requests are answered in order; a stream (`stream`) takes the connection for itself.

    Not for several threads at once. All methods raise the errors of aish.errors that the daemon reports.
    """

    def __init__(self, channel: Channel, welcome: Welcome, program: str) -> None:
        self._channel = channel
        self._program = program
        self.welcome = welcome

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
        return _expect(expected, self.request(message, fds))

    def request_with_fds(self, message: Message, fds: Sequence[int] = ()) -> tuple[Reply, list[int]]:
        """Send and wait for the reply and its descriptors, which the caller then owns.

        When the daemon goes away meanwhile, requests that may be repeated are sent again to the next one;
        the others raise UnavailableError, since they may have taken effect.
        """
        failing_s = time.monotonic()
        while True:
            sent_s = time.monotonic()
            try:
                self._channel.send(codec.encode(message), list(fds))
                return self._reply()
            except DisconnectedError as error:
                if not isinstance(message, _REPEATABLE):
                    raise UnavailableError(
                        f"the daemon went away during {type(message).__name__.lower()}: it may have taken effect",
                        hint="look with `aish ps`, then try again",
                    ) from error
                now_s = time.monotonic()
                if now_s - sent_s > LIVED_S:
                    failing_s = now_s
                if now_s - failing_s > START_TIMEOUT_S:
                    raise
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

    def reconnect(self) -> None:
        """Find the daemon again, starting one if need be."""
        self._channel.close()
        self._channel, self.welcome = _connected(self._program, start=True)

    def _reply(self) -> tuple[Reply, list[int]]:
        body, fds = self._channel.receive()
        reply = codec.decode_reply(body)
        if isinstance(reply, Failure):
            raise failure(reply)
        return reply, fds


def _expect(expected: type[R], reply: Reply) -> R:
    if not isinstance(reply, expected):
        raise InternalError(f"the daemon answered {type(reply).__name__}, not {expected.__name__}")
    return reply


def failure(reply: Failure) -> AishError:
    """The error that a Failure stands for."""
    return _ERRORS.get(reply.code, AishError)(reply.message, hint=reply.hint)


def connect(*, start: bool = True, program: str = "aish", patience_s: float = START_TIMEOUT_S) -> Client:
    """Connect to this user's daemon; with `start`, bring it up first where none runs.

    `patience_s`: for how long, where it does not answer.

    Raises NotRunningError (none runs, without `start`), UnavailableError (it does not get up in time), VersionError
    (it speaks another version), StorageError (the folders cannot be used).
    """
    channel, welcome = _connected(program, start=start, patience_s=patience_s)
    return Client(channel, welcome, program)


def _connected(program: str, *, start: bool, patience_s: float = START_TIMEOUT_S) -> tuple[Channel, Welcome]:
    greeted = _attempt(program, patience_s)
    if greeted is not None:
        return greeted
    from aish.client import bringup

    if _moved():
        greeted = _attempt(program, patience_s)
        if greeted is not None:
            return greeted
    if start:
        folders.private(folders.runtime())
        folders.private(folders.state())
    _brought_up(start=start)
    ill = False
    now_s = time.monotonic()
    deadline, again_s = now_s + patience_s, now_s + AGAIN_S
    while now_s < deadline:
        greeted = _attempt(program, patience_s)
        if greeted is not None:
            return greeted
        if now_s > again_s:  # the daemon that the holder spoke of may have been leaving, and the holder with it
            again_s = now_s + AGAIN_S
            why = bringup.why_not() if now_s > deadline - patience_s + PATIENCE_S else None
            if why is not None and ill:  # twice in a row: it is no restart that we happened to see
                raise UnavailableError(f"the daemon does not start: {why}", hint=f"its log is {bringup.log_path()}")
            ill = why is not None
            if not _moved():
                _brought_up(start=start)
        time.sleep(0.004)  # there is no event for 'a socket file accepts'; the whole start takes some 200 ms
        now_s = time.monotonic()
    raise UnavailableError(
        f"the daemon did not answer within {patience_s:.0f} s", hint=f"its log is {bringup.log_path()}"
    )


def _moved() -> bool:
    """Whether the supervisor of our state folder has its sockets elsewhere; then we look there from now on."""
    from aish.client import bringup

    there = bringup.elsewhere()
    if there is not None:
        os.environ[folders.RUNTIME_VARIABLE] = there
    return there is not None


def _brought_up(*, start: bool) -> None:
    """A daemon is on its way; without `start` only where a holder runs, which starts the next one by itself."""
    from aish.client import bringup

    if start:
        bringup.start()
    elif not bringup.holder_runs():
        raise NotRunningError("the daemon is not running", hint="nothing is supervised; `aish spawn` starts it")


def _attempt(program: str, patience_s: float) -> tuple[Channel, Welcome] | None:
    """A greeted connection, or None where nothing listens (or what listens is just going down)."""
    try:
        sock = address.connect(folders.daemon_socket())
    except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError):
        return None
    except OSError as error:
        raise UnavailableError(f"cannot reach the daemon: {folders.daemon_socket()}: {error.strerror}") from error
    channel = Channel(sock)
    try:
        sock.settimeout(patience_s)
        channel.send(codec.encode(Hello(version=VERSION, program=program)))
        reply = codec.decode_reply(channel.receive()[0])
        sock.settimeout(None)
    except DisconnectedError:
        channel.close()
        return None
    except TimeoutError as error:
        channel.close()
        raise UnavailableError(
            f"the daemon accepted the connection but said nothing for {patience_s:.0f} s",
            hint="it may be stopped (SIGSTOP) or swapped out: look at its process",
        ) from error
    except InputError as error:
        channel.close()
        raise UnavailableError(
            f"what answers at {folders.daemon_socket()} does not speak like a daemon: {error}",
            hint="another program, or another version of aish: end it, then try again",
        ) from error
    except BaseException:
        channel.close()
        raise
    if isinstance(reply, Failure):
        channel.close()
        raise failure(reply)
    welcome = _expect(Welcome, reply)
    if welcome.version != VERSION and program != "shutdown":
        channel.close()
        raise VersionError(
            f"the daemon speaks version {welcome.version} of the protocol, this program version {VERSION}",
            hint="`aish shutdown` ends it with all that it supervises, then try again",
        )
    return channel, welcome
