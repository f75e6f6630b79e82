"""Spawn and Serve: from a client's wish to a journaled process, and the answer once it has begun."""

from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING, Final

import msgspec

from aish.errors import AishError, ConflictError, InputError, StorageError, UnavailableError
from aish.model import kind, state
from aish.supervisor.daemon import authority, confinement, environ, offspring, want
from aish.supervisor.daemon.births import PATIENCE_S
from aish.supervisor.daemon.control import by, who
from aish.supervisor.daemon.foreground import any_terminal
from aish.supervisor.daemon.process import Process, shared
from aish.supervisor.daemon.row import Row
from aish.wire import budget
from aish.wire.message import Serve, Spawn
from aish.wire.reply import Started
from aish.wire.spec import LaunchPart, RoutePart, SpecPart

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aish.spi.model_server import ModelServer, ServePlan, StoredModel
    from aish.supervisor.daemon.authority import Caller
    from aish.supervisor.daemon.daemon import Daemon
    from aish.supervisor.daemon.table import Table

SERVERS: Final = "aish.model_server"
_SOCKET_NAME: Final = "{id}.sock"


class Spawning:
    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon
        self._serving: dict[str, asyncio.Task[Process]] = {}

    async def spawn(self, caller: Caller, request: Spawn, fds: list[int]) -> Started:
        """Takes what it needs of `fds` out of the list. Raises InputError, ConflictError, RefusedError,
        LimitError, StorageError; then nothing was started."""
        await self.daemon.holding.there()  # what is promised to nobody cannot be lost with keeper and holder
        table = self.daemon.table
        known = table.by_token(request.token)
        if known is not None:
            authority.check(table, caller, "Spawn", known)
            if known.resend_timer is not None and fds:
                known.fds, fds[:] = fds[:], []
                self.daemon.takeover.resume(known)
            return await self._answer(known, existed=True, patience_s=request.patience_s)
        authority.check(table, caller, "Spawn")
        self._open()
        want.check_spawn(request, len(fds))
        parent = table.get(caller.id) if caller.id is not None else None
        want.check_rights(caller, parent, request.spec)
        if parent is not None and parent.row.ended:
            raise ConflictError(f"{parent.row.name} ({parent.id}), which this caller belongs to, has ended")
        if not request.spec.with_parent:
            offspring.check(table, self.daemon.recorder, parent)
        request = self._confined(caller, parent, _helping(table, caller, parent, request))
        source = self._source(caller, request)
        program = os.fsdecode(request.spec.argv[0]) if request.spec.argv else ""
        name = table.new_name(request.spec.name, program, number=request.rename)
        circle = self.daemon.admission.circle(name, request.spec.needs)
        if circle is not None:
            text = f"they wait for each other: {' needs '.join(circle)}"
            raise InputError(text, field="needs", hint=f"leave a need out, or stop {circle[1]} first")
        process = self._make(name, request.spec, request.launch)
        row = process.row
        row.token, row.begun_by = request.token, who(caller)
        if parent is not None and request.spec.kind == kind.MODEL:
            row.made_by = parent.id
        elif parent is not None:
            row.parent = parent.id
        row.targets, row.terminal = list(request.targets), any_terminal(fds)
        process.window = request.window
        process.fds, fds[:] = fds[:], []
        if source is None:
            self._begin(process)
        else:
            self._split(*source, process, caller)
        if row.lifecycle == "queued":
            await self.daemon.launcher.keep_passed(process)
        return await self._answer(process, existed=False, patience_s=request.patience_s)

    def _confined(self, caller: Caller, parent: Process | None, request: Spawn) -> Spawn:
        """In no wider sandbox than that of who asks. Raises RefusedError."""
        if caller.standing == "user" or parent is None or parent.row.spec.sandbox is None:
            return request
        launcher = self.daemon.launcher
        above = parent.launch or launcher.files.load(parent.id)
        spec = confinement.confined(
            parent,
            request.spec,
            request.launch.environ,
            above.environ if above is not None else [],
            launcher.sandboxes.around,
            helper=caller.leader and request.spec.with_parent,
        )
        return msgspec.structs.replace(request, spec=spec)

    def _source(self, caller: Caller, request: Spawn) -> tuple[Process, SpecPart] | None:
        """From whose checkpoint it goes on, and the spec of that when the budget is split. Raises NotFoundError,
        RefusedError, LimitError."""
        if request.budget_of is None:
            return None
        table = self.daemon.table
        source = table.resolve(request.budget_of, authority.visible(table, caller))
        authority.check(table, caller, "Mark", source)
        spec, wanted = source.row.spec, request.spec
        tokens, part = budget.without((spec.budget_tokens, spec.budget), (wanted.budget_tokens, wanted.budget))
        return source, msgspec.structs.replace(spec, budget_tokens=tokens, budget=part)

    def _split(self, source: Process, left: SpecPart, process: Process, caller: Caller) -> None:
        """What it may use is taken from `source`: both in one transaction, or neither. Raises StorageError."""
        spec, source.row.spec = source.row.spec, left
        self.daemon.recorder.change(source.row)
        try:
            self._begin(process)
        except StorageError:
            source.row.spec = spec
            raise
        self.daemon.recorder.event("forked", source.row, by(caller), fork=process.id)
        self.daemon.conductor.changed(source)

    def _open(self) -> None:
        if self.daemon.ending.begun:
            raise ConflictError("the supervisor is shutting down", hint="try again in a moment")

    def _make(self, name: str, spec: SpecPart, launch: LaunchPart) -> Process:
        number = self.daemon.table.next_number
        launch = environ.withheld(launch, spec.secrets)
        row = Row(
            id=f"p{number}",
            number=number,
            name=name,
            spec=spec,
            lifecycle="queued" if spec.schedule is None else "scheduled",
            created_s=time.time(),
            umask=launch.umask,
            nice=launch.nice if spec.nice is None else spec.nice,
            nice_limit=spec.nice,
            rlimits=launch.rlimits,
            environ_names=environ.names(launch.environ),
        )
        process = Process(row)
        process.launch = shared(launch)
        return process

    def _begin(self, process: Process) -> None:
        """Promise it, enter it, ask for admission. Raises StorageError; then it was never there."""
        daemon, row = self.daemon, process.row
        try:
            daemon.launcher.files.save(row.id, process.launch or LaunchPart(environ=[]))
            daemon.recorder.promise(row, "created")
        except StorageError:
            daemon.launcher.files.drop(row.id)
            process.close_fds()
            raise
        daemon.table.add(process)
        unheld = daemon.launcher.unheld(row)
        process.unheld = unheld
        if unheld:
            daemon.conductor.unheld(process, unheld)
        if row.spec.kind in (kind.AGENT, kind.MODEL):
            daemon.want_gateway()
        if row.lifecycle == state.SCHEDULED:
            daemon.conductor.timetable.later(process)
            daemon.conductor.changed(process)
        else:
            daemon.admission.enqueue(process)

    async def _answer(self, process: Process, *, existed: bool, patience_s: float | None = None) -> Started:
        """Once it has begun, failed, or is known to wait. A holder that is silent for `patience_s` is not waited for:
        then it has failed, and is not started later.

        Raises UnavailableError where nobody can tell whether it has begun."""
        row, births = process.row, self.daemon.conductor.births
        due_s = asyncio.get_running_loop().time() + (PATIENCE_S if patience_s is None else patience_s)
        while row.lifecycle == "starting" or (row.lifecycle == "queued" and not self._decided(process)):
            silent = await births.change(process, due_s)
            if silent is None or row.lifecycle != "starting" or births.give_up(process, silent):
                continue
            raise UnavailableError(
                f"{row.name} ({row.id}) may have been started, or may yet be: {silent}",
                hint="`aish ps` shows it when the holder answers",
            )
        self.daemon.recorder.flush()
        return Started(
            id=row.id,
            name=row.name,
            state=process.word,
            pid=row.pid,
            reason=row.reason,
            existed=existed,
            unheld=self.daemon.launcher.unheld(row),
        )

    def _decided(self, process: Process) -> bool:
        """A request that can never be met is to be answered with 'failed', so the drivers' answer is waited for."""
        return process.row.spec.vram_bytes is None or self.daemon.gpus.known

    # --- models -------------------------------------------------------------------------------------------------

    async def serve(self, caller: Caller, request: Serve) -> Started:
        """Raises NotFoundError (no such model), UnavailableError (no program can serve it), StorageError."""
        authority.check(self.daemon.table, caller, "Serve")
        if caller.standing != "user":  # a process gets what the gateway would start, not its own flavour of it
            request = Serve(model=request.model)
        running = self._running(request.model)
        if running is not None:
            return await self._answer(running, existed=True)
        self._open()
        process = await self._served(request)
        process.row.begun_by = process.row.begun_by or who(caller)
        return await self._answer(process, existed=False)

    async def need(self, model: str, asked_by: str | None) -> None:
        """The gateway was asked for a stored model that does not run."""
        try:
            if self._running(model) is None:
                self._open()
                process = await self._served(Serve(model=model))
                by = f"asked for by {asked_by}" if asked_by else ""
                process.row.begun_by = asked_by or "a request"
                self.daemon.recorder.event("needed", process.row, by)
        except AishError as error:
            self.daemon.link.failed_to_serve(model, error)

    def _running(self, model: str) -> Process | None:
        process = self.daemon.table.named(model)
        if process is None:
            return None
        if process.row.spec.kind != kind.MODEL:
            raise ConflictError(
                f"the name {model} is taken by the {process.row.spec.kind} {process.id}",
                hint=f"stop it first: `aish stop {process.id}`",
            )
        return process

    async def _served(self, request: Serve) -> Process:
        """The process that serves it; several who ask at once get the same one."""
        task = self._serving.get(request.model)
        if task is None:
            task = asyncio.ensure_future(self._start_model(request))
            self._serving[request.model] = task
            task.add_done_callback(lambda _: self._serving.pop(request.model, None))
        return await asyncio.shield(task)

    async def _start_model(self, request: Serve) -> Process:
        id_ = f"model-{os.urandom(4).hex()}"
        socket_path = os.path.join(self.daemon.runtime_folder, _SOCKET_NAME.format(id=id_))
        stored, plan = await asyncio.to_thread(plan_model, request.model, socket_path)
        await self.daemon.holding.there()
        running = self._running(stored.name)
        if running is not None:
            return running
        launch = request.launch or LaunchPart(environ=[b"=".join(pair) for pair in os.environb.items()])
        added = {os.fsencode(name): os.fsencode(value) for name, value in plan.environ.items()}
        entries = [entry for entry in launch.environ if entry.partition(b"=")[0] not in added]
        entries += [name + b"=" + value for name, value in added.items()]
        launch = LaunchPart(environ=entries, umask=launch.umask, rlimits=launch.rlimits, nice=launch.nice)
        wanted = request.spec or SpecPart(argv=[], restart="on-failure", vram_bytes=request.vram_bytes)
        spec = msgspec.structs.replace(
            wanted,
            argv=[os.fsencode(word) for word in plan.argv],
            cwd=b"/",
            name=stored.name,
            kind=kind.MODEL,
            vram_bytes=wanted.vram_bytes if wanted.vram_bytes is not None else plan.vram_bytes,
            route=RoutePart(
                url=plan.url,
                upstream_name=plan.upstream_name,
                digest=stored.digest,
                context_tokens=plan.context_tokens,
            ),
            model=stored.name,
        )
        want.check_spec(spec)
        process = self._make(self.daemon.table.new_name(stored.name, "", number=False), spec, launch)
        self._begin(process)
        return process


