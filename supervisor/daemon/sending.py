"""What is sent to a process and to its whole tree: signals, a freeze, the end. Nothing is decided here.

To its process group through the holder, which alone can be sure that a pid is still its child's; to the rest of the
tree through its control group or by its tag (`reach`). What dies with the holder the take-over sends again.
"""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING, Final

from aish.errors import DisconnectedError, UnavailableError
from aish.supervisor.daemon.holding import AwayError, Refusal
from aish.supervisor.daemon.launcher import pty_name

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from aish.supervisor.daemon.holding import Holding
    from aish.supervisor.daemon.process import Process
    from aish.supervisor.daemon.reach import Reach
    from aish.supervisor.daemon.recorder import Recorder
    from aish.supervisor.daemon.watch import Watch

FREEZE_S: Final = 0.2
"""A frozen group stands still within milliseconds, unless one of it hangs in the kernel."""
STOP_S: Final = 0.05
_LOOK_S: Final = 0.002


class Sending:
    """`remote` is asked to end a model that runs elsewhere: it has no process."""

    def __init__(
        self,
        holding: Holding,
        watch: Watch,
        reach: Reach,
        recorder: Recorder,
        remote: Callable[[Process], None],
    ) -> None:
        self.holding, self.watch, self.reach, self.recorder = holding, watch, reach, recorder
        self._remote = remote
        self._under_way: set[asyncio.Task[None]] = set()

    async def done(self) -> None:
        """Until all that is under way is done: who was told 'paused' must find it standing still, who was told
        'ended' the whole log of its terminal. Raises UnavailableError where the holder is silent."""
        while self._under_way:
            await self.holding.silence.bounded(asyncio.wait(set(self._under_way)), by_keeper=True)

    def send(self, process: Process, number: int) -> None:
        """A signal to its group, without waiting for it to be sent."""
        if process.row.spec.argv:
            self._begin(self.signal(process, number))
        elif number in (process.row.spec.stop_signal, signal.SIGKILL):
            asyncio.get_running_loop().call_soon(self._remote, process)

    async def signal(self, process: Process, number: int) -> bool:
        """Send a signal to its group; False if there is nothing to send it to."""
        try:
            return await self._sent(process, number)
        except DisconnectedError:
            return False  # the take-over by the next holder does again what must be done

    async def signal_told(
        self, process: Process, number: int, sent: Callable[[], None], *, group: bool = True
    ) -> bool:
        """`signal` for a person, or without `group` to the process alone; `sent` is called when it is, before its
        consequences. Raises UnavailableError where nobody can tell whether it was sent, and where the holder is
        silent: then it is sent when that goes on."""
        try:
            sending = self._sent_by_next(process, number, sent, group=group)
            return await self.holding.silence.bounded(sending, by_keeper=True)
        except DisconnectedError as error:
            raise UnavailableError(
                f"the holder died while {process.row.name} ({process.id}) was signalled: it may have taken effect",
                hint="look with `aish ps`, then try again",
            ) from error

    async def _sent_by_next(self, process: Process, number: int, sent: Callable[[], None], *, group: bool) -> bool:
        """By the next holder, where there is none just now: then nobody was asked so far."""
        while True:
            try:
                return await self._sent(process, number, sent, group=group)
            except AwayError:
                await self.holding.reachable()

    async def _sent(
        self, process: Process, number: int, sent: Callable[[], None] | None = None, *, group: bool = True
    ) -> bool:
        if process.watch_fd is not None:
            done = self.watch.signal(process, number, group=group and self.reach.has_group(process.row))
            if done and sent is not None:
                sent()
            return done
        try:
            await self.holding.signal(process.id, number, group=group, sent=sent)
        except Refusal:
            return False  # it ended meanwhile
        return True

    # --- the whole tree -----------------------------------------------------------------------------------------

    def stop(self, process: Process) -> None:
        """Its stop signal, and let it go on: a frozen one could not act on it."""
        self.reach.look(process.row)
        self.send(process, process.row.stop_signal)
        self.reach.freeze(process.row, False)
        self.send(process, signal.SIGCONT)

    def kill(self, process: Process) -> None:
        """SIGKILL to all of it, frozen or not."""
        self.reach.look(process.row)
        self.reach.kill(process.row)
        self.send(process, signal.SIGKILL)

    def freeze(self, process: Process) -> None:
        if process.row.spec.argv:
            self._begin(self._freeze(process))

    def thaw(self, process: Process) -> None:
        """`row.thawing` is set until it is known to have been done: the holder may just be dying."""
        process.row.thawing = True
        self._begin(self._thaw(process))

    async def _freeze(self, process: Process) -> None:
        """SIGSTOP first, so that every tool sees state T; the freeze is for those who left the process group."""
        row = process.row
        await self.signal(process, signal.SIGSTOP)
        await _until(
            lambda: not self.reach.moving(row), STOP_S
        )  # a frozen one would act on it only when it is thawed
        if not row.stands_still:
            return  # it was let go on meanwhile
        if not self.reach.freeze(row, True):
            self.reach.signal_rest(row, signal.SIGSTOP)
            return
        await _until(lambda: self.reach.frozen(row), FREEZE_S)

    async def _thaw(self, process: Process) -> None:
        row = process.row
        if row.spec.argv:
            self.reach.freeze(row, False)
            self.reach.signal_rest(row, signal.SIGCONT)
            if not await self.signal(process, signal.SIGCONT):
                return
        if row.stands_still:
            return  # it was held again meanwhile, and told so after us
        row.thawing = False
        self.recorder.change(row)

    def drop_pty(self, process: Process) -> None:
        self._begin(self._drop_pty(process.id))

    async def _drop_pty(self, id_: str) -> None:
        try:
            await self.holding.request("drop", name=pty_name(id_))
        except (Refusal, DisconnectedError):
            return  # the next holder has it still: the take-over drops what nobody has any more

    def _begin(self, work: Coroutine[object, object, object]) -> None:
        task: asyncio.Task[None] = asyncio.ensure_future(_none(work))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)


async def _until(holds: Callable[[], bool], patience_s: float) -> None:
    """Look again and again: the kernel tells by files that no loop can wait for, within a few milliseconds."""
    loop = asyncio.get_running_loop()
    until = loop.time() + patience_s
    while not holds() and loop.time() < until:
        await asyncio.sleep(_LOOK_S)


async def _none(work: Coroutine[object, object, object]) -> None:
    await work
