"""The process: where it listens, what it refuses, how it ends."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from aish.supervisor.gateway.gateway import END_S

from .test_faults import Client, chat

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import World

DEADLINE_S = 60.0


def run(tmp_path: Path, *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """The gateway with arguments that it refuses."""
    folders = {"XDG_STATE_HOME": str(tmp_path / "state"), "XDG_RUNTIME_DIR": str(tmp_path / "run")}
    return subprocess.run(
        [sys.executable, "-m", "aish.supervisor.gateway", *words],
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), **folders, **environ},
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )


@pytest.mark.parametrize("address", ["0.0.0.0:0", "192.0.2.1:0", "[::]:0", "nonsense", "127.0.0.1:x"])
def test_only_the_loopback(tmp_path: Path, address: str) -> None:
    done = run(tmp_path, "--listen", address)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "loopback" in done.stderr or "not an address" in done.stderr


def test_beyond_the_loopback_where_that_is_said(tmp_path: Path) -> None:
    """It goes on to an address that no machine here has."""
    done = run(tmp_path, "--listen", "203.0.113.77:0", "--beyond-loopback")
    assert done.returncode == 69
    assert "cannot listen on 203.0.113.77:0" in done.stderr


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everybody's memory")
def test_other_programs_of_the_user_cannot_read_its_memory(shared: World) -> None:
    """Real keys: in a core file, or by an agent that looks into /proc."""
    assert shared.gateway.process is not None
    place = f"/proc/{shared.gateway.process.pid}"
    for name in ("mem", "environ", "maps"):
        with pytest.raises(PermissionError):
            os.close(os.open(f"{place}/{name}", os.O_RDONLY))


def test_a_taken_port(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = run(tmp_path, "--listen", f"127.0.0.1:{taken.getsockname()[1]}")
    assert done.returncode == 69
    assert "cannot listen" in done.stderr


def test_no_socket_was_passed(tmp_path: Path) -> None:
    assert run(tmp_path).returncode == 2
    assert run(tmp_path, LISTEN_FDS="1", LISTEN_PID="1").returncode == 2


def test_a_damaged_secret_is_told_with_its_place(tmp_path: Path) -> None:
    state = tmp_path / "state" / "aish"
    state.mkdir(parents=True, mode=0o700)
    (state / "secret").write_bytes(b"short")
    assert "secret is damaged" in run(tmp_path, "--listen", "127.0.0.1:0").stderr


def test_a_second_gateway_of_the_same_user_is_refused(shared: World) -> None:
    done = run(shared.root, "--listen", "127.0.0.1:0")
    assert done.returncode == 69
    assert "another gateway" in done.stderr
    assert shared.gateway.call("/health")[0] == 200


def test_sigterm_finishes_what_is_short_and_settles_what_is_long(world: World) -> None:
    world.start()
    short, key = world.agent()
    _, other = world.agent()
    client = Client(world, key, chat("say 5 pace 0.05", stream=True))
    client.read_until(b'"content": "w "')
    long = Client(world, other, chat("say 4000 pace 0.05", stream=True))
    long.read_until(b'"content": "w "')
    assert world.gateway.process is not None
    world.gateway.process.send_signal(signal.SIGTERM)
    assert b"data: [DONE]" in client.read_until(b"[DONE]")
    assert world.gateway.process.wait(DEADLINE_S) == 0
    rows = {row["process"]: row for row in world.gateway.rows()}
    assert (rows[short]["status"], rows[short]["output"], rows[short]["estimated"]) == (200, 5, 0)
    (cut,) = [row for id, row in rows.items() if id != short]
    assert (cut["status"], cut["estimated"]) == (499, 1)
    assert cut["output"] > 0
    assert "Traceback" not in world.gateway.read_log()


@pytest.mark.slow
def test_sigterm_ends_it_in_time_though_daemon_and_server_are_silent(world: World) -> None:
    """The graces were added up: for requests, then for figures that a server which hangs was asked for."""
    world.start()
    id, key = world.agent()
    stream = Client(world, key, chat("say 40000 pace 0.02", stream=True))
    stream.read_until(b'"content": "w "')
    waiting = Client(world, world.agent()[1], chat("never"))
    world.upstream.wait_for(lambda server: server.active == 2)
    idle = socket.create_connection(("127.0.0.1", world.gateway.port), timeout=DEADLINE_S)
    idle.sendall(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    assert idle.recv(4096).startswith(b"HTTP/1.1 200")
    world.daemon.stop()
    place = world.upstream.route.removeprefix("unix:")
    os.unlink(place)
    with socket.socket(socket.AF_UNIX) as silent:  # whoever asks for figures now is never answered
        silent.bind(place)
        silent.listen(64)
        began_s = time.monotonic()
        assert world.gateway.stop() == 0
        took_s = time.monotonic() - began_s
    assert took_s < 2 * END_S, "it waits for each of them in turn"
    (row,) = world.gateway.rows(f"process = '{id}'")
    assert (row["status"], row["estimated"]) == (499, 1)
    assert idle.recv(4096) == b""
    for client in (stream, waiting):
        client.hang_up()
    idle.close()


HANGS = """
import asyncio, os, sys, threading
from aish.supervisor.gateway import __main__ as process
from aish.supervisor.gateway.spare import Spare
process.HANGS_S = 0.2
async def keep(self, records):
    if sys.argv[1:] == ["ending"]:
        await asyncio.to_thread(threading.Event().wait)
    sys.argv.append("ending")
    os.kill(os.getpid(), 15)
Spare.keep = keep
sys.exit(process.main(["--listen", "127.0.0.1:0"]))
"""


def test_a_disk_that_hangs_does_not_keep_it_from_ending(tmp_path: Path) -> None:
    """A thread that waited for it was waited for without end."""
    folders = {"XDG_STATE_HOME": str(tmp_path / "state"), "XDG_RUNTIME_DIR": str(tmp_path / "run")}
    done = subprocess.run(
        [sys.executable, "-c", HANGS],
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), **folders},
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert done.returncode == -signal.SIGALRM, done.stderr
    assert "stop: finishing what is under way" in done.stderr


FAULT = """
import sys
from aish.supervisor.gateway.gateway import Gateway
async def fails(self):
    raise ZeroDivisionError
setattr(Gateway, sys.argv[1], fails)
from aish.supervisor.gateway.__main__ import main
sys.exit(main(["--listen", "127.0.0.1:0"]))
"""


@pytest.mark.parametrize("part", ["_notes", "_upkeep"])
def test_a_part_that_fails_ends_the_gateway_so_that_another_is_started(tmp_path: Path, part: str) -> None:
    """It went on without: no checkpoints, no notes, no link, and nobody knew."""
    folders = {"XDG_STATE_HOME": str(tmp_path / "state"), "XDG_RUNTIME_DIR": str(tmp_path / "run")}
    done = subprocess.run(
        [sys.executable, "-c", FAULT, part],
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), **folders},
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert done.returncode == 70, done.stderr
    assert f"fault: {part.removeprefix('_')} ended: ZeroDivisionError in fails" in done.stderr
    assert "Traceback" not in done.stderr


def test_connections_made_while_no_gateway_runs_are_served_by_the_next(world: World) -> None:
    """The listening socket is the holder's: it outlives the gateway."""
    world.start()
    _, key = world.agent()
    world.gateway.kill()
    client = Client(world, key, chat("say 2"))
    world.gateway.start()
    assert b"200 OK" in client.read_until(b"\r\n\r\n")
