"""aish: keeper, holder and daemon in private XDG folders, spoken to over the daemon's own socket."""

from __future__ import annotations

import os
import secrets
import select

from aish.client import Client, connect, launch
from aish.errors import AishError
from aish.supervisor.holder import link, wire
from aish.wire.message import Message, Shutdown, Spawn, Stop
from aish.wire.reply import Started
from aish.wire.spec import SpecPart
from benches.supervisor.driver import Driver, Service

CONNECTIONS = 16


class Ours(Driver):
    name = "aish"
    jobs = 500

    def __init__(self, folder: str) -> None:
        super().__init__(folder)
        self._ids: dict[str, str] = {}

    def up(self, services: list[Service]) -> None:
        self.services = services
        for name in ("RUNTIME_DIR", "STATE_HOME", "DATA_HOME", "CONFIG_HOME"):
            os.environ[f"XDG_{name}"] = f"{self.folder}/{name[0].lower()}"
            os.makedirs(f"{self.folder}/{name[0].lower()}", mode=0o700, exist_ok=True)
        os.environ.pop("AISH_ID", None)
        os.environ.update(self.environ())
        connect().close()

    def begin(self) -> None:
        """Over several connections, as from several shells: one waits for each answer before it asks again."""
        surroundings = launch.capture()
        requests: list[Message] = []
        for service in self.services:
            spec = SpecPart(
                argv=[os.fsencode(self.script(service))],
                cwd=os.fsencode(self.folder),
                name=service.name,
                restart="always" if service.kept else "never",
            )
            requests.append(Spawn(token=secrets.token_hex(16), spec=spec, launch=surroundings))
        for reply in _ask_all(requests):
            assert isinstance(reply, Started)
            self._ids[reply.name] = reply.id

    def one_by_one(self) -> None:
        """As one caller does it: each spawn is answered before the next is asked for."""
        surroundings = launch.capture()
        with connect() as client:
            for service in self.services:
                spec = SpecPart(argv=[os.fsencode(self.script(service))], cwd=os.fsencode(self.folder))
                client.ask(Started, Spawn(token=secrets.token_hex(16), spec=spec, launch=surroundings))

    def stop(self) -> None:
        _ask_all([Stop(target=service.name) for service in self.services])

    def again(self) -> None:
        connect().close()

    def own(self) -> list[int]:
        return list(self._programs().values())

    def main(self) -> int:
        return self._programs()["daemon"]

    def log_bytes(self, name: str) -> int:
        return os.path.getsize(f"{self.folder}/s/aish/logs/{self._ids[name]}.out")

    def down(self) -> None:
        try:
            with connect(start=False) as client:
                client.request(Shutdown(force=True))
        except AishError:
            pass  # killed by the measurement: what is left is ended by its mark
        super().down()

    def _programs(self) -> dict[str, int]:
        connect().close()
        holder = link.HolderLink.connect(f"{self.folder}/r/aish")
        try:
            told = holder.call("hello", version=wire.VERSION, role=wire.CLIENT).body
        finally:
            holder.close()
        return {"daemon": told["daemon_pid"], "holder": told["pid"], "keeper": told["keeper_pid"]}


def _ask_all(requests: list[Message]) -> list[Message]:
    """All requests, as many at a time as there are connections."""
    clients = [connect() for _ in range(min(CONNECTIONS, max(1, len(requests))))]
    todo = requests[::-1]
    replies: list[Message] = []
    try:
        idle: list[Client] = list(clients)
        while len(replies) < len(requests):
            for client in idle:
                if todo:
                    client.send(todo.pop())
            idle = select.select(clients, [], [])[0]
            replies += [client.receive() for client in idle]
    finally:
        for client in clients:
            client.close()
    return replies
