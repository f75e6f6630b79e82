"""Clients as processes of their own that all want an answer at once, whatever dies under them: gateway or client."""

from __future__ import annotations

import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

DEADLINE_S = 120.0
CLIENT = """
import http.client, json, sys, threading, time
port, key, model, numbers = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4].split(",")
body = json.dumps({"model": model, "max_tokens": 5, "messages": [{"role": "user", "content": "say 5 pace 0.002"}]})
headers = {"Content-Type": "application/json", "Authorization": "Bearer " + key}

def ask(number):
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=100)
        try:
            connection.request("POST", "/v1/chat/completions", body, headers)
            reply = connection.getresponse()
            reply.read()
            if reply.status < 500:
                print(number, reply.status, flush=True)
                return
        except (OSError, http.client.HTTPException):
            pass  # the gateway died under it
        finally:
            connection.close()
        time.sleep(0.02)

threads = [threading.Thread(target=ask, args=(number,)) for number in numbers]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""
PROMPT_TOKENS = 5
OUTPUT_TOKENS = 5
TOKENS = PROMPT_TOKENS + OUTPUT_TOKENS
"""Of each request, as the scripted server counts them."""


class Storm:
    """`keys`: one client process each. `answers`: what every request got, by its number."""

    def __init__(self, port: int, keys: list[str], model: str, requests: int) -> None:
        self._port, self._model = port, model
        self.requests = requests
        self.answers: dict[int, int] = {}
        self._changed = threading.Condition()
        each = -(-requests // len(keys))
        self._parts = [(key, range(n * each, min(requests, (n + 1) * each))) for n, key in enumerate(keys)]
        self._clients: list[subprocess.Popen[str]] = []
        self._readers: list[threading.Thread] = []
        for key, numbers in self._parts:
            self._clients.append(self._start(key, numbers))

    def _start(self, key: str, numbers: Any) -> subprocess.Popen[str]:
        words = [sys.executable, "-I", "-S", "-c", CLIENT, str(self._port), key, self._model]
        client = subprocess.Popen(
            [*words, ",".join(map(str, numbers))], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True
        )
        reader = threading.Thread(target=self._read, args=(client,), daemon=True)
        reader.start()
        self._readers.append(reader)
        return client

    def _read(self, client: subprocess.Popen[str]) -> None:
        assert client.stdout is not None
        for line in client.stdout:
            number, _, status = line.partition(" ")
            if status.endswith("\n"):  # half a line is of a client that was killed
                with self._changed:
                    self.answers[int(number)] = int(status)
                    self._changed.notify_all()

    def kill(self, n: int) -> None:
        """kill -9 of a client; another one asks for what it had no answer to."""
        client = self._clients[n]
        client.kill()
        client.wait()
        key, numbers = self._parts[n]
        left = [number for number in numbers if number not in self.answers]
        if left:
            self._clients[n] = self._start(key, left)

    def wait_for(self, condition: Callable[[Storm], bool], deadline_s: float = DEADLINE_S) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: condition(self), deadline_s), f"{len(self.answers)} answers"

    def close(self) -> None:
        for client in self._clients:
            client.kill()
            client.wait()
        for reader in self._readers:
            reader.join(10)
