"""Every request of aish.wire.message and who answers it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import structs

from aish.config import texts
from aish.errors import InputError
from aish.supervisor.daemon import authority, clock, offspring, runs
from aish.supervisor.daemon.adopting import Adopting
from aish.supervisor.daemon.amending import Amending
from aish.supervisor.daemon.attaching import Attaching
from aish.supervisor.daemon.authority import NOBODY
from aish.supervisor.daemon.cancelling import Cancelling
from aish.supervisor.daemon.control import Control
from aish.supervisor.daemon.doctor import Doctors
from aish.supervisor.daemon.explaining import Explaining
from aish.supervisor.daemon.gateway_link import raised
from aish.supervisor.daemon.limiting import Limiting
from aish.supervisor.daemon.looking import Looking
from aish.supervisor.daemon.seats import Seats
from aish.supervisor.daemon.spawning import Spawning
from aish.supervisor.daemon.table import EGRESS_ID, GATEWAY_ID
from aish.supervisor.daemon.telling import Telling
from aish.wire import account, budget
from aish.wire import message as m
from aish.wire import reply as r
from aish.wire.part import BudgetLine
from aish.wire.spec import LimitPart

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from aish.supervisor.daemon.authority import Caller
    from aish.supervisor.daemon.connection import Connection
    from aish.supervisor.daemon.daemon import Daemon
    from aish.supervisor.daemon.process import Process
    from aish.wire.link import Question


class Api:
    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon
        self.spawning = Spawning(daemon)
        self.adopting = Adopting(daemon)
        self.control = Control(daemon)
        self.limiting = Limiting(daemon, self.control)
        self.cancelling = Cancelling(daemon, self.control)
        self.amending = Amending(daemon, self.control, self.limiting)
        seats = Seats()
        self.looking = Looking(daemon, self.control, seats)
        self.explaining = Explaining(daemon, self.control)
        self.telling = Telling(daemon, self.control)
        self.attaching = Attaching(daemon, self.looking, seats)
        self.doctors = Doctors(daemon)

    async def handle(self, connection: Connection, request: m.Request, fds: list[int]) -> None:
        """Answer one request on its connection. Raises AishError for what is refused; descriptors left in `fds`
        are the caller's to close. A change is in the journal before it is acknowledged."""
        reply = await self._answer(connection, request, fds)
        if reply is not None:
            self.daemon.recorder.flush()
            connection.send(reply)

    async def _answer(self, connection: Connection, request: m.Request, fds: list[int]) -> r.Reply | None:
        """The reply; None where it was sent already (streams, descriptors)."""
        caller = connection.caller or NOBODY
        match request:
            case m.Spawn():
                return await self.spawning.spawn(caller, request, fds)
            case m.Serve():
                return await self.spawning.serve(caller, request)
            case m.Adopt():
                return await self.adopting.adopt(caller, request, connection.pid)
            case m.Limit() if not account.of_process(request.target.removeprefix("@")):
                return await self._limit_account(connection, request)
            case m.BudgetQuery():
                return await self._budgets(connection, request)
            case m.KeyNew() | m.KeyList() | m.KeyRevoke() | m.UsageQuery() | m.RequestsQuery():
                return await self._relay(connection, request)
            case m.WindowList() | m.WindowSet() | m.WindowUnset():
                return await self._relay(connection, request)
            case m.KeepText():
                return await self._keep_text(connection, request)
            case m.TextQuery():
                return await self._text(connection, request)
            case m.SlotUse() | m.SlotKeep():
                return await self._slot(connection, request)
            case m.Hello():
                raise InputError("Hello was said already")
            case _:
                return await self._change(connection, request)

    async def _change(self, connection: Connection, request: m.Request) -> r.Reply | None:
        """What changes processes that are there."""
        caller = connection.caller or NOBODY
        match request:
            case m.Signal():
                return await self.control.signal(caller, request)
            case m.Cancel():
                return await self.cancelling.cancel(caller, request)
            case m.Stop():
                return await self.control.stop(caller, request)
            case m.Start():
                return await self.control.start(caller, request)
            case m.Restart():
                return await self.control.restart(caller, request)
            case m.Amend():
                return await self.amending.amend(caller, request)
            case m.Down():
                return await self.amending.down(caller, request)
            case m.Pause():
                return await self.control.pause(caller, request)
            case m.Cont():
                return await self.control.cont(caller, request)
            case m.Limit():
                return await self.limiting.limit(caller, request)
            case m.Wrapup():
                return await self.control.wrapup(caller, request)
            case m.Switch():
                return await self.control.switch(caller, request)
            case m.Label():
                return await self.control.label(caller, request)
            case m.Mark():
                return await self.control.mark(caller, request)
            case m.Forget():
                return await self.control.forget(caller, request)
            case _:
                return await self._look(connection, request)

    async def _look(self, connection: Connection, request: m.Request) -> r.Reply | None:
        caller = connection.caller or NOBODY
        match request:
            case m.Snapshot():
                await self.looking.snapshot(caller, request, connection)
            case m.Inspect():
                return await self.looking.inspect(caller, request)
            case m.History():
                return await self.looking.history(caller, request)
            case m.Why():
                return await self.explaining.why(caller, request)
            case m.Wait():
                return await self.looking.wait(caller, request)
            case m.WaitMany():
                return await self.looking.wait_many(caller, request)
            case m.Logs():
                await self.looking.logs(caller, request, connection)
            case m.Attach():
                await self.attaching.attach(caller, request, connection)
            case m.Events():
                await self.telling.events(caller, request, connection)
            case m.Gpus():
                return await self.looking.gpus(caller, request)
            case m.Send() | m.Receive() | m.Respond() | m.AwaitResponse() | m.MailQuery():
                return await self._mailed(caller, request)
            case m.Tell() | m.Conclude() | m.Ask() | m.Withdraw() | m.Answer() | m.Questions():
                return await self._asked(caller, request)
            case m.Doctor():
                return await self.doctors.doctor(caller, request)
            case m.Shutdown():
                await self.daemon.ending.shutdown(caller, request, connection)
            case m.Off():
                await self.daemon.handback.off(caller, request, connection)
            case m.GatewayHello():
                await self._gateway(connection, request)
            case m.EgressHello():
                await self._egress(connection, request)
            case _:
                raise InputError(f"{type(request).__name__} is not answered here")
        return None

    async def _asked(
        self, caller: Caller, request: m.Tell | m.Conclude | m.Ask | m.Withdraw | m.Answer | m.Questions
    ) -> r.Reply:
        asking = self.daemon.asking
        match request:
            case m.Conclude():
                return await asking.conclude(caller, request)
            case m.Tell():
                return await asking.tell(caller, request)
            case m.Ask():
                return await asking.ask(caller, request)
            case m.Withdraw():
                return await asking.withdraw(caller, request)
            case m.Answer():
                return await asking.answer(caller, request)
            case m.Questions():
                return await asking.questions(caller, request)

    async def _mailed(
        self, caller: Caller, request: m.Send | m.Receive | m.Respond | m.AwaitResponse | m.MailQuery
    ) -> r.Reply:
        posting = self.daemon.posting
        match request:
            case m.Send():
                return await posting.send(caller, request)
            case m.Receive():
                return await posting.receive(caller, request)
            case m.Respond():
                return await posting.respond(caller, request)
            case m.AwaitResponse():
                return await posting.response(caller, request)
            case m.MailQuery():
                return await posting.mail(caller, request)

    async def _limit_account(self, connection: Connection, request: m.Limit) -> r.Reply:
        """Of a key, a project or the user. That a file without a budget has none needs no gateway."""
        noted = f"budget:{request.target}"
        says = request.tokens is not None or bool(request.budget)
        if request.anew and not says and not self.daemon.recorder.noted(noted):
            return r.Done(changed=False)
        reply = await self._relay(connection, request)
        if request.anew:
            self.daemon.recorder.note(noted, "1" if says else "")
        return reply

    async def _budgets(self, connection: Connection, request: m.BudgetQuery) -> r.Reply:
        """A process sees those of what it may see."""
        caller, target = connection.caller or NOBODY, request.target
        if not account.of_process(target.removeprefix("@")):
            authority.check(self.daemon.table, caller, "Limit")
            return await self._relay(connection, request)
        process = self.control.target(caller, "BudgetQuery", target)
        reply = await self._relay(connection, m.BudgetQuery(target=process.id))
        if not isinstance(reply, r.Budgets):
            return reply
        visible = authority.visible(self.daemon.table, caller)
        lines = [line for line in reply.lines if visible is None or line.account in visible]
        return structs.replace(reply, lines=[*self._own(process), *lines])

    def _own(self, process: Process) -> Iterator[BudgetLine]:
        """What the daemon counts: how long it runs, and what is below it."""
        spec, table = process.row.spec, self.daemon.table
        limits = spec.limits or LimitPart()
        for word, most, used in (
            (budget.WALL, spec.run_timeout_s, lambda: runs.ran_s(process.row, clock.boot_s())),
            ("children", limits.children, lambda: offspring.living(table, process.id)),
            ("depth", limits.depth, lambda: offspring.levels(table, process.id)),
        ):
            if most is not None:
                yield BudgetLine(account=process.id, word=word, most=most, used=used())

    async def _keep_text(self, connection: Connection, request: m.KeepText) -> r.Reply:
        target = request.target
        if target is not None and account.of_process(target.removeprefix("@")):
            process = self.control.target(connection.caller or NOBODY, "KeepText", target)
            request = structs.replace(request, target=process.id)
        return await self._relay(connection, request)

    async def _text(self, connection: Connection, request: m.TextQuery) -> r.Reply:
        """A process reads those of what it may see. Of others it does not get to know whether there are any."""
        reply = await self._relay(connection, request)
        visible = authority.visible(self.daemon.table, connection.caller or NOBODY)
        if visible is None or not isinstance(reply, r.RequestText):
            return reply
        if reply.process not in visible or reply.epoch != self.daemon.epoch:
            raise texts.missing(request.number)
        return reply

    async def _slot(self, connection: Connection, request: m.SlotUse | m.SlotKeep) -> r.Reply:
        """Of the caller, and by its host alone: what the program of an agent says would be taken for its word."""
        caller = connection.caller or NOBODY
        if caller.id is None or not caller.leader:
            raise authority.refused("checkpoint refused: only an agent's host keeps what its model has read")
        return await self._told(structs.replace(request, target=caller.id))

    async def _relay(self, connection: Connection, question: Question) -> r.Reply:
        """Only the gateway can answer. Raises what it answers, UnavailableError."""
        authority.check(self.daemon.table, connection.caller or NOBODY, type(question).__name__)
        return await self._told(question)

    async def _told(self, question: Question) -> r.Reply:
        """By the gateway, which is started if need be."""
        self.daemon.gateway.ensure()
        return raised(await self.daemon.link.ask(question))

    async def _gateway(self, connection: Connection, hello: m.GatewayHello) -> None:
        """The gateway's own connection, from here to its end."""
        _check_own(connection, GATEWAY_ID, hello)
        self.daemon.gateway.told = hello.alert or self.daemon.gateway.told  # the next one does not know of it
        await self._linked(connection, self.daemon.link.converse)

    async def _egress(self, connection: Connection, hello: m.EgressHello) -> None:
        _check_own(connection, EGRESS_ID, hello)
        await self._linked(connection, self.daemon.egress_link.converse)

    async def _linked(self, connection: Connection, converse: Callable[[Connection], Awaitable[None]]) -> None:
        self.daemon.own_connections.add(connection)
        self.daemon.ending.check()  # until now it counted as a client
        try:
            await converse(connection)
        finally:
            self.daemon.own_connections.discard(connection)


def _check_own(connection: Connection, id_: str, hello: m.Request) -> None:
    """Raises RefusedError."""
    if connection.caller is None or connection.caller.id != id_:
        raise authority.refused(f"only the {id_} itself may say {type(hello).__name__}")
