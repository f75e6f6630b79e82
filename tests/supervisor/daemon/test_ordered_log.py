"""`log = "ordered"`: both streams in one file, in the order of their writes, whatever dies meanwhile."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from aish.errors import InputError
from aish.supervisor.daemon import want
from aish.wire.message import Logs
from aish.wire.reply import LogFiles
from aish.wire.spec import SpecPart

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Supervised

ALTERNATE = """
import os, sys
number = 0
while not os.path.exists(sys.argv[1]):
    for _ in range(100):
        os.write(1 + number % 2, b"%d\\n" % number)
        number += 1
print("end", number)
"""


@pytest.mark.usefixtures("home")
def test_the_order_is_exact_over_every_death(up: Supervised, tmp_path: Path) -> None:
    """Daemon and holder are killed while both streams are written to: every line once, in its place."""
    started = up.python(ALTERNATE, str(tmp_path / "stop"), name="job", log="ordered")
    log = up.home.state / "logs" / f"{started.id}.out"
    for _ in range(3):
        size = log.stat().st_size
        up.until("it writes on", lambda size=size: log.stat().st_size > size + 10_000)
        _, holder = up.holder_pids()
        os.kill(holder, signal.SIGKILL)
        up.kill_daemon()
        up.next_daemon()
    (tmp_path / "stop").touch()
    up.wait("job")
    lines = log.read_bytes().split(b"\n")
    assert lines[-2:] == [b"end %d" % (len(lines) - 2), b""]
    assert lines[:-2] == [b"%d" % number for number in range(len(lines) - 2)]
    assert not log.with_suffix(".err").exists()


def test_what_is_run_for_it_writes_there_too(up: Supervised) -> None:
    before = [b"sh", b"-c", b"echo one; echo two >&2"]
    up.spawn("sh", "-c", "echo three >&2; echo four", before=before, log="ordered", name="job")
    assert up.code("job") == 0
    assert up.log("job") == ("one\ntwo\nthree\nfour\n", "")
    reply, fds = up.client.request_with_fds(Logs(target="job"))
    for fd in fds:
        os.close(fd)
    assert isinstance(reply, LogFiles)
    assert (reply.ordered, reply.pty) == (True, False)


def test_a_stream_that_the_client_has_is_not_logged(up: Supervised) -> None:
    read, write = os.pipe()
    up.spawn("sh", "-c", "echo out; echo err >&2", fds={1: write}, log="ordered", name="job")
    os.close(write)
    up.wait("job")
    assert os.read(read, 100) == b"out\n"
    os.close(read)
    assert up.log("job") == ("err\n", "")


def test_a_log_that_is_none() -> None:
    with pytest.raises(InputError) as error:
        want.check_spec(SpecPart(argv=[b"true"], log="both"))
    assert error.value.field == "log"