def _helping(table: Table, caller: Caller, parent: Process | None, request: Spawn) -> Spawn:
    """What belongs to its parent has the limits of that. Raises InputError, RefusedError, LimitError."""
    spec = request.spec
    if not spec.with_parent:
        return request
    if parent is None:
        raise InputError("only what a supervised process starts ends with it", field="with_parent")
    if not caller.leader:  # what a tool has started would be in a sandbox of which it may not start anything
        raise authority.refused("only the leader of a process has helpers of its own")
    offspring.check_helpers(table, parent)
    return msgspec.structs.replace(
        request, spec=msgspec.structs.replace(spec, limits=spec.limits or parent.row.spec.limits)
    )


def plan_model(name: str, socket_path: str) -> tuple[StoredModel, ServePlan]:
    """How to serve the stored model `name`. Reads files: not for the loop.

    Raises NotFoundError, UnavailableError (no installed server can run it), InputError (damaged).
    """
    from aish import store

    stored: StoredModel = store.find(name)
    wanting: list[str] = []
    for server in _servers():
        if not server.serves(stored):
            continue
        missing = server.missing()
        if missing is None:
            return stored, server.plan(stored, socket_path)
        wanting.append(missing)
    if wanting:
        raise UnavailableError(wanting[0])
    raise UnavailableError(
        f"no installed model server can run {name} ({stored.format})",
        hint="serve it with a program of your own: `aish model serve NAME -- COMMAND`",
    )


def _servers() -> Sequence[ModelServer]:
    from importlib import metadata  # costs a tenth of the start-up time

    return [point.load()() for point in metadata.entry_points(group=SERVERS)]
