"""What a KV slot in a file costs and saves: python -m benches.slots [ROUNDS]. Needs smollm2 in the store.

Each round: a server reads a long prompt, its slot is saved and looked at as the gateway does; another server is asked
the same with a new word, once from nothing and once after the file was put back. Medians.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Any

from aish import store
from aish.plugins.llamacpp import server
from aish.supervisor.gateway import slot_file

RULES = " ".join(f"Rule {number}: be kind to number {number}." for number in range(120))
TALK = [{"role": "system", "content": RULES}, {"role": "user", "content": "Name a colour."}]


class Served:
    """The embedded model, which saves slots in `folder`."""

    def __init__(self, folder: str) -> None:
        self._path = f"{folder}/model.sock"
        plan = server().plan(store.find("smollm2"), self._path)
        self._process = subprocess.Popen(plan.argv, env=os.environ | plan.environ, stderr=subprocess.DEVNULL)
        while True:
            try:
                if self.ask("POST", "/v1/completions", {"prompt": "x", "max_tokens": 1}):
                    return
            except (OSError, ValueError):
                time.sleep(0.02)

    def ask(self, method: str, path: str, body: object = None) -> Any:
        connection = http.client.HTTPConnection("localhost")
        connection.sock = socket.socket(socket.AF_UNIX)
        try:
            connection.sock.connect(self._path)
            connection.request(method, path, None if body is None else json.dumps(body))
            answer = connection.getresponse()
            data = answer.read()
            if answer.status != 200:
                raise ValueError(data)
            return json.loads(data)
        finally:
            connection.close()

    def chat(self, talk: list[dict[str, str]]) -> Any:
        return self.ask("POST", "/v1/chat/completions", {"messages": talk, "max_tokens": 1, "temperature": 0})

    def end(self) -> None:
        self._process.kill()
        self._process.wait()


def timed(figures: dict[str, list[float]], name: str, began_s: float) -> None:
    figures.setdefault(name, []).append((time.perf_counter() - began_s) * 1000)


def once(folder: str, figures: dict[str, list[float]]) -> str:
    drafts = f"{folder}/aish/slots"
    one = Served(folder)
    first = one.chat(TALK)
    tokens = first["usage"]["prompt_tokens"]  # the one that it answered is not read yet
    (place,) = [slot["id"] for slot in one.ask("GET", "/slots") if slot["n_prompt_tokens"] == tokens]
    began_s = time.perf_counter()
    one.ask("POST", f"/slots/{place}?action=save", {"filename": "x"})
    timed(figures, "saved", began_s)
    began_s = time.perf_counter()
    found = slot_file.look(f"{drafts}/x", [], tokens)
    timed(figures, "looked at", began_s)
    one.end()
    more = [*TALK, {"role": "assistant", "content": "Blue."}, {"role": "user", "content": "And another one."}]
    for name in ("first token, read anew", "first token, put back"):
        other = Served(folder)
        began_s = time.perf_counter()
        if name.endswith("back"):
            slot_file.digest(f"{drafts}/x")
            other.ask("POST", "/slots/0?action=restore", {"filename": "x"})
            timed(figures, "put back", began_s)
        other.chat(more)
        timed(figures, name, began_s)
        other.end()
    return f"{tokens:,} tokens, {found.bytes / 1e6:.1f} MB"


def main(rounds: int) -> None:
    figures: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory(prefix="aish-b-") as folder:
        os.environ["XDG_STATE_HOME"] = folder
        for _ in range(rounds):
            size = once(folder, figures)
    print(f"{size}; {rounds} rounds, load average {os.getloadavg()[0]:.1f}")
    for name, all_ms in figures.items():
        print(f"{name:24} {statistics.median(all_ms):8.1f} ms   ({min(all_ms):.1f} to {max(all_ms):.1f})")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
