"""The process that a client talks to: it reads requests, keeps deadlines, writes results, and runs nothing itself.

One loop over descriptors and due times. Whatever a command does to the shell or to its own processes, this goes on.
"""

from __future__ import annotations

import os
import select
import signal
import time
from collections import deque
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Any

from aish.errors import AishError, ConflictError, InputError, LimitError, NotFoundError, UnavailableError
from aish.model.signal_number import signal_number
from aish.session import ending as stages
from aish.session import kin, shell
from aish.session import request as requests
from aish.session.answers import closed, done, error, jobs, ready
from aish.session.command import ENDED, TIMED_OUT, Command
from aish.session.custody import Custody
from aish.session.loop import Loop
from aish.session.settings import LEAVE_S, LINE_BYTES, MOST_OPEN, MOST_QUEUED, MOST_QUEUED_BYTES, UNREAD_BYTES
from aish.session.shelf import Shelf

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Final

    from aish.session.crew import Crew
    from aish.session.inbox import Inbox
    from aish.session.loop import Course
    from aish.session.outbox import Outbox
    from aish.session.output import Output
    from aish.session.request import AnyRequest, Id
    from aish.session.settings import Settings

STREAM_BYTES: Final = 1 << 20
"""More than that unread: output is not told while it comes, only in the result."""
_NEWBORN_S: Final = 0.1
_LAST_WORD_S: Final = 1.0


