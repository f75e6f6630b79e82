"""supervisord: one Python process, told what to do by XML-RPC over a Unix socket."""

from __future__ import annotations

import http.client
import os
import socket
import xmlrpc.client

from benches import fetch, machine
from benches.supervisor.driver import DEADLINE_S, Driver, Service

_HEAD = """
[unix_http_server]
file={folder}/socket
[supervisord]
nodaemon=true
logfile=/dev/null
logfile_maxbytes=0
pidfile={folder}/pid
childlogdir={folder}
minfds=4096
minprocs=200
[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
"""
_PROGRAM = """
[program:{name}]
command={path}
autostart={kept}
autorestart={kept}
startsecs=0
startretries=100
stdout_logfile={log}
stdout_logfile_maxbytes=0
stderr_logfile=NONE
"""


class Supervisord(Driver):
    name = "supervisord"
    jobs = 60
    crowd = 200

    def __init__(self, folder: str) -> None:
        super().__init__(folder)
        self.program = fetch.python("supervisord", "supervisor")
        self._pid = 0

    def up(self, services: list[Service]) -> None:
        self.services = services
        parts = [_HEAD.format(folder=self.folder)]
        for service in services:
            log = f"{self.folder}/{service.name}.log" if service.logged else "NONE"
            parts.append(
                _PROGRAM.format(name=service.name, path=self.script(service), kept=str(service.kept).lower(), log=log)
            )
        with open(f"{self.folder}/conf", "w", encoding="utf-8") as file:
            file.write("".join(parts))
        if not any(service.kept for service in services):
            self.again()

    def begin(self) -> None:
        """What is to be kept starts with it; jobs are started together by one call."""
        if any(service.kept for service in self.services):
            self.again()
        else:
            self._call("startAllProcesses", False)

    def stop(self) -> None:
        self._call("stopAllProcesses", True)

    def again(self) -> None:
        self._pid = self.launch(self.program, "-c", f"{self.folder}/conf").pid
        machine.until(lambda: os.path.exists(f"{self.folder}/socket"), DEADLINE_S, "supervisord listens")

    def own(self) -> list[int]:
        return [self._pid]

    def main(self) -> int:
        return self._pid

    def log_bytes(self, name: str) -> int:
        return os.path.getsize(f"{self.folder}/{name}.log")

    def _call(self, method: str, *words: bool) -> object:
        connection = _Local(f"{self.folder}/socket")
        body = xmlrpc.client.dumps(words, f"supervisor.{method}")
        try:
            connection.request("POST", "/RPC2", body, {"Content-Type": "text/xml"})
            (result,), _ = xmlrpc.client.loads(connection.getresponse().read())
            return result
        finally:
            connection.close()


class _Local(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=DEADLINE_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(DEADLINE_S)
        self.sock.connect(self._path)
