"""Portkey's gateway: each request says in its headers where it goes."""

from __future__ import annotations

import shutil

from benches import fetch
from benches.fetch import NotToBeHadError
from benches.gateway import upstream
from benches.gateway.driver import Address, Driver, free_port

_SERVER = ("@hono/node-server", "1.3.3")
"""The oldest that it allows: with the newest, 1.19, Portkey 1.15 answers every stream with 500."""
_LOOPBACK = """
const net = require("net");
const listen = net.Server.prototype.listen;
net.Server.prototype.listen = function (port, ...rest) {
  return listen.call(this, { host: "127.0.0.1", port }, ...rest.filter((word) => typeof word === "function"));
};
"""
"""It would listen on all addresses, and no option says otherwise."""


class Portkey(Driver):
    name = "Portkey"
    slow = True

    def __init__(self, folder: str, upstream_url: str) -> None:
        super().__init__(folder, upstream_url)
        self.program = fetch.node("gateway", "@portkey-ai/gateway", _SERVER)
        node = shutil.which("node")
        if node is None:
            raise NotToBeHadError("node is not installed")
        self._node = node
        self._port = free_port()

    def environ(self) -> dict[str, str]:
        return super().environ() | {"NODE_ENV": "production"}

    def up(self) -> float | None:
        path = f"{self.folder}/loopback.cjs"
        with open(path, "w", encoding="utf-8") as file:
            file.write(_LOOPBACK)
        words = (f"--port={self._port}", "--headless")
        return self.started_and_answering(self._node, "--require", path, self.program, *words)

    @property
    def address(self) -> Address:
        headers = {
            "Authorization": "Bearer sk-bench",
            "x-portkey-provider": "openai",
            "x-portkey-custom-host": self.upstream_url,
        }
        return Address(f"http://127.0.0.1:{self._port}/v1", headers, upstream.MODEL)