class Front:
    def __init__(self, settings: Settings, crew: Crew, inbox: Inbox, outbox: Outbox, wake: int) -> None:
        self._settings = settings
        self._inbox, self._outbox, self._wake = inbox, outbox, wake
        self._shelf = Shelf(settings.keep)
        self._crew = crew
        self._custody = Custody(self._crew, settings.grace_s)
        self._cwd = _folder()
        self._first_cwd = self._cwd
        self._restore: str | None = None
        """The folder of a shell that was lost, until the next one is there."""
        self._untold = self._told = False
        """A shell was lost: no result has said so; or one has, and there is no other shell yet."""
        self._number = 0
        self._queue: deque[Command] = deque()
        self._loop = Loop()
        self._quiet = False
        """No more requests: the session ends when what was asked for is done."""
        self._reason = "end of input"
        self._close_id: Id | None = None
        self._status = 0
        self._clearing = False
        """What a killed warden has left is being ended: nobody would, if this process was killed next."""
        self._resetting = False
        self._shutting = False
        self._finished = False

    def serve(self) -> int:
        """Until the client, a signal or its own last request ends it; the exit status."""
        try:
            self._crew.start()
            self._say(ready(self._settings, self._crew.shell, self._cwd))
            while not self._finished:
                self._wait()
                self._advance()
            return self._status
        finally:
            self._crew.close()
            _reap(self._crew.warden)
            self._custody.close()
            self._shelf.close()

    # --------------------------------------------------------------------------------------- the loop

    def _wait(self) -> None:
        handlers: dict[int, Callable[[], None]] = {self._wake: self._signals}
        if not self._quiet and self._outbox.unread_bytes < UNREAD_BYTES:
            handlers[self._inbox.fd] = self._requests
        if self._crew.link is not None:
            handlers[self._crew.link.fileno()] = self._crew.news
        if self._crew.control is not None:
            handlers[self._crew.control.fileno()] = self._reported
        if self._settings.lifeline >= 0 and not self._shutting:
            handlers[self._settings.lifeline] = self._client_gone
        for command in self._custody.known.values():
            for output in command.outputs:
                if output.is_open:
                    handlers[output.read_fd] = partial(self._output, command, output)
        if not self._loop.wait(handlers, self._outbox, self._due_s()) or (self._outbox.gone and not self._shutting):
            self._client_gone()

    def _due_s(self) -> Iterator[float]:
        current = self._custody.current
        timed = current is not None and not (current.is_done or self._custody.is_ending(current))
        if timed and current is not None and current.deadline_s is not None:
            yield current.deadline_s
        if self._custody.next_s is not None:
            yield self._custody.next_s
        if self._outbox.unread_bytes:
            yield self._outbox.moved_s + self._settings.patience_s

    def _on_time(self) -> float:
        """The time, with the deadlines put off by that for which everything here was stopped."""
        current = self._custody.current
        now_s, stopped_s = self._loop.turned(is_timed=current is not None or self._outbox.unread_bytes > 0)
        if current is not None and current.deadline_s is not None:
            current.deadline_s += stopped_s
        self._outbox.moved_s += stopped_s
        return now_s

    def _advance(self) -> None:
        """What follows from what has happened, and from the time."""
        now_s = self._on_time()
        if self._outbox.unread_bytes and now_s - self._outbox.moved_s >= self._settings.patience_s:
            self._outbox.lose()
            self._client_gone()
        current = self._custody.current
        if current is not None:
            if not current.is_done and not self._crew.shell:
                current.lost = self._crew.shell_raw
                self._custody.give_up(current, current.why)
            if current.deadline_s is not None and now_s >= current.deadline_s and not current.is_done:
                self._custody.give_up(current, TIMED_OUT)
        self._custody.go_on(now_s)
        if not self._crew.warden and not self._clearing and not self._shutting:
            self._clearing = True
            self._loop.take(self._clear())
        if current is not None and current.is_done and not (self._clearing or self._custody.is_ending(current)):
            self._conclude(current)
        self._loop.resume()
        self._next()
        if self._quiet and not (self._queue or self._custody.current or self._resetting or self._shutting):
            self._shut()

    def _say(self, answer: dict[str, Any]) -> None:
        self._outbox.put(answer)

    # -------------------------------------------------------------------------------------- commands

    def _next(self) -> None:
        """The one whose turn it is; nobody's where the client does not read what there is already."""
        while self._queue and self._outbox.unread_bytes < UNREAD_BYTES:
            if self._custody.current or self._clearing or self._resetting or self._shutting:
                return
            self._begin(self._queue.popleft())

    def _begin(self, command: Command) -> None:
        """Raises nothing: what cannot begin is answered so."""
        try:
            if sum(each.is_open for each in self._custody.known.values()) >= MOST_OPEN:
                hint = "end some of them: jobs lists them"
                raise LimitError(f"the output of {MOST_OPEN} commands is still open in the background", hint=hint)
            if not self._crew.is_ready:
                self._restart()
            out, err = command.begin(self._shelf, time.monotonic())
            order = shell.Order(
                number=command.number,
                tag=self._custody.begin(command),
                command=command.request.command,
                cwd=self._folder_for(command.request.cwd),
                env=command.request.env,
            )
            try:
                self._crew.send(order, out, err)
            except OSError:  # it has just ended
                self._restart()
                self._crew.send(order._replace(cwd=self._folder_for(command.request.cwd)), out, err)
        except (AishError, OSError) as fault:
            command.close()
            if not isinstance(fault, AishError):
                fault = UnavailableError(f"the command could not be started: {fault.strerror}")
            self._say(error(command.id, fault))
            return
        self._restore = None
        command.is_fresh, self._untold = self._untold, False
        for output in command.outputs:
            output.handed_over()
        self._custody.began(command)

    def _folder_for(self, asked: str | None) -> str | None:
        """Where the shell is to go first: as asked, from the folder that a lost one was in."""
        if self._restore is None or not os.path.isdir(self._restore):
            return asked
        return os.path.join(self._restore, asked or "")

    def _reported(self) -> None:
        report = self._crew.report()
        current = self._custody.current
        if report is None or current is None or report.number != current.number:
            return
        current.report = report
        self._custody.texts = dict(report.jobs)
        if report.cwd:
            self._cwd = report.cwd

    def _output(self, command: Command, output: Output) -> None:
        event = command.read(output)
        if event is not None:
            self._tell(command, event)
        if command.answered and not command.is_open:
            self._custody.forget()

    def _tell(self, command: Command, event: dict[str, Any]) -> None:
        if self._outbox.unread_bytes > STREAM_BYTES:
            command.skipped(event)
        else:
            self._say(event)

    def _conclude(self, command: Command) -> None:
        """Its result: after its output, and after all that its time-out has ended."""
        self._custody.current = None
        for event in command.drain():
            self._tell(command, event)
        if command.report is not None and command.report.refused is not None:
            self._say(error(command.id, InputError(command.report.refused)))
            command.answered = True
            command.close()
        else:
            if command.lost is not None:
                self._untold, self._told = False, not self._crew.is_ready
            now_s = time.monotonic()
            self._say(command.result(now_s, self._cwd, list(self._custody.background())))
        self._custody.forget()

    def _restart(self) -> None:
        """A shell in place of the one that is lost, in its last folder. Raises UnavailableError."""
        self._restore, self._untold = self._cwd, not self._told
        self._told = False
        self._crew.start()

    # -------------------------------------------------------------------------------------- requests

    def _requests(self) -> None:
        for line in self._inbox.read():
            if self._quiet:
                return
            self._request(line)
        if self._inbox.ended:
            self._quiet = True

    def _request(self, line: bytes | None) -> None:
        if line is None:
            self._say(
                error(None, LimitError(f"the request has more than {LINE_BYTES} bytes", hint="a file holds more"))
            )
            return
        try:
            self._obey(requests.parse(line))
        except AishError as fault:
            self._say(error(requests.id_of(line), fault))

    def _obey(self, wanted: AnyRequest) -> None:
        """Raises AishError."""
        match wanted:
            case requests.Run():
                self._enqueue(wanted)
            case requests.Signal():
                self._say(done(wanted.id, signalled=self._signal(wanted)))
            case requests.End():
                self._end(wanted)
            case requests.Jobs():
                current = self._custody.current
                self._say(
                    jobs(
                        wanted.id,
                        running=None if current is None else current.id,
                        queued=[command.id for command in self._queue],
                        background=list(self._custody.background()),
                    )
                )
            case requests.Reset():
                if self._resetting:
                    raise ConflictError("the session is being reset")
                self._loop.take(self._reset(wanted.id))
            case requests.Close():
                self._quiet, self._reason, self._close_id = True, "close", wanted.id

    def _enqueue(self, wanted: requests.Run) -> None:
        queued_bytes = sum(len(command.request.command) for command in self._queue)
        if len(self._queue) >= MOST_QUEUED or queued_bytes > MOST_QUEUED_BYTES:
            raise LimitError(f"{len(self._queue)} commands wait already", hint="wait for results")
        if wanted.id is not None and self._find(wanted.id) is not None:
            raise ConflictError(
                f"id: the command {wanted.id} waits, or something of it runs", hint="choose another one"
            )
        self._number += 1
        self._queue.append(Command(self._number, wanted, self._settings))
        self._next()

    def _find(self, id: Id) -> Command | None:
        return next((command for command in (*self._custody.known.values(), *self._queue) if command.id == id), None)

    def _named(self, id: Id) -> Command:
        found = self._find(id)
        if found is None:
            raise NotFoundError(f"run: nothing of a command {id} runs", hint="jobs lists what does")
        return found

    def _signal(self, wanted: requests.Signal) -> int:
        command, number = self._named(wanted.run), signal_number(wanted.signal)
        interrupts = command is self._custody.current and not command.is_done and number == signal.SIGINT
        if interrupts:
            self._crew.signal_shell(number)  # first: it has to know when what it waits for is gone
        rows = self._custody.look().get(command.number, ())
        if interrupts:
            self._loop.take(self._interrupts_newborn(command, {row.key for row in rows}))
        return kin.send(rows, number)

    def _interrupts_newborn(self, command: Command, seen: set[kin.Key]) -> Course:
        """What the shell was just starting has missed the interrupt; a terminal would not have sent it either."""
        until_s = time.monotonic() + _NEWBORN_S
        while time.monotonic() < until_s and not command.is_done:
            yield min(until_s, time.monotonic() + stages.TICK_S)
            newborn = [row for row in self._custody.look().get(command.number, ()) if row.key not in seen]
            seen.update(row.key for row in newborn)
            kin.send(newborn, signal.SIGINT)

    def _end(self, wanted: requests.End) -> None:
        command = None if wanted.run is None else self._named(wanted.run)
        if command is not None and command in self._queue:
            self._queue.remove(command)
            self._say(error(command.id, ConflictError("it was ended before its turn")))
            self._say(done(wanted.id))
        elif command is not None and command is self._custody.current:
            self._custody.give_up(command, ENDED)
            self._loop.take(self._until_answered(command, wanted.id))
        else:
            current = None if self._custody.current is None else self._custody.current.number
            numbers = frozenset(self._custody.look()) - {current} if command is None else frozenset({command.number})
            self._loop.take(self._end_and_say(numbers, wanted.id))

    def _until_answered(self, command: Command, id: Id | None) -> Course:
        while not command.answered:
            yield time.monotonic() + stages.TICK_S
        self._say(done(id))

    def _end_and_say(self, numbers: frozenset[int], id: Id | None) -> Course:
        yield from self._custody.ended(numbers)
        self._custody.forget()
        self._say(done(id))

    # ---------------------------------------------------------------------------------- reset, the end

    def _cancel(self, why: str) -> None:
        """Nothing that waits has its turn any more, and what runs is ended."""
        while self._queue:
            self._say(error(self._queue.popleft().id, ConflictError(why)))
        if self._custody.current is not None:
            self._custody.give_up(self._custody.current, ENDED)

    def _reset(self, id: Id | None) -> Course:
        self._resetting = True
        self._cancel("the session was reset before its turn")
        yield from self._emptied()
        self._cwd, self._restore = self._first_cwd, None
        try:
            self._crew.start()
            self._untold = self._told = False
            self._say(done(id, cwd=self._cwd))
        except AishError as fault:
            self._say(error(id, fault))
        self._resetting = False

    def _clear(self) -> Course:
        yield from self._custody.ended(None)
        self._clearing = False
        try:
            self._restart()
        except UnavailableError as fault:
            self._say(error(None, fault))
            self._leave_at_once("no shell can be started", fault.exit_status)

    def _emptied(self) -> Course:
        """The shell has left, and nobody is there."""
        while self._custody.current is not None:
            yield time.monotonic() + stages.TICK_S
        until_s = time.monotonic() + LEAVE_S
        self._crew.leave()
        while self._crew.shell and time.monotonic() < until_s:
            yield until_s
        self._crew.signal_shell(signal.SIGKILL)
        self._crew.signal_warden(signal.SIGCONT)  # a command may have stopped it, and it alone tells of the shell
        until_s = time.monotonic() + stages.HOPELESS_S
        while self._crew.shell:
            if time.monotonic() > until_s:
                self._crew.signal_warden(signal.SIGKILL)  # the shell goes with it, by the kernel's hand
            yield time.monotonic() + stages.TICK_S
        yield from self._custody.ended(None)

    def _shut(self) -> None:
        if not self._shutting:
            self._shutting = True
            self._loop.take(self._ends())

    def _ends(self) -> Course:
        yield from self._emptied()
        self._say(closed(self._close_id, self._reason))
        until_s = time.monotonic() + (_LAST_WORD_S if self._status else inf)  # else its patience is the bound
        while self._outbox.unread_bytes and time.monotonic() < until_s:
            yield until_s
        self._finished = True

    def _client_gone(self) -> None:
        """Nobody is there for whom to go on."""
        self._outbox.lose()
        self._leave_at_once("the client is gone", 141)

    def _leave_at_once(self, reason: str, status: int) -> None:
        self._quiet = True
        if self._shutting:
            return
        self._reason, self._status = reason, status
        self._cancel("the session ends")
        self._shut()

    def _signals(self) -> None:
        for number in os.read(self._wake, 512):
            match number:
                case signal.SIGINT:
                    current = self._custody.current
                    if current is not None and not current.is_done:
                        self._signal(requests.Signal(run=current.id))
                case signal.SIGTERM | signal.SIGHUP | signal.SIGQUIT:
                    self._leave_at_once(signal.Signals(number).name, 128 + number)
                case _:
                    _reap_all()


def _folder() -> str:
    try:
        return os.environ.get("PWD", "") if os.path.samefile(os.environ.get("PWD", ""), ".") else os.getcwd()
    except OSError:
        try:
            return os.getcwd()
        except OSError:
            return "/"


def _reap(warden: int) -> None:
    """Wait until it has ended all that was left, and itself."""
    if not warden:
        return
    try:
        fd = os.pidfd_open(warden)
    except OSError:
        return
    select.select([fd], [], [], stages.HOPELESS_S)
    os.close(fd)
    _reap_all()


def _reap_all() -> None:
    while True:
        try:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                return
        except ChildProcessError:
            return
