"""The daemon put together: what is made in which order, and what is told to whom."""

from __future__ import annotations

import asyncio
import functools
import os
import signal
import time
from typing import TYPE_CHECKING, Final

from aish.agents import keeping
from aish.config import folders, settings
from aish.errors import AishError, DisconnectedError, SourceError, StorageError
from aish.model import kind
from aish.model.sandbox import GATEWAY, PROXY
from aish.model.state import PARKED
from aish.sandbox.outlets import Outlets
from aish.supervisor.daemon import ancestry, cgroup, proc, server, tagged
from aish.supervisor.daemon.admission import Admission
from aish.supervisor.daemon.api import Api
from aish.supervisor.daemon.asking import Asking
from aish.supervisor.daemon.authority import NOBODY, Caller
from aish.supervisor.daemon.build import fingerprint
from aish.supervisor.daemon.conductor import Conductor
from aish.supervisor.daemon.doors import Doors
from aish.supervisor.daemon.egress_link import EgressLink
from aish.supervisor.daemon.ending import Ending
from aish.supervisor.daemon.enforcement import Enforcement
from aish.supervisor.daemon.environ import EnvironFiles
from aish.supervisor.daemon.forgetting import Forgetting
from aish.supervisor.daemon.gateway_link import GatewayLink
from aish.supervisor.daemon.gpus import Gpus
from aish.supervisor.daemon.handback import LEAVING, Handback
from aish.supervisor.daemon.handback import NOTED as HANDED_BACK
from aish.supervisor.daemon.holding import Holding
from aish.supervisor.daemon.launcher import Launcher
from aish.supervisor.daemon.logkeeper import LogKeeper
from aish.supervisor.daemon.logs import Logs
from aish.supervisor.daemon.observing import Observing
from aish.supervisor.daemon.parents import NOTED, Parents
from aish.supervisor.daemon.ports import Ports
from aish.supervisor.daemon.posting import Posting
from aish.supervisor.daemon.prompt import PromptFile
from aish.supervisor.daemon.reach import Reach
from aish.supervisor.daemon.recall import Recall
from aish.supervisor.daemon.recorder import Recorder
from aish.supervisor.daemon.relocating import Relocating
from aish.supervisor.daemon.sampler import Sampler
from aish.supervisor.daemon.sandboxes import Sandboxes
from aish.supervisor.daemon.state_folder import StateFolder
from aish.supervisor.daemon.survivors import Survivors
from aish.supervisor.daemon.system_child import SystemChild
from aish.supervisor.daemon.table import EGRESS_ID, GATEWAY_ID, Table
from aish.supervisor.daemon.takeover import Takeover
from aish.supervisor.daemon.told import Told
from aish.supervisor.daemon.upgrade import Upgrade
from aish.supervisor.holder import wire as holder_wire
from aish.wire import key
from aish.wire.message import VERSION
from aish.wire.reply import Welcome

if TYPE_CHECKING:
    from aish.supervisor.daemon.ancestry import Peer
    from aish.supervisor.daemon.connection import Connection
    from aish.supervisor.daemon.process import Process
    from aish.supervisor.daemon.row import Row
    from aish.supervisor.daemon.turns import Turns

ESTATE: Final = "holder"
CONFIGURED: Final = "the default settings are used"


