"""What every gateway here can do, in the words of the measurements."""

from __future__ import annotations

import http.client
import os
import socket
import time
from abc import ABC, abstractmethod
from typing import NamedTuple

import msgspec

from benches import machine
from benches.gateway import upstream
from benches.programs import Programs

DEADLINE_S = 60.0
MAX_TOKENS = 256
_SAID = "Say the numbers from 0 to 63, each with a w before it and a blank after it, and nothing else."


class Address(NamedTuple):
    """How clients reach the model: `url` with /v1, the headers of every request, the model's name there."""

    url: str
    headers: dict[str, str]
    model: str

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2].partition("/")[0])

    def body(self, wish: upstream.Wish | None = None) -> bytes:
        """A chat: whole, or streamed as the upstream shall do it."""
        said = _SAID if wish is None else msgspec.json.encode(wish).decode()
        fields: dict[str, object] = {
            "model": self.model,
            "messages": [{"role": "user", "content": said}],
            "max_tokens": MAX_TOKENS,
        }
        return msgspec.json.encode(fields if wish is None else {**fields, "stream": True})


class Driver(Programs, ABC):
    """One gateway in one private folder, before the upstream at `upstream_url` (with /v1)."""

    slow = False
    """Left out with --quick."""

    def __init__(self, folder: str, upstream_url: str) -> None:
        super().__init__(folder)
        self.upstream_url = upstream_url

    @abstractmethod
    def up(self) -> float | None:
        """Have it answer; how many seconds after its process began it did, None where there is nothing to start."""

    @property
    @abstractmethod
    def address(self) -> Address:
        """Known once it is up."""

    def own(self) -> list[int]:
        """The pids of the gateway: all its processes."""
        return self.family()

    def whole(self) -> list[int]:
        """What else has to run for it, too."""
        return self.own()

    # --- for drivers --------------------------------------------------------------------------------------------

    def answering(self) -> float:
        """When the first chat was answered, by the clock that starts of processes are told in."""
        machine.until(self._answers, DEADLINE_S, f"{self.name} answers")
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def started_and_answering(self, *argv: str) -> float:
        """Start it, and wait for its first answer: after how many seconds that came."""
        begin = time.clock_gettime(time.CLOCK_BOOTTIME)
        self.launch(*argv)
        return self.answering() - begin

    def _answers(self) -> bool:
        if answers(self.address):
            return True
        for process in self.started:
            if process.poll() is not None:
                with open(f"{self.folder}/words", encoding="utf-8", errors="replace") as file:
                    raise RuntimeError(f"it ended with {process.returncode}: {file.read().strip()[-300:]}")
        return False


def answers(address: Address) -> bool:
    """Whether one chat is answered with 200 now."""
    connection = http.client.HTTPConnection("127.0.0.1", address.port, timeout=DEADLINE_S)
    headers = {"Content-Type": "application/json", **address.headers}
    try:
        connection.request("POST", "/v1/chat/completions", address.body(), headers)
        reply = connection.getresponse()
        reply.read()
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
    return reply.status == 200


def free_port() -> int:
    """A port of the loopback that nobody has now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def began_s(pid: int) -> float:
    """When a process began, by CLOCK_BOOTTIME, to a hundredth."""
    with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
        ticks = int(file.read().rpartition(")")[2].split()[19])
    return ticks / os.sysconf("SC_CLK_TCK")
