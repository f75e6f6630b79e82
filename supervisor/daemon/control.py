"""What changes a process, once authority is checked: signals, stops, starts, holds, last messages, labels."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING, Final

from msgspec import structs

from aish.errors import ConflictError, InputError, RefusedError, UnavailableError
from aish.model import exit as exits
from aish.model import kind, label, state
from aish.supervisor.daemon import authority, environ, offspring, proc, runs, want
from aish.supervisor.daemon.births import PATIENCE_S
from aish.supervisor.daemon.parking import is_waking, sentence
from aish.supervisor.daemon.process import share
from aish.supervisor.daemon.succession import successor
from aish.wire.message import Cont, Forget, Label, Mark, Pause, Restart, Signal, Start, Stop, Switch, Wrapup
from aish.wire.reply import Done

if TYPE_CHECKING:
    from aish.supervisor.daemon.authority import Caller
    from aish.supervisor.daemon.daemon import Daemon
    from aish.supervisor.daemon.process import Process
    from aish.supervisor.daemon.row import Row
    from aish.wire.spec import LaunchPart, SpecPart


MODEL_CHARS: Final = 200
CHECKPOINT_CHARS: Final = 40
DEEDS: Final = ("checkpoint", "rewind", "drop")
"""What is done with the checkpoints of an agent."""
_NOT_YET: Final = (state.SCHEDULED, state.QUEUED, state.STARTING, state.BACKOFF, state.PARKED)
_ENDING: Final = frozenset((signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGKILL))


class Control:
    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon

    def target(self, caller: Caller, op: str, name: str) -> Process:
        """Raises NotFoundError, RefusedError. What the caller may not see is refused, not hidden: it has a name."""
        if caller.standing == "nobody":  # does not even learn what there is
            authority.check(self.daemon.table, caller, op)
        process = self.daemon.table.resolve(name, authority.visible(self.daemon.table, caller))
        authority.check(self.daemon.table, caller, op, process)
        return process

    async def signal(self, caller: Caller, request: Signal) -> Done:
        process = self.target(caller, "Signal", request.target)
        if not 1 <= request.signal < signal.NSIG:
            raise InputError(f"no signal has the number {request.signal}", field="signal", hint="1 to 64")
        row = process.row
        if (
            row.lifecycle in _NOT_YET and request.signal in _ENDING and not request.bare
        ):  # there is nobody else whom it could end
            self.daemon.recorder.event("signalled", row, by(caller), signal=request.signal)
            return Done(changed=self.daemon.conductor.stop(process, None, by=who(caller)))
        if row.lifecycle not in (state.RUNNING, state.STOPPING) or not row.spec.argv:
            raise ConflictError(f"{row.name} ({row.id}) is {process.word}: there is nothing to signal")
        before, row.signalled = row.signalled, (request.signal, who(caller))  # its end may be told before the answer

        def sent() -> None:
            self.daemon.recorder.event("signalled", row, by(caller), signal=request.signal)

        if not await self.daemon.conductor.sending.signal_told(process, request.signal, sent):
            row.signalled = before
            raise ConflictError(f"{row.name} ({row.id}) has just ended")
        return Done()

    async def stop(self, caller: Caller, request: Stop) -> Done:
        process = self.target(caller, "Stop", request.target)
        grace_s, row = request.grace_s, process.row
        want.check_grace(grace_s)
        self._check_ours(process, "`kill {pid}` ends it")
        changed = self.daemon.conductor.stop(process, grace_s, by=who(caller))
        await self.daemon.conductor.wishes.kept()
        silent = self._silent(row)
        if silent is not None and row.lifecycle == state.STOPPING and row.pid is not None:
            raise UnavailableError(f"{row.name} ({row.id}) is to end, and waits: {silent}")
        return Done(changed=changed, restarts=row.restarts)

    def _silent(self, row: Row) -> str | None:
        """Why its end is not told: by the holder, or by the keeper that has taken it in from a holder before."""
        holding = self.daemon.holding
        place = proc.stat(row.pid) if row.pid is not None else None
        keepers = place is not None and place.parent == holding.keeper_pid
        return holding.silence.behind() if keepers else holding.silence.why()

    async def start(self, caller: Caller, request: Start) -> Done:
        """What has ended runs again, what is scheduled runs now.

        Raises ConflictError where its name has been taken meanwhile, StorageError, InputError."""
        process = self.target(caller, "Start", request.target)
        row = process.row
        if row.lifecycle == state.SCHEDULED:  # with the surroundings that it has: it is only its time that is another
            self.daemon.recorder.promise(row, "wanted", f"started before its time {by(caller)}")
            row.next_by = who(caller)
            self.daemon.conductor.start(process)
            await self._begun(process)
            return Done()
        if row.lifecycle == state.PARKED:
            return self._unstranded(caller, process, request)
        if not row.ended:
            return Done(changed=False)
        self._check_startable(process)
        self.daemon.table.free_for(process)
        self._check_room(process)
        if row.spec.project is None:
            self._surroundings(process, request.launch, row.next_spec or row.spec, row.nice_limit)
        else:
            self._check_declared(process)
        self.daemon.handback.taken_again(process)
        self.daemon.recorder.promise(row, "wanted", f"started again {by(caller)}")
        row.next_by = who(caller)
        self.daemon.conductor.start(process)
        await self._begun(process)
        return Done()

    def _unstranded(self, caller: Caller, process: Process, request: Start) -> Done:
        """What is parked and has lost its environment gets that of here; it goes on when its window has room. Raises
        ConflictError, InputError, StorageError."""
        row, parking = process.row, self.daemon.conductor.parking
        if not parking.stranded(process) or row.barred is None:
            return Done(changed=False)
        if row.spec.project is not None:
            self._check_declared(process)
        self._surroundings(process, request.launch, row.next_spec or row.spec, row.nice_limit)
        row.barred, row.reason = structs.replace(row.barred, stranded=False), sentence(row.barred)
        self.daemon.recorder.promise(row, "wanted", f"given another environment {by(caller)}")
        self.daemon.conductor.changed(process)
        parking.look(process)
        return Done()

    async def restart(self, caller: Caller, request: Restart) -> Done:
        """Two at once are one. Raises what `start` raises."""
        process = self.target(caller, "Restart", request.target)
        row = process.row
        self._check_startable(process)
        if row.ended:
            self._check_room(process)
        spec = self._successor(caller, process, request.spec)
        if row.again and spec is None:
            return Done(changed=False)
        if row.spec.project is not None and spec is None:
            self._check_declared(process)
        elif request.launch is not None and caller.standing == "user":
            nice = row.nice_limit if spec is None else spec.nice  # with another spec, its limits are others, too
            self._surroundings(process, request.launch, spec or row.next_spec or row.spec, nice)
        elif process.launch is None and self.daemon.launcher.files.load(row.id) is None:
            raise ConflictError(
                f"the environment of {row.name} ({row.id}) is not kept any more: it has ended",
                hint=f"with the environment of here: `aish restart {row.name}`",
            )
        if row.ended:
            self.daemon.table.free_for(process)
            self.daemon.handback.taken_again(process)
        self.daemon.recorder.promise(row, "wanted", f"restarted {by(caller)}")
        row.next_by = who(caller)
        row.next_spec = spec or row.next_spec
        if row.ended:
            self.daemon.conductor.start(process)
        else:
            row.again = True
            self.daemon.conductor.stop(process, request.grace_s, exits.RESTARTED, who(caller))
            due_s = asyncio.get_running_loop().time() + PATIENCE_S
            while row.again and not row.ended:
                await self._change(process, due_s)
        await self._begun(process)
        return Done()

    def _successor(self, caller: Caller, process: Process, spec: SpecPart | None) -> SpecPart | None:
        """What it is to be from its next start on. Raises InputError, RefusedError."""
        if spec is None:
            return None
        if caller.standing != "user":
            raise RefusedError("only the user can give a process another spec")
        return successor(process.row, spec)

    def _check_ours(self, process: Process, hint: str) -> None:
        """Raises ConflictError where `aish off` gave it up, and something of it lives. `hint` has a {pid}."""
        row, left = process.row, self.daemon.handback.left(process)
        if not left:
            return
        text = f"{row.name} ({row.id}) was handed back by `aish off` and still runs (pid {row.pid})"
        if row.pid not in left:
            text = (
                f"of {row.name} ({row.id}), which was handed back by `aish off`, these still run: {proc.named(left)}"
            )
        pid = row.pid if row.pid in left else " ".join(map(str, left))
        raise ConflictError(text, hint=hint.format(pid=pid))

    def _check_startable(self, process: Process) -> None:
        row = process.row
        if row.spec.kind == kind.SYSTEM:
            raise ConflictError(f"{row.name} is part of aish: it starts when it is needed")
        self._check_ours(process, "end it first: `kill {pid}`; or start another with `aish spawn`")
        if row.adopted:
            raise ConflictError(
                f"{row.name} ({row.id}) was adopted: nobody captured what it was started with",
                hint="start it where you started it before, or anew with `aish spawn`",
            )
        if row.targets:
            raise ConflictError(
                f"{row.name} ({row.id}) was given descriptors by the program that started it, which are gone",
                hint="start it anew with `aish spawn`",
            )
        if self.daemon.ending.begun:
            raise ConflictError("the supervisor is shutting down", hint="try again in a moment")

    def _check_room(self, process: Process) -> None:
        """One that had ended counts below those above it again. Raises LimitError."""
        parent = process.row.parent
        above = self.daemon.table.get(parent) if parent is not None else None
        offspring.check(self.daemon.table, self.daemon.recorder, above)

    def _check_declared(self, process: Process) -> None:
        """What an aish.toml declares starts with its declared environment, whoever starts it."""
        row = process.row
        if process.launch is None and self.daemon.launcher.files.load(row.id) is None:
            raise ConflictError(
                f"the declared environment of {row.name} ({row.id}) is not kept any more",
                hint=f"aish up -f {row.spec.project} {row.name}",
            )

    def _surroundings(self, process: Process, launch: LaunchPart, spec: SpecPart, nice: int | None) -> None:
        """`nice`: its own, in place of theirs. Raises InputError, StorageError; then nothing has changed."""
        want.check_launch(launch)
        launch = environ.withheld(launch, spec.secrets)
        row = process.row
        self.daemon.launcher.files.save(row.id, launch)
        process.launch = launch
        row.umask, row.rlimits = launch.umask, launch.rlimits
        row.nice, row.nice_limit = launch.nice if nice is None else nice, nice
        row.environ_names = environ.names(launch.environ)
        share(row)

    async def _begun(self, process: Process) -> None:
        """Until it runs or waits with a reason. Raises UnavailableError where it has failed."""
        row = process.row
        due_s = asyncio.get_running_loop().time() + PATIENCE_S
        while row.again or row.lifecycle == state.STARTING or (row.lifecycle == state.QUEUED and row.reason is None):
            await self._change(process, due_s)
        if row.lifecycle == state.FAILED:
            raise UnavailableError(f"{row.name} ({row.id}): {row.reason or 'it did not start'}")

    async def _change(self, process: Process, due_s: float) -> None:
        """Raises UnavailableError where the holder is silent at `due_s`; what was asked for goes on when it does."""
        silent = await self.daemon.conductor.births.change(process, due_s)
        if silent is not None:
            raise UnavailableError(f"{process.row.name} ({process.id}) is {process.word}, and waits: {silent}")

    async def pause(self, caller: Caller, request: Pause) -> Done:
        process = self.target(caller, "Pause", request.target)
        row = process.row
        if row.ended:
            raise ConflictError(f"{row.name} ({row.id}) has ended")
        if row.spec.kind == kind.SYSTEM:
            raise ConflictError(f"{row.name} is part of aish: every request to a model would stand still with it")
        if not self.daemon.conductor.hold(process, state.USER, "put"):
            return Done(changed=False)
        row.paused_by = None if caller.standing == "user" else caller.id
        self.daemon.recorder.event("paused", row, by(caller))
        await self.daemon.conductor.sending.done()
        return Done()

    async def cont(self, caller: Caller, request: Cont) -> Done:
        process = self.target(caller, "Cont", request.target)
        row = process.row
        if row.ended:
            raise ConflictError(f"{row.name} ({row.id}) has ended")
        if state.USER not in row.holds and row.barred is not None and not is_waking(row):
            self.daemon.conductor.parking.let_go(process, user=caller.standing == "user", by=by(caller))
            return Done()
        if state.USER not in row.holds:
            others = ", ".join(row.holds)
            if others:
                raise ConflictError(
                    f"{row.name} ({row.id}) is held: {others}",
                    hint=f"raise the limit: `aish limit {row.name} tokens=+50k`"
                    if state.BUDGET in row.holds
                    else None,
                )
            return Done(changed=False)
        if caller.standing != "user" and row.paused_by is None:
            raise RefusedError(f"{row.name} ({row.id}) was paused by the user, who alone lets it go on")
        if self.daemon.conductor.hold(process, state.USER, "lift"):
            await self.daemon.conductor.sending.done()
        row.paused_by = None
        self.daemon.recorder.event("continued", row, by(caller))
        return Done()

    async def wrapup(self, caller: Caller, request: Wrapup) -> Done:
        """Raises UsageError, InputError, ConflictError, StorageError."""
        process = self.target(caller, "Wrapup", request.target)
        changed = self.daemon.conductor.wrapups.begin(process, request, who(caller))
        return Done(changed=changed, restarts=process.row.restarts)

    async def switch(self, caller: Caller, request: Switch) -> Done:
        """Raises InputError, ConflictError for who asks no model."""
        process = self.target(caller, "Switch", request.target)
        row, model = process.row, request.model
        if row.spec.kind not in (kind.AGENT, kind.COMMAND):
            raise ConflictError(f"{row.name} ({row.id}) is a {row.spec.kind}: it asks no model")
        if row.spec.observe is not None and model is not None:
            raise ConflictError(f"{row.name} ({row.id}) is observed: its requests do not pass the gateway")
        if model is not None and (not model.strip() or len(model) > MODEL_CHARS or not model.isprintable()):
            raise InputError("expected the name of a model", field="model", hint="`aish model ls` lists them")
        if model == row.switched:
            return Done(changed=False)
        row.switched = model
        text = "answered by what it asks for again" if model is None else f"answered by {model} from now on"
        self.daemon.recorder.event("switched", row, f"{text} {by(caller)}", model=model)
        self.daemon.conductor.changed(process)
        self.daemon.conductor.parking.switched(process, text)
        return Done()

    async def label(self, caller: Caller, request: Label) -> Done:
        """Raises InputError; then none has changed."""
        process = self.target(caller, "Label", request.target)
        row = process.row
        if len(request.unset) > label.MOST or len(request.set) > label.MOST:
            raise InputError(f"at most {label.MOST} labels", field="labels")
        labels = {key: value for key, value in row.spec.labels.items() if key not in request.unset} | request.set
        label.check(labels)
        if labels == row.spec.labels:
            return Done(changed=False)
        changes = [f"{key}={value}" for key, value in request.set.items()]
        changes += [f"{key}-" for key in request.unset if key in row.spec.labels]
        row.spec = structs.replace(row.spec, labels=labels)
        self.daemon.recorder.event("labelled", row, by(caller), changes=" ".join(changes))
        self.daemon.conductor.changed(process)
        return Done()

    async def mark(self, caller: Caller, request: Mark) -> Done:
        """Raises RefusedError, ConflictError, InputError."""
        if request.deed not in DEEDS:
            raise InputError(f"expected {', '.join(DEEDS)}", field="deed")
        process = self.target(caller, "Mark", request.target)
        row = process.row
        if row.spec.kind != kind.AGENT:
            raise ConflictError(f"{row.name} ({row.id}) is no agent", hint="agents have checkpoints")
        reached = request.checkpoint[:CHECKPOINT_CHARS]
        if request.done and request.deed == "checkpoint":
            self.daemon.recorder.event("checkpoint", row, by(caller), checkpoint=reached)
        elif request.done and request.deed == "rewind":
            self.daemon.recorder.event("rewound", row, by(caller), checkpoint=reached)
        return Done()

    async def forget(self, caller: Caller, request: Forget) -> Done:
        process = self.target(caller, "Forget", request.target)
        row = process.row
        if not row.ended:
            raise ConflictError(
                f"{row.name} ({row.id}) is {process.word}", hint=f"stop it first: `aish stop {row.id}`"
            )
        lives = self.daemon.table.lives_below(process.id)
        if lives is not None:  # by its place what is below it is held, counted and controlled
            raise ConflictError(
                f"{lives.row.name} ({lives.id}), which is below {row.name} ({row.id}), has not ended",
                hint=f"stop it first: `aish stop {lives.id}`",
            )
        self.daemon.forgetting.forget([process])
        return Done()


def who(caller: Caller) -> str:
    return caller.id if caller.id is not None else runs.USER


def by(caller: Caller) -> str:
    return f"by {who(caller)}"
