"""The server as a process: the streams, the signals, what comes in between."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import signal
import struct
import subprocess
import sys
import termios
import time
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conftest import Home

NOISE = 16 * 1024 * 1024
PIPE_BYTES = 64 << 10


def test_what_is_no_request_is_answered_and_the_next_one_is_served(open_wire: Any, go: Any) -> None:
    async def work() -> None:
        async with open_wire() as wire:
            await wire.greeted()
            wire.send(b"{not json")
            wire.send(b"\xff\xfe\x00")
            wire.send(b"[]")
            wire.send(b"x" * NOISE + b"x")
            wire.ask(1, "no/such/method")
            assert "error" in await wire.answer(1)
            wire.ask(2, "tools/call", name="ps", arguments=[])
            assert "error" in await wire.answer(2)
            call = b'{"name": "spawn", "arguments": {"command": ["a\\ud800"]}}'
            wire.send(b'{"jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": ' + call + b"}")
            wire.ask(4, "tools/call", name="ps", arguments={})
            assert (await wire.answer(4))["result"]["isError"] is False

    go(work)


@pytest.mark.parametrize("how", ["eof", "TERM", "INT", "HUP"])
def test_it_ends_cleanly_and_at_once_in_the_middle_of_a_wait(
    open_wire: Any, go: Any, shared_home: Home, how: str
) -> None:
    """The library reads stdin in a thread: a signal would have waited for the client's next line."""

    async def work() -> None:
        async with open_wire() as wire:
            await wire.greeted()
            job = ["sh", "-c", "exec sleep 600"]
            wire.ask(1, "tools/call", name="spawn", arguments={"command": job})
            id = (await wire.answer(1))["result"]["structuredContent"]["id"]
            arguments = {"processes": [id]}
            wire.ask(2, "tools/call", name="wait", arguments=arguments, _meta={"progressToken": "p"})
            await wire.until(lambda message: message.get("method") == "notifications/progress")
            if how == "eof":
                wire.process.stdin.close()
            else:
                wire.process.send_signal(getattr(signal, f"SIG{how}"))
            assert await wire.ended() == 0
            assert shared_home.client.process(id).state() == "running", "what it has started goes on"
        told = (shared_home.root / "stderr").read_text()
        assert "Traceback" not in told, told

    go(work)


@pytest.mark.slow
def test_what_it_has_started_ends_with_it_where_that_is_wished(open_wire: Any, go: Any, shared_home: Home) -> None:
    async def work() -> None:
        other = shared_home.client.spawn(["sleep", "600"])
        async with open_wire("--ends-with-me") as wire:
            await wire.greeted()
            wire.ask(1, "tools/call", name="spawn", arguments={"command": ["sleep", "600"]})
            id = (await wire.answer(1))["result"]["structuredContent"]["id"]
            wire.process.send_signal(signal.SIGTERM)
            assert await wire.ended() == 0
        assert shared_home.client.process(id).state() == "exited"
        assert other.state() == "running"

    go(work)