class Daemon:
    """Everything that the parts share. `left` is set when the program is to end."""

    def __init__(self, boot_id: str, turns: Turns) -> None:
        self.boot_id = boot_id
        self.turns = turns
        self.started_s = time.time()
        self.build = fingerprint()
        self.upgrade = Upgrade(self.build, self._upgraded, self._upgrade_refused)
        self.runtime_folder = folders.private(folders.runtime())
        self.state_folder = folders.private(folders.state())
        self.found = StateFolder(self.state_folder)
        self.survivors = Survivors(self.state_folder, boot_id)
        self.left = asyncio.Event()
        self.server: server.Server | None = None
        self.own_connections: set[Connection] = set()
        """Those of parts of aish, not of clients."""
        self._estate: str | None = None
        self._freeing = False
        self._alerts: list[str] = []
        self._config = _changed_at(settings.path())
        self.settings = self._settings()
        self.logs = Logs(folders.private(os.path.join(self.state_folder, "logs")))

    def _settings(self) -> settings.Settings:
        try:
            return settings.load()
        except SourceError as error:
            self._alerts.append(f"{error}: {CONFIGURED}")
            return settings.Settings()

    # --- the beginning ------------------------------------------------------------------------------------------

    async def begin(self) -> None:
        """Take over what there is, then open the door. Raises StorageError, UnavailableError."""
        loop = asyncio.get_running_loop()
        journal, kept, why_none = self.found.journal(folders.private(self.runtime_folder))
        self.recorder = Recorder(
            journal,
            loop,
            why_none,
            reopen=lambda: self.found.reopened(self.epoch),
            rows=lambda: [process.row for process in self.table],
            past=kept.events,
            past_runs=kept.runs,
            told=Told(lambda: self.runtime_folder),
        )
        self.table = Table(max(kept.next_number, self.logs.last_number() + 1))
        secret = self.found.secret()
        self.epoch = self.found.epoch(journal, lambda epoch: self._lives(secret, epoch))
        self.holding = Holding(
            os.path.join(self.runtime_folder, holder_wire.SOCKET_NAME),
            died=lambda death: self.conductor.died(death),  # noqa: PLW0108  made later
            regained=self._regained,
            lost=self._holder_lost,
            home=lambda path: self.relocating.moved(path),  # noqa: PLW0108  made later
        )
        self._make_parts(secret)
        noted = {key: journal.meta(key) if journal is not None else None for key in (NOTED, HANDED_BACK, LEAVING)}
        self.parents = Parents(self, noted[NOTED])
        self.handback = Handback(self, noted[HANDED_BACK], noted[LEAVING])
        self.takeover.load(kept.rows)
        if self.found.rebuilt:
            self.takeover.rebuilding.by_mark()
        await self.holding.connect()
        if self.found.rebuilt:
            await self.takeover.rebuilding.by_store()
        await self.gateway.listen()
        await self.egress.listen()
        before = journal.meta(ESTATE) if journal is not None else None
        await self.takeover.reconcile(begun=False, same_estate=before in (None, self.holding.estate))
        self._estate = self.holding.estate
        self.recorder.note(ESTATE, self.holding.estate)
        self.log_keeper.go_on()
        self.prompt.changed()
        await self.doors.restore({process.id for process in self.table.alive()})
        self.gateway.watch()
        self.egress.watch()
        self.recorder.flush()
        self.forgetting.tidy()
        self.api = Api(self)
        self.server = server.Server(
            server.listen(folders.daemon_socket()),
            identify=self._identify,
            welcome=self.welcome,
            handle=self.api.handle,
            emptied=self.ending.check,
        )
        loop.add_signal_handler(signal.SIGTERM, self.left.set)
        self.ending.check()
        self.sampler.schedule()
        self.handback.go_on()
        self.observing.go_on()
        self.asking.restore()
        self.posting.restore()
        if any(process.row.lifecycle == PARKED for process in self.table):
            self.want_gateway()  # who tells when there is room for them
        self.parents.look()
        self.recall.schedule()

    def _layout(self) -> cgroup.Layout:
        """Where control groups can be made; keeper and holder are our parents already."""
        if not self.settings.control_groups:
            return cgroup.NONE
        holder = os.getppid()
        place = proc.stat(holder)
        ours = [pid for pid in (place.parent if place is not None else 0, holder, os.getpid()) if pid > 1]
        return cgroup.probe(cgroup.group_name(os.getuid(), self.state_folder), ours)

    def _make_parts(self, secret: bytes) -> None:
        """The parts know each other by calls, set here and in what follows; none of them runs before the next is
        there."""
        self.takeover = Takeover(self)
        self.ending = Ending(self)
        self.forgetting = Forgetting(self)
        self.relocating = Relocating(self)
        self.log_keeper = LogKeeper(self)
        self._make_queue()
        self._make_gateway()
        self._make_starts(secret)
        self._make_views(secret)
        self._connect()

    def _make_queue(self) -> None:
        """Who waits for what, and what there is of it."""
        self.gpus = Gpus(self.settings.gpu_drivers, self._gpus_told)
        self.sampler = Sampler(self.table, self.gpus, lambda: self.holding.pids)
        self.admission = Admission(
            self.table, self.gpus, self.settings.gpu_reserve_bytes, lambda: self.sampler.owner_of
        )

    def _make_gateway(self) -> None:
        """What reaches models and hosts, and the doors of sandboxes to both."""
        part = functools.partial(
            SystemChild, table=self.table, recorder=self.recorder, state_folder=self.state_folder
        )
        told = self.settings
        self.gateway = part(
            GATEWAY_ID, wanted_port=told.gateway_port, address=told.gateway_address, hosts=told.gateway_hosts
        )
        self.egress = part(EGRESS_ID, plain=True)
        self.doors = Doors(self.holding, lambda door: self.gateway if door == GATEWAY else self.egress)
        self.link = GatewayLink(
            self.table,
            self.recorder,
            self.settings,
            epoch=self.epoch,
            stored_models=_stored_models,
            need=lambda model, asked_by: self.api.spawning.need(model, asked_by),  # noqa: PLW0108  made later
            doors=self.doors,
        )

    def _make_starts(self, secret: bytes) -> None:
        """What starts processes, reaches all of them, and knows what their ends mean."""
        self.reach = Reach(
            self._layout,
            self.table,
            secret=secret,
            epoch=self.epoch,
            reapers=lambda: self.holding.pids,
            own=os.getpid(),
        )
        self.launcher = Launcher(
            self.holding,
            self.logs,
            EnvironFiles(os.path.join(self.runtime_folder, "environ")),
            Ports(),
            secret=secret,
            epoch=self.epoch,
            gateway_url=lambda: self.gateway.url,
            gpu_environ=lambda row: self.gpus.environ(row.gpus, row.spec.vram_bytes),
            reach=self.reach,
            has_socket=self.table.has_socket,
            transcript=lambda id_: keeping.transcript(self.state_folder, id_, self.epoch),
            sandboxes=Sandboxes(self.runtime_folder, self._outlets, self.doors.channel),
        )
        self.conductor = Conductor(
            self.table,
            self.recorder,
            self.holding,
            self.launcher,
            boot_id=self.boot_id,
            enqueue=self.admission.enqueue,
            told=self._changed,
            began=self._began,
            freed=self._freed,
            reach=self.reach,
        )

    def _make_views(self, secret: bytes) -> None:
        """What looks at them while they run, and what they and people tell each other."""
        self.enforcement = Enforcement(self.table, self.conductor)
        self.observing = Observing(
            self.table,
            self.recorder,
            self.reach,
            self.launcher.files,
            changed=self.conductor.changed,
            wanted=self.want_gateway,
        )
        self.prompt = PromptFile(
            asyncio.get_running_loop(),
            lambda: self.runtime_folder,
            lambda: [process.row for process in self.table],
            lambda: self.asking.open(),  # noqa: PLW0108  made later
        )
        self.posting = Posting(self.table, self.recorder)
        self.asking = Asking(self.table, self.recorder, self.prompt.changed)
        self.egress_link = EgressLink(
            self.table, self.asking, self.recorder, self.doors, lambda id_: key.proxy_word(secret, id_, self.epoch)
        )
        self.recall = Recall(self.table, self.gpus, self.reach, self.recorder, lambda: self.sampler.owner_of)

    def _connect(self) -> None:
        """The calls of parts to what was made after them."""
        for child in (self.gateway, self.egress):
            child.leaving = lambda: self.ending.begun
            child.conductor = self.conductor
        self.gateway.doors = lambda: self.doors.listeners(GATEWAY)
        self.egress.doors = lambda: self.doors.listeners(PROXY)
        self.link.conductor = self.conductor
        self.link.sessions_read = self.observing.read
        self.admission.admitted = self.conductor.admitted
        self.admission.refused = self.conductor.refused
        self.admission.changed = self.conductor.changed
        self.admission.group_waits = self.conductor.fellowship.waits_for
        self.conductor.run_over = self.enforcement.run_over
        self.conductor.struck = self.recall.struck
        self.sampler.over, self.sampler.sampled = self.enforcement.vram, self._sampled
        self.sampler.watched_memory = self.enforcement.watches
        self.sampler.elsewhere = self.reach.adopted
        self.holding.silence.told = self._silent

    def _lives(self, secret: bytes, epoch: int) -> bool:
        """Whether something may run that was started in that epoch."""
        if os.path.exists(os.path.join(self.runtime_folder, holder_wire.SOCKET_NAME)):
            return True
        return bool(tagged.look(lambda id_: key.tag(secret, id_, epoch)))

    # --- the parts' calls ---------------------------------------------------------------------------------------

    def want_gateway(self) -> None:
        """Somebody will ask for a model soon. That it cannot be started now is told where it is asked."""
        try:
            self.gateway.ensure()
        except StorageError as error:
            self.recorder.event("fault", text=f"the gateway cannot be started: {error}")

    def _outlets(self, row: Row) -> Outlets:
        """Where the doors of a sandbox are. It is about to be started: the proxy learns of it first."""
        self.egress_link.expect(row)
        return Outlets(self.gateway.url, self.egress.port, self.egress_link.word(row.id))

    def alerts(self) -> list[str]:
        """What a person should know now."""
        found = [*self._alerts, *self.found.alerts]
        if self.recorder.failure is not None:
            found.append(f"the process table is not written: {self.recorder.failure}")
        parts = (self.upgrade.alert(), self.holding.silence.behind(), self.gateway.alert, self.gateway.told)
        found += filter(None, (*parts, self.gateway.behind(), self.egress.alert))
        trouble = self.gpus.trouble()
        if trouble is not None:
            found.append(trouble)
        return found

    def welcome(self, caller: Caller) -> Welcome:
        return Welcome(
            version=VERSION,
            pid=os.getpid(),
            epoch=self.epoch,
            caller=caller.id,
            standing=caller.standing,
            gateway_url=self.gateway.url,
            started_s=self.started_s,
            build=self.build,
        )

    async def _identify(self, peer: Peer) -> Caller:
        caller = self.traced(peer)
        starting = list(self.conductor.births.under_way)
        if caller == NOBODY and starting:
            # It may be a process whose pid the holder has told us in a reply that is still under way.
            await asyncio.wait(starting, timeout=1.0)
            caller = self.traced(peer)
        await self.ending.decided()
        self.ending.check()
        await self._look_for_changes()
        return caller

    async def _look_for_changes(self) -> None:
        """What a person may have changed since the last client came: the configuration, the models. Two stats."""
        config = _changed_at(settings.path())
        if config != self._config:
            self._config = config
            self._alerts = [alert for alert in self._alerts if CONFIGURED not in alert]
            self.settings = self.link.settings = self._settings()
            self.recorder.event("configured", text="; ".join(self._alerts) or f"{settings.path()} was read again")
            self.gateway.configure(self.settings.gateway_address, self.settings.gateway_hosts)
            self.admission.reserve_bytes = self.settings.gpu_reserve_bytes
            self.link.sync()
        self.upgrade.look()
        await self.link.look_for_models()

    def _upgraded(self, build: str) -> None:
        text = "the program's files were replaced: the next daemon is made of them"
        self.recorder.event("upgraded", text=text, build=build)
        self.recorder.flush()
        self.left.set()

    def _upgrade_refused(self, why: str, build: str) -> None:
        text = f"the program's files were replaced, and no daemon starts of them: {why}; build {self.build} goes on"
        self.recorder.event("upgrade-refused", text=text, build=build)

    def traced(self, peer: Peer) -> Caller:
        holders = self.holding.pids | {os.getpid()}
        caller = ancestry.trace(peer, self._leader, self.table.session, holders)
        process = self.table.get(caller.id) if caller.id is not None else None
        if process is not None and process.row.spec.rights == "owner" and caller.standing == "process":
            return Caller("user", process.id, leader=caller.leader)
        return caller

    def _changed(self, process: Process) -> None:
        self.link.told(process)
        self.prompt.changed()
        self.admission.happened(process)

    def _leader(self, pid: int, start_ticks: int) -> str | None:
        errands = self.conductor.lives.errands
        return self.table.leader(pid, start_ticks) or errands.leader(pid, start_ticks)

    def _began(self, process: Process) -> None:
        self.enforcement.forks.watch(process)
        self.sampler.began(process)
        self.observing.began(process)
        self.recall.began()

    def _sampled(self) -> None:
        self.enforcement.look()
        self.recall.look()

    def _freed(self, process: Process) -> None:
        """It holds nothing any more."""
        self.log_keeper.ended(process)
        self.observing.ended(process)
        self.asking.over(process)
        self.posting.run_over(process)
        if process.row.spec.kind == kind.AGENT or process.row.spec.sandbox is not None:
            keeping.over(self.runtime_folder, process.id)
        self.doors.over(process.id)
        self.egress_link.over(process)
        for child in (self.gateway, self.egress):
            if process.row.ended and process is child.process:
                child.watch()
        if not self._freeing:
            self._freeing = True
            asyncio.get_running_loop().call_soon(self._all_freed)

    def _all_freed(self) -> None:
        """Once for all that ended together: each of these looks at every process."""
        self._freeing = False
        if self.admission.queue():
            if self.gpus.started:
                self.gpus.refresh()
            self.admission.evaluate()
        self.ending.check()
        self.sampler.schedule()
        self.recall.schedule()
        self.forgetting.prune()

    def _gpus_told(self) -> None:
        self.sampler.devices_told()
        self.admission.evaluate()
        for process in self.admission.queue():
            process.changed()  # who waits for the answer to a spawn learns now that it waits

    # --- the holder ---------------------------------------------------------------------------------------------

    async def _regained(self) -> None:
        """Another holder took over from the one before, or the same process is another program."""
        self.recorder.event("holder", text="connected to the holder again", pid=self.holding.pid)
        try:
            before, self._estate = self._estate, self.holding.estate
            await self.takeover.reconcile(begun=True, same_estate=before in (None, self.holding.estate))
        except DisconnectedError:
            return  # this one is gone, too: the next connection begins again
        self.parents.look()

    def _silent(self, why: str | None) -> None:
        self.recorder.event("holder", text=why or "the holder answers again", pid=self.holding.pid)
        self.conductor.births.silent(why)

    async def _holder_lost(self, live: bool) -> None:
        """Keeper and holder are both gone. The next daemon, a child of the next holder, takes over from us.

        `live`: one of them is there, but not where it was: it starts the next daemon, and tells it where."""
        if live:
            self.recorder.event("holder", text=f"nobody listens at {self.holding.path}: another daemon is told where")
            self.recorder.flush()
            self.left.set()
            return
        if await self.handback.parents_lost():
            return
        self.recorder.event("holder", text="keeper and holder are gone; they are started again")
        self.recorder.flush()
        self.left.set()
        self.relaunch = True

    relaunch = False

    def legacy(self) -> dict[str, int]:
        """What the next daemon is to have, by the names under which it looks in the next holder's store."""
        return {
            **self.conductor.watch.legacy(),
            **self.conductor.lives.notices.legacy(),
            **self.doors.legacy(),
        }

    def end(self) -> None:
        """Leave everything as it is for the next daemon."""
        if self.server is not None and self.relaunch:
            self.server.stand_by()
        elif self.server is not None:
            self.server.stop_accepting(folders.daemon_socket())
        self.parents.close()
        self.upgrade.close()
        self.gpus.close()
        self.sampler.close()
        self.recall.close()
        self.observing.close()
        self.enforcement.forks.close()
        self.log_keeper.close()
        self.prompt.close()
        self.holding.close()
        self.gateway.close()
        self.egress.close()
        self.doors.close()
        self.recorder.close()


def _stored_models() -> list[str]:
    """Raises OSError."""
    from aish import store

    try:
        names: list[str] = store.names()
        return names
    except AishError:
        return []  # damaged: until somebody changes it


def _changed_at(path: str) -> int | None:
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return None
