"""The whole of aish as a user has it: verbs, shell, daemon, gateway and the embedded model in a private home."""

from __future__ import annotations

import http.client
import json
import os
import socket
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from tests.deadline import DEADLINE_S

if TYPE_CHECKING:
    import subprocess

    from conftest import Home

    from aish.wire.part import ProcessPart

COUNT = "Write the numbers from 1 to 1000, one per line, nothing else."
"""What the embedded model answers with "1, 2, 3, …": whatever is lost on the way would be seen."""
NOTES = Path(__file__).resolve().parents[2] / "examples" / "notes"
TICKS = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")

Row = dict[str, Any]


class Proc(NamedTuple):
    """What /proc/PID/stat says of one process."""

    state: str
    parent: int
    cpu_s: float
    start_s: float
    rss_bytes: int


class System:
    """A private home and what its verbs tell, as JSON."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.python = sys.executable
        self._server = ""

    def run(self, *words: str, status: int = 0, **options: Any) -> subprocess.CompletedProcess[str]:
        done = self.home.aish(*words, **options)
        assert done.returncode == status, f"aish {' '.join(words)}: {done.returncode}\n{done.stdout}{done.stderr}"
        assert "Traceback" not in done.stderr, done.stderr
        return done

    def shell(self, line: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """`aish -c line`, in the folder of the notes, where `aish` and `python` are to be found."""
        path = f"{Path(sys.executable).parent}:{self.home.environ['PATH']}"
        return self.run("-c", line, cwd=NOTES, env=self.home.environ | {"PATH": path}, **options)

    def agent(self, name: str, tokens: int, text: str) -> None:
        """An agent file of the user's. Temperature 0: the same question has the same answer."""
        folder = self.home.config / "agents"
        folder.mkdir(parents=True, exist_ok=True)
        head = f"---\ntemperature: 0\nlimits:\n  max_output_tokens: {tokens}\n---\n"
        (folder / f"{name}.md").write_text(f"{head}{text}\n")

    def json(self, *words: str) -> Any:
        return json.loads(self.run(*words, "--json").stdout)

    def ps(self) -> dict[str, Row]:
        """Every process by id, ended ones and aish's own as well."""
        return {row["id"]: row for row in self.json("ps", "--all")}

    def row(self, name: str) -> Row:
        row: Row = self.json("inspect", name)["process"]
        return row

    def look(self, name: str) -> ProcessPart:
        """The row of a process that a test waits for: no verb each time."""
        return self.home.client.process(name).row()

    def settled(self, name: str) -> int:
        """How many of its requests the daemon has been told of."""
        tokens = self.look(name).tokens
        return 0 if tokens is None else tokens.requests

    def events(self, target: str) -> list[Row]:
        lines = self.run("events", "--json", target).stdout.splitlines()
        return [json.loads(line) for line in lines]

    def usage(self, by: str) -> dict[str, Row]:
        return {row["key"]: row for row in self.json("usage", "--by", by)}

    def log(self, target: str) -> str:
        return self.run("logs", "--out", target).stdout

    def ask_server(self, path: str, body: Any = None) -> bytes:
        """What the embedded model's own server answers, at its Unix socket, past the gateway."""
        if not self._server:
            self._server = self.json("inspect", "smollm2")["spec"]["route"]["url"].removeprefix("unix:")
        connection = http.client.HTTPConnection("localhost", timeout=DEADLINE_S)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(self._server)
        try:
            connection.request("GET" if body is None else "POST", path, None if body is None else json.dumps(body))
            answer = connection.getresponse()
            data = answer.read()
            assert answer.status == 200, data
            return data
        finally:
            connection.close()

    def counted(self) -> tuple[int, int]:
        """(tokens of prompts, tokens generated) by the model server's own metrics."""
        lines = self.ask_server("/metrics").decode().splitlines()
        values = {name: float(value) for name, _, value in (line.partition(" ") for line in lines if line[0] != "#")}
        prompt = values["llamacpp:prompt_tokens_total"] + values["llamacpp:prompt_tokens_cached_total"]
        return int(prompt), int(values["llamacpp:tokens_predicted_total"])

    def slots_are_free(self) -> bool:
        return not any(slot["is_processing"] for slot in json.loads(self.ask_server("/slots")))


def proc(pid: int) -> Proc | None:
    """None: there is no such process."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    boot_s = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)  # btime of /proc/stat lacks its fraction
    return Proc(
        state=fields[0],
        parent=int(fields[1]),
        cpu_s=(int(fields[11]) + int(fields[12])) / TICKS,
        start_s=boot_s + int(fields[19]) / TICKS,
        rss_bytes=int(fields[21]) * PAGE_BYTES,
    )


@pytest.fixture
def system(home: Home) -> System:
    return System(home)


@pytest.fixture
def serving(system: System, embedded_model: str) -> System:
    """With the embedded model up and ready."""
    system.run("model", "serve", embedded_model)
    return system


@pytest.fixture(scope="module")
def module_serving(module_home: Home, embedded_store: Path) -> System:
    """The same for all tests of a file."""
    module_home.store(embedded_store)
    system = System(module_home)
    system.run("model", "serve", "smollm2")
    return system


@pytest.fixture
def shared_serving(module_serving: System, shared_home: Home) -> System:
    """That, with the model alone in the table before a test and after it."""
    return System(shared_home)
