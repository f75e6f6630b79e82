"""aish from Python for asyncio, without threads: `AsyncProcess`.

Made from aish.client.process by docs/make_aio.py; do not edit it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from re import Pattern

    from aish.client.aio import AsyncAish
    from aish.client.log_answers import LogLine, Stream
    from aish.client.log_stats import LogStats
    from aish.model.exit import Exit
    from aish.wire import reply as r
    from aish.wire.mail import MailPart
    from aish.wire.part import EventPart, ProcessPart, RunPart
    from aish.wire.question import QuestionPart
    from aish.wire.spec import SpecPart


class AsyncProcess:
    """A handle: `id` and `name`, which never change, and what can be asked of it. It knows nothing else, so nothing
    in it grows old. Two handles of one process are equal."""

    __slots__ = ("_aish", "id", "name")

    def __init__(self, aish: AsyncAish, id: str, name: str) -> None:
        self._aish = aish
        self.id = id
        self.name = name

    def __eq__(self, other: object) -> bool:
        return self.id == other.id if isinstance(other, AsyncProcess) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id} {self.name}>"

    async def state(self) -> str:
        """The one word that ps shows, now: "running", "queued", "exited" …"""
        row = await self.row()
        return row.state

    async def row(self) -> ProcessPart:
        """Its row of ps, now: state, pid, exit, figures."""
        found = await self._aish.inspect(self.id)
        return found.process

    async def inspect(self) -> r.Inspected:
        """In full: `AsyncAish.inspect`."""
        return await self._aish.inspect(self.id)

    async def wait(self, *, timeout_s: float | None = None) -> Exit:
        """Until it has ended: `AsyncAish.wait`."""
        return await self._aish.wait(self.id, timeout_s=timeout_s)

    async def wait_ready(self, *, timeout_s: float | None = None, give_up: bool = False) -> None:
        """Until it is ready: `AsyncAish.wait_ready`."""
        await self._aish.wait_ready(self.id, timeout_s=timeout_s, give_up=give_up)

    async def stop(self, *, grace_s: float | None = None) -> Exit:
        """The stop signal, SIGKILL after the grace, and wait until it has ended: `AsyncAish.stop`."""
        ends = await self._aish.stop(self.id, grace_s=grace_s)
        return ends[0]

    async def wrapup(self, *, grace: str = "", within_s: float = 30.0, message: str | None = None) -> Exit:
        """A last message, then the stop signal, and wait until it has ended: `AsyncAish.wrapup`."""
        ends = await self._aish.wrapup(self.id, grace=grace, within_s=within_s, message=message)
        return ends[0]

    async def forget(self) -> None:
        """Drop it, once it has ended, with its logs: `AsyncAish.forget`."""
        await self._aish.forget(self.id)

    async def start(self, *, env: Mapping[str, str] | None = None) -> bool:
        """Have it run again, once it has ended: `AsyncAish.start`."""
        return await self._aish.start(self.id, env=env)

    async def restart(
        self,
        *,
        env: Mapping[str, str] | None = None,
        keep_env: bool = False,
        grace_s: float | None = None,
        spec: SpecPart | None = None,
    ) -> bool:
        """Stop it, then start it: `AsyncAish.restart`."""
        return await self._aish.restart(self.id, env=env, keep_env=keep_env, grace_s=grace_s, spec=spec)

    async def amend(self, spec: SpecPart) -> bool:
        """Have it be as `spec` says without a restart: `AsyncAish.amend`."""
        return await self._aish.amend(self.id, spec)

    async def limit(
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
        """Change its limits: `AsyncAish.limit`."""
        await self._aish.limit(
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

    async def budgets(self) -> r.Budgets:
        """Its budgets and those above it: `AsyncAish.budgets`."""
        return await self._aish.budgets(self.id)

    async def pause(self) -> bool:
        """Hold it: `AsyncAish.pause`."""
        return await self._aish.pause(self.id)

    async def cont(self) -> bool:
        """Lift that hold: `AsyncAish.cont`."""
        return await self._aish.cont(self.id)

    async def signal(self, number: int | str) -> None:
        """Send a signal: `AsyncAish.signal`."""
        await self._aish.signal(number, self.id)

    async def cancel(self) -> bool:
        """End the turn that it is at: `AsyncAish.cancel`."""
        return await self._aish.cancel(self.id)

    async def switch(self, model: str | None) -> bool:
        """Answered by that model from now on: `AsyncAish.switch`."""
        return await self._aish.switch(self.id, model)

    async def label(self, labels: Mapping[str, str] | None = None, *, unset: Sequence[str] = ()) -> bool:
        """Give it labels, and take others away: `AsyncAish.label`."""
        return await self._aish.label(self.id, labels, unset=unset)

    async def questions(self) -> list[QuestionPart]:
        """What it asks the person and is not answered yet: `AsyncAish.questions`."""
        return await self._aish.questions(self.id)

    async def send(self, text: str, *, token: str | None = None) -> int:
        """A message to it: `AsyncAish.send`."""
        return await self._aish.send(self.id, text, token=token)

    async def mail(self) -> list[MailPart]:
        """Messages to it: `AsyncAish.mail`."""
        return await self._aish.mail(self.id)

    async def why(self) -> r.Explained:
        """Why it is as it is: `AsyncAish.why`."""
        return await self._aish.why(self.id)

    async def history(self, *, last: int = 20) -> list[RunPart]:
        """Its runs: `AsyncAish.history`."""
        return await self._aish.history(self.id, last=last)

    def logs(
        self,
        *,
        follow: bool = False,
        since_s: float | None = None,
        until_s: float | None = None,
        last: int | None = None,
        grep: str | Pattern[str] | None = None,
        streams: Sequence[Stream] = ("stdout", "stderr"),
    ) -> AsyncIterator[LogLine]:
        """What it wrote: `AsyncAish.logs`."""
        return self._aish.logs(
            self, follow=follow, since_s=since_s, until_s=until_s, last=last, grep=grep, streams=streams
        )

    async def log_stats(self) -> LogStats:
        """How much it wrote: `AsyncAish.log_stats`."""
        found = await self._aish.log_stats(self)
        return found[0]

    def events(
        self,
        *,
        since: int = 0,
        since_s: float | None = None,
        follow: bool = False,
        last: int | None = None,
        kinds: Sequence[str] = (),
    ) -> AsyncIterator[EventPart]:
        """What happened to it: `AsyncAish.events`."""
        return self._aish.events(since=since, since_s=since_s, follow=follow, last=last, target=self.id, kinds=kinds)
