"""aish from Python: `Process`, a handle of a process. A call returns when it is answered.

aish.client.aio_process has the same for asyncio and is made from this file by docs/make_aio.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from re import Pattern

    from aish.client.blocking import Aish
    from aish.client.log_answers import LogLine, Stream
    from aish.client.log_stats import LogStats
    from aish.model.exit import Exit
    from aish.wire import reply as r
    from aish.wire.mail import MailPart
    from aish.wire.part import EventPart, ProcessPart, RunPart
    from aish.wire.question import QuestionPart
    from aish.wire.spec import SpecPart


class Process:
    """A handle: `id` and `name`, which never change, and what can be asked of it. It knows nothing else, so nothing
    in it grows old. Two handles of one process are equal."""

    __slots__ = ("_aish", "id", "name")

    def __init__(self, aish: Aish, id: str, name: str) -> None:
        self._aish = aish
        self.id = id
        self.name = name

    def __eq__(self, other: object) -> bool:
        return self.id == other.id if isinstance(other, Process) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id} {self.name}>"

    def state(self) -> str:
        """The one word that ps shows, now: "running", "queued", "exited" …"""
        row = self.row()
        return row.state

    def row(self) -> ProcessPart:
        """Its row of ps, now: state, pid, exit, figures."""
        found = self._aish.inspect(self.id)
        return found.process

    def inspect(self) -> r.Inspected:
        """In full: `Aish.inspect`."""
        return self._aish.inspect(self.id)

    def wait(self, *, timeout_s: float | None = None) -> Exit:
        """Until it has ended: `Aish.wait`."""
        return self._aish.wait(self.id, timeout_s=timeout_s)

    def wait_ready(self, *, timeout_s: float | None = None, give_up: bool = False) -> None:
        """Until it is ready: `Aish.wait_ready`."""
        self._aish.wait_ready(self.id, timeout_s=timeout_s, give_up=give_up)

    def stop(self, *, grace_s: float | None = None) -> Exit:
        """The stop signal, SIGKILL after the grace, and wait until it has ended: `Aish.stop`."""
        ends = self._aish.stop(self.id, grace_s=grace_s)
        return ends[0]

    def wrapup(self, *, grace: str = "", within_s: float = 30.0, message: str | None = None) -> Exit:
        """A last message, then the stop signal, and wait until it has ended: `Aish.wrapup`."""
        ends = self._aish.wrapup(self.id, grace=grace, within_s=within_s, message=message)
        return ends[0]

    def forget(self) -> None:
        """Drop it, once it has ended, with its logs: `Aish.forget`."""
        self._aish.forget(self.id)

    def start(self, *, env: Mapping[str, str] | None = None) -> bool:
        """Have it run again, once it has ended: `Aish.start`."""
        return self._aish.start(self.id, env=env)

    def restart(
        self,
        *,
        env: Mapping[str, str] | None = None,
        keep_env: bool = False,
        grace_s: float | None = None,
        spec: SpecPart | None = None,
    ) -> bool:
        """Stop it, then start it: `Aish.restart`."""
        return self._aish.restart(self.id, env=env, keep_env=keep_env, grace_s=grace_s, spec=spec)

    def amend(self, spec: SpecPart) -> bool:
        """Have it be as `spec` says without a restart: `Aish.amend`."""
        return self._aish.amend(self.id, spec)

    def limit(
        self,
        *,
        tokens: str | int | None = None,
        vram: str | int | None = None,
        memory: str | int | None = None,
        cpus: str | float | None = None,
        pids: str | int | None = None,
        read: str | int | None = None,
        write: str | int | None = None,
        nice: str | int | None = None,
        wall: str | None = None,
        children: str | int | None = None,
        depth: str | int | None = None,
        **budget: str | float,
    ) -> None:
        """Change its limits: `Aish.limit`."""
        self._aish.limit(
            self.id,
            tokens=tokens,
            vram=vram,
            memory=memory,
            cpus=cpus,
            pids=pids,
            read=read,
            write=write,
            nice=nice,
            wall=wall,
            children=children,
            depth=depth,
            **budget,
        )

    def budgets(self) -> r.Budgets:
        """Its budgets and those above it: `Aish.budgets`."""
        return self._aish.budgets(self.id)

    def pause(self) -> bool:
        """Hold it: `Aish.pause`."""
        return self._aish.pause(self.id)

    def cont(self) -> bool:
        """Lift that hold: `Aish.cont`."""
        return self._aish.cont(self.id)

    def signal(self, number: int | str) -> None:
        """Send a signal: `Aish.signal`."""
        self._aish.signal(number, self.id)

    def cancel(self) -> bool:
        """End the turn that it is at: `Aish.cancel`."""
        return self._aish.cancel(self.id)

    def switch(self, model: str | None) -> bool:
        """Answered by that model from now on: `Aish.switch`."""
        return self._aish.switch(self.id, model)

    def label(self, labels: Mapping[str, str] | None = None, *, unset: Sequence[str] = ()) -> bool:
        """Give it labels, and take others away: `Aish.label`."""
        return self._aish.label(self.id, labels, unset=unset)

    def questions(self) -> list[QuestionPart]:
        """What it asks the person and is not answered yet: `Aish.questions`."""
        return self._aish.questions(self.id)

    def send(self, text: str, *, token: str | None = None) -> int:
        """A message to it: `Aish.send`."""
        return self._aish.send(self.id, text, token=token)

    def mail(self) -> list[MailPart]:
        """Messages to it: `Aish.mail`."""
        return self._aish.mail(self.id)

    def why(self) -> r.Explained:
        """Why it is as it is: `Aish.why`."""
        return self._aish.why(self.id)

    def history(self, *, last: int = 20) -> list[RunPart]:
        """Its runs: `Aish.history`."""
        return self._aish.history(self.id, last=last)

    def logs(
        self,
        *,
        follow: bool = False,
        since_s: float | None = None,
        until_s: float | None = None,
        last: int | None = None,
        grep: str | Pattern[str] | None = None,
        streams: Sequence[Stream] = ("stdout", "stderr"),
    ) -> Iterator[LogLine]:
        """What it wrote: `Aish.logs`."""
        return self._aish.logs(
            self, follow=follow, since_s=since_s, until_s=until_s, last=last, grep=grep, streams=streams
        )

    def log_stats(self) -> LogStats:
        """How much it wrote: `Aish.log_stats`."""
        found = self._aish.log_stats(self)
        return found[0]

    def events(
        self,
        *,
        since: int = 0,
        since_s: float | None = None,
        follow: bool = False,
        last: int | None = None,
        kinds: Sequence[str] = (),
    ) -> Iterator[EventPart]:
        """What happened to it: `Aish.events`."""
        return self._aish.events(since=since, since_s=since_s, follow=follow, last=last, target=self.id, kinds=kinds)