@pytest.mark.slow
def test_a_client_that_reads_nothing_does_not_keep_it(shared_home: Home) -> None:
    process = shared_home.popen("mcp", stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    about = {"name": "deaf", "version": "1"}
    greeting = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": about}
    lines: list[dict[str, Any]] = [
        {"id": 0, "method": "initialize", "params": greeting},
        {"method": "notifications/initialized"},
        *({"id": id, "method": "tools/list"} for id in range(1, 100)),
    ]
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("".join(json.dumps({"jsonrpc": "2.0"} | line) + "\n" for line in lines).encode())
    process.stdin.flush()
    deadline = time.monotonic() + 30
    while _waiting_bytes(process.stdout.fileno()) < PIPE_BYTES // 2:  # of pieces it holds fewer bytes
        assert time.monotonic() < deadline
        time.sleep(0.01)  # that a pipe is full is no event for its reader
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 0
    process.stdin.close()
    process.stdout.close()


def _waiting_bytes(fd: int) -> int:
    found: int = struct.unpack("i", fcntl.ioctl(fd, termios.FIONREAD, b"\0" * 4))[0]
    return found


def test_a_cancelled_request_has_no_answer_and_its_process_goes_on(
    open_wire: Any, go: Any, shared_home: Home
) -> None:
    async def work() -> None:
        process = shared_home.client.spawn(["sleep", "600"])
        async with open_wire("--scope", "all") as wire:
            await wire.greeted()
            arguments = {"processes": [process.id]}
            wire.ask(1, "tools/call", name="wait", arguments=arguments, _meta={"progressToken": "p"})
            await wire.until(lambda message: message.get("method") == "notifications/progress")
            wire.send({"method": "notifications/cancelled", "params": {"requestId": 1}})
            wire.ask(2, "tools/call", name="stop", arguments={"process": process.id, "grace_s": 0})
            await wire.answer(2)
            wire.ask(3, "ping")
            await wire.answer(3)
            assert not [each for each in wire.seen if each.get("id") == 1 and "result" in each]

    go(work)


@pytest.mark.slow
def test_a_file_of_requests_is_answered(shared_home: Home) -> None:
    """A loop cannot wait for a file."""
    about = {"name": "file", "version": "1"}
    greeting = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": about}
    lines = [
        {"id": 0, "method": "initialize", "params": greeting},
        {"method": "notifications/initialized"},
        {"id": 1, "method": "ping"},
    ]
    given, out = shared_home.root / "given", shared_home.root / "out"
    given.write_text("".join(json.dumps({"jsonrpc": "2.0"} | line) + "\n" for line in lines))
    with open(given) as stdin, open(out, "w") as stdout:
        done = shared_home.aish("mcp", stdin=stdin, stdout=stdout, capture_output=False)
    assert done.returncode == 0
    assert json.loads(out.read_text().splitlines()[0])["result"]["serverInfo"]["name"] == "aish"


def test_nothing_to_read_is_an_end_and_no_traceback(shared_home: Home) -> None:
    """What waits for descriptors does not take /dev/null: it hung."""
    done = shared_home.aish("mcp", stdin=subprocess.DEVNULL)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_daemon_comes_when_it_is_needed_and_may_die_in_the_middle_of_a_wait(
    home: Home, wire_in: Any, go: Any
) -> None:
    async def work() -> None:
        async with wire_in(home) as found:
            await found.greeted()
            found.ask(1, "tools/list")
            await found.answer(1)
            assert not (home.runtime / "daemon.sock").exists(), "nothing has needed it"
            gate = home.root / "gate"
            os.mkfifo(gate)
            found.ask(2, "tools/call", name="spawn", arguments={"command": ["cat", str(gate)]})
            id = (await found.answer(2))["result"]["structuredContent"]["id"]
            arguments = {"processes": [id]}
            found.ask(3, "tools/call", name="wait", arguments=arguments, _meta={"progressToken": 1})
            await found.until(lambda message: message.get("method") == "notifications/progress")
            os.kill(home.client.view().daemon_pid, signal.SIGKILL)
            await asyncio.to_thread(lambda: gate.write_bytes(b"over\n"))
            waited = (await found.answer(3))["result"]["structuredContent"]
            assert (waited["over"], waited["processes"][0]["exit"]) == (True, "exit 0")

    go(work)


@pytest.mark.slow
def test_it_finds_the_supervisor_where_a_client_passes_few_variables_on(
    shared_home: Home, open_wire: Any, go: Any
) -> None:
    """Codex passes no XDG_RUNTIME_DIR: a second supervisor would be started beside the first."""
    process = shared_home.client.spawn(["sleep", "600"])
    del shared_home.environ["XDG_RUNTIME_DIR"]

    async def work() -> None:
        async with open_wire() as wire:
            await wire.greeted()
            wire.ask(1, "tools/call", name="inspect", arguments={"process": process.id})
            assert (await wire.answer(1))["result"]["isError"] is False

    go(work)


@pytest.mark.slow
def test_without_the_library_the_extra_is_named(shared_home: Home) -> None:
    code = "import sys; sys.modules['mcp'] = None\nfrom aish.cli import main\nsys.exit(main(['mcp']))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=shared_home.environ)
    assert done.returncode == 69
    assert "aish-shell[mcp]" in done.stderr
    assert done.stdout == ""


@pytest.mark.slow
def test_wrong_words(shared_home: Home) -> None:
    done = shared_home.aish("mcp", "--scope", "owm")
    assert (done.returncode, done.stdout) == (2, "")
    assert "did you mean own?" in done.stderr
