"""The processes of a session in the front's hands: whose they are, what goes on, how some are ended."""

from __future__ import annotations

import os
import secrets
import signal
import time
from typing import TYPE_CHECKING, Any

from aish.session import ending as stages
from aish.session import kin, shell
from aish.session.ending import Ending

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aish.session.command import Command
    from aish.session.crew import Crew
    from aish.session.loop import Course


class Custody:
    """`current`: the command that the shell is at; `known`: those that began and of which something is left."""

    def __init__(self, crew: Crew, grace_s: float) -> None:
        self._crew, self._grace_s = crew, grace_s
        self._kin = kin.Kin(os.getpid(), secrets.token_hex(8))
        self.current: Command | None = None
        self.known: dict[int, Command] = {}
        self.texts: dict[int, str] = {}
        """What the shell calls its jobs, by process."""
        self._last = 0
        self._endings: dict[int, Ending] = {}

    def begin(self, command: Command) -> str:
        """It is the current one now; its tag."""
        self._last = command.number
        return self._kin.tag(command.number)

    def began(self, command: Command) -> None:
        self.current = self.known[command.number] = command

    def look(self) -> dict[int, list[kin.Row]]:
        """The processes of each command."""
        return self._kin.look((self._crew.warden, self._crew.shell), self._last)

    def background(self) -> Iterator[dict[str, Any]]:
        """What goes on without the shell waiting for it."""
        for number, theirs in self.look().items():
            if self.current is not None and number == self.current.number:
                continue
            command = self.known.get(number)
            for row, count in kin.tops(theirs):
                yield {
                    "run": command.id if command is not None else f"#{number}",
                    "pid": row.pid,
                    "command": kin.command(row.pid, self.texts.get(row.pid)),
                    "processes": count,
                }

    def forget(self) -> None:
        """Commands of which nothing is left."""
        for number, command in list(self.known.items()):
            if command.answered and number not in self._kin.rows:
                command.drain()  # whoever wrote may be gone since
                if not command.is_open:
                    command.close()
                    del self.known[number]

    def close(self) -> None:
        for command in self.known.values():
            command.close()

    # ---------------------------------------------------------------------------------------- endings

    def give_up(self, command: Command, why: str | None) -> None:
        """End a command that runs, with all that it has started. `why` None: its shell is gone."""
        command.why = why
        if command.number not in self._endings:
            self._endings[command.number] = self._ending(frozenset({command.number}), at_shell=why is not None)

    def is_ending(self, command: Command) -> bool:
        return command.number in self._endings

    @property
    def next_s(self) -> float | None:
        """When to look again at what is being ended."""
        return min((ending.next_s for ending in self._endings.values()), default=None)

    def go_on(self, now_s: float) -> None:
        for key, ending in list(self._endings.items()):
            if ending.next_s <= now_s or (ending.at_shell and not self._is_busy()):
                self._act(ending, now_s)
                if ending.over:
                    del self._endings[key]

    def ended(self, numbers: frozenset[int] | None) -> Course:
        """End what is in the background; None: everything that is there."""
        ending = self._ending(numbers, at_shell=False)
        while True:
            self._act(ending, time.monotonic())
            if ending.over:
                return
            yield ending.next_s

    def _ending(self, numbers: frozenset[int] | None, *, at_shell: bool) -> Ending:
        return Ending(numbers, at_shell=at_shell, now_s=time.monotonic(), grace_s=self._grace_s)

    def _is_busy(self) -> bool:
        return self.current is not None and not self.current.is_done

    def _act(self, ending: Ending, now_s: float) -> None:
        busy = ending.at_shell and self._is_busy()
        for act in ending.acts(now_s):
            match act:
                case stages.ASK:
                    if busy:  # before what it waits for is gone, or it goes on with the line
                        self._crew.signal_shell(shell.ABORT)
                case stages.INSIST if busy:
                    self._crew.signal_shell(shell.ABORT)
                case stages.KILL:
                    kin.send(self._concerned(ending), signal.SIGKILL)
                case stages.KILL_SHELL if busy:
                    self._crew.signal_shell(signal.SIGKILL)
                    self._crew.signal_warden(signal.SIGCONT)  # who tells of its end may have been stopped
                case _:
                    pass
        rows = self._concerned(ending)
        newborn = [row for row in rows if row.key not in ending.asked]  # the shell was just starting some of them
        ending.asked.update(row.key for row in newborn)
        kin.send(newborn, signal.SIGTERM)
        kin.send(newborn, signal.SIGCONT)
        ending.looked(now_s, left=bool(rows), busy=busy)

    def _concerned(self, ending: Ending) -> list[kin.Row]:
        return [row for number, rows in self.look().items() if ending.concerns(number) for row in rows]
