"""`Limit`: every limit of a process, changed for all of its tree at once; of one that has ended, for its next run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from aish.errors import ConflictError, InputError, LimitError, UsageError
from aish.model import kind, niceness, state
from aish.model.size import changed, format_bytes, parse_bytes, parse_count
from aish.supervisor.daemon import admit, want
from aish.supervisor.daemon.control import by
from aish.wire import budget as budgets
from aish.wire.message import Limit
from aish.wire.reply import Done
from aish.wire.spec import LimitPart

if TYPE_CHECKING:
    from aish.supervisor.daemon.authority import Caller
    from aish.supervisor.daemon.control import Control
    from aish.supervisor.daemon.daemon import Daemon
    from aish.supervisor.daemon.process import Process
    from aish.supervisor.daemon.row import Row
    from aish.wire.spec import BudgetPart

_WORDS: Final = {"memory_bytes": "memory", "read_bytes_per_s": "read", "write_bytes_per_s": "write"}
"""What `aish limit` calls the fields of a spec."""
_NO_LIMITS: Final = ("target", "budget", "anew")


class Limiting:
    def __init__(self, daemon: Daemon, control: Control) -> None:
        self.daemon = daemon
        self.target = control.target

    async def limit(self, caller: Caller, request: Limit) -> Done:
        """All of it or nothing. Raises UsageError, InputError, LimitError, ConflictError."""
        process = self.target(caller, "Limit", request.target)
        row = process.row
        if row.ended and (row.adopted or row.targets or row.handed_back):
            raise ConflictError(f"{row.name} ({row.id}) has ended, and cannot be started again")
        nice = None if request.nice is None else niceness.parse(request.nice)
        tokens, vram = row.spec.budget_tokens, row.spec.vram_bytes
        if request.tokens is not None:
            if row.spec.kind == kind.MODEL:
                raise UsageError(
                    budgets.of_model(row.name),
                    hint="limit an agent or a key: aish limit @AGENT tokens=+50k, aish limit key:NAME tokens=+50k",
                )
            tokens = changed(tokens, request.tokens, parse_count, "tokens")
        if request.vram is not None:
            vram = changed(vram, request.vram, parse_bytes, "vram")
            self._check_vram(process, vram)
        budget = self._budget(row, request)
        wall_s = row.spec.run_timeout_s
        if request.wall is not None:
            wall_s = budgets.wall_after(wall_s, request.wall)
        limits = _limits(row.spec.limits, request)
        if limits is not None:
            try:
                want.check_limits(limits)
            except InputError as error:
                key = _WORDS.get(error.field or "", error.field)
                raise UsageError(f"{key}: {error}") from error
        self._check_held(request, limits)
        if nice is not None and row.ended:
            row.nice = row.nice_limit = nice
        elif nice is not None:
            self._set_nice(process, nice)
        if limits != row.spec.limits:
            self.hold(process, limits)
        changes = {"budget_tokens": tokens, "budget": budget, "vram_bytes": vram, "limits": limits}
        before, row.spec = row.spec, msgspec.structs.replace(row.spec, **changes, run_timeout_s=wall_s)
        if row.spec == before and nice is None:
            return Done(changed=False)
        asked = {name: getattr(request, name) for name in request.__struct_fields__ if name not in _NO_LIMITS}
        asked |= request.budget
        self.daemon.recorder.event("limited", row, by(caller), **{k: v for k, v in asked.items() if v is not None})
        self.held(process, memory_changed=request.memory is not None)
        if wall_s != before.run_timeout_s:
            self.daemon.conductor.lives.limit_run(process)
        self.daemon.conductor.changed(process)
        self.daemon.admission.evaluate()
        return Done()

    def _budget(self, row: Row, request: Limit) -> BudgetPart | None:
        """What else it may ask of models. Raises UsageError."""
        if request.budget and row.spec.kind == kind.MODEL:
            raise UsageError(
                budgets.of_model(row.name),
                hint="limit an agent or a key: aish limit @AGENT usd=5, aish limit key:NAME usd=5",
            )
        unknown = [word for word in request.budget if word not in budgets.WORDS]
        if unknown:
            raise UsageError(f"no such limit: {unknown[0][:40]}", hint=", ".join(budgets.WORDS))
        return budgets.after(row.spec.budget, request.budget)

    def hold(self, process: Process, limits: LimitPart | None) -> None:
        """Have the kernel hold these, where it holds any of a process that runs. Raises LimitError."""
        if process.row.lifecycle in (state.RUNNING, state.STOPPING):
            self.daemon.reach.limit(process.row, limits or LimitPart())

    def held(self, process: Process, *, memory_changed: bool) -> None:
        """Its spec has them now: what is watched is watched by them."""
        if memory_changed:
            self.daemon.enforcement.memory_raised(process)
        self.daemon.sampler.schedule()
        self.daemon.enforcement.forks.watch(process)

    def _check_held(self, request: Limit, limits: LimitPart | None) -> None:
        """A limit that would change nothing is not taken for one."""
        lacking = [word for word in self.daemon.reach.unheld(limits) if getattr(request, word) not in (None, "none")]
        if lacking:
            raise LimitError(
                f"nothing here holds a limit of {' and '.join(lacking)}: no control group has that controller",
                hint="`aish doctor` says what is held, and how to get more",
            )

    def _set_nice(self, process: Process, nice: int) -> None:
        try:
            self.daemon.reach.set_nice(process.row, nice)
        except OSError as error:
            raise LimitError(
                f"nice={nice}: {error.strerror}", hint="without a right, niceness can only be raised"
            ) from error
        process.row.nice = process.row.nice_limit = nice

    def _check_vram(self, process: Process, vram_bytes: int | None) -> None:
        row = process.row
        if vram_bytes is None:
            if row.lifecycle == state.QUEUED:
                raise ConflictError("it waits for a GPU: give it a smaller quota, or stop it")
            return
        if row.spec.vram_bytes is None:
            raise ConflictError(f"{row.name} ({row.id}) was started without VRAM", hint="start it with --vram")
        rooms = [account.room(self.daemon.admission.reserve_bytes) for account in self.daemon.admission.accounts()]
        more = vram_bytes - row.spec.vram_bytes
        if row.lifecycle == state.QUEUED or row.ended:
            never = admit.impossible(admit.Request(row.id, vram_bytes, row.spec.gpu_count), rooms)
            if never is not None:
                raise LimitError(never)
            return
        for room in rooms:
            if room.uuid in row.gpus and more > 0 and room.free_bytes < more:
                free = format_bytes(max(0, room.free_bytes))
                raise LimitError(
                    f"GPU {room.index} has {free} free, {format_bytes(more)} more are wanted",
                    hint="stop or limit what else runs there: `aish gpu` shows it",
                )


def _limits(before: LimitPart | None, request: Limit) -> LimitPart | None:
    """The limits of its tree after the request. Pure. Raises UsageError."""
    asked = (request.memory, request.cpus, request.pids, request.read, request.write, request.children, request.depth)
    if all(each is None for each in asked):
        return before
    limits = before or LimitPart()
    memory, cpus, pids = limits.memory_bytes, limits.cpus, limits.pids
    read, write = limits.read_bytes_per_s, limits.write_bytes_per_s
    if request.read is not None:
        read = changed(read, request.read, parse_bytes, "read")
    if request.write is not None:
        write = changed(write, request.write, parse_bytes, "write")
    if request.memory is not None:
        memory = changed(memory, request.memory, parse_bytes, "memory")
    if request.pids is not None:
        pids = changed(pids, request.pids, parse_count, "pids")
    if request.cpus is not None:
        cpus = _cores(cpus, request.cpus)
    tree = {
        word: changed(getattr(limits, word), text, parse_count, word)
        for word in ("children", "depth")
        if (text := getattr(request, word)) is not None
    }
    on_oom = limits.on_oom if memory is not None else "kill"
    bytes_per_s = {"read_bytes_per_s": read, "write_bytes_per_s": write}
    held = {"memory_bytes": memory, "cpus": cpus, "pids": pids, "on_oom": on_oom, **bytes_per_s}
    return msgspec.structs.replace(limits, **held, **tree)


def _cores(before: float | None, text: str) -> float | None:
    if text == "none":
        return None
    try:
        cores = float(text)
    except ValueError:
        raise UsageError(f"not a number of cores: {text[:20]!r}", hint="write cpus=1.5") from None
    return (before or 0.0) + cores if text.startswith("+") else cores
