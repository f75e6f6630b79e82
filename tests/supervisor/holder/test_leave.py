"""`leave`: keeper and holder go and end nothing; where a terminal is drained they stay for it, and for no more."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from aish.supervisor.holder import kernel, link, wire

if TYPE_CHECKING:
    from .conftest import World


def test_what_lives_lives_on_and_both_are_gone(held: World) -> None:
    pid = held.spawn("job", ["sleep", "1000"])["pid"]
    held.spawn("ended", ["true"])
    held.exit("ended")
    held.call("store", [held.null], name="kept")
    assert held.call("leave")["behind"] == 0
    for who in ("pid", "keeper_pid"):
        assert held.gone(held.hello[who])
    assert os.listdir(held.runtime_dir) == []
    assert held.alive(pid)
    os.kill(pid, signal.SIGTERM)
    assert held.gone(pid)


def children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.fixture
def screen(held: World, tmp_path: Path) -> tuple[int, Path]:
    """A child at a terminal: it echoes what is typed, until `end`."""
    master, slave = os.openpty()
    path = tmp_path / "pty.log"
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    held.call("store", [master], name="pty")
    held.call("drain", [log], name="pty")
    code = "import time\nwhile (word := input()) != 'end': print('<' + word + '>')"
    held.spawn("screen", ["python3", "-c", code], [slave] * 3, pty=True)
    for fd in (slave, log):
        os.close(fd)
    return master, path


def says(held: World, screen: tuple[int, Path], word: str) -> None:
    os.write(screen[0], word.encode() + b"\n")
    held.eventually(lambda: f"<{word}>".encode() in screen[1].read_bytes(), "the terminal is read")


def test_both_stay_for_a_terminal_whoever_dies(held: World, screen: tuple[int, Path]) -> None:
    """And they start no daemon, make no socket, take no lock: another supervisor runs beside them."""
    says(held, screen, "one")
    keeper, holder = held.hello["keeper_pid"], held.hello["pid"]
    plain = held.spawn("plain", ["sleep", "1000"])["pid"]
    assert held.call("leave")["behind"] == 1
    with pytest.raises(link.GoneError):
        link.HolderLink.connect(held.runtime_dir)
    with pytest.raises(wire.Refusal) as refused:
        held.call("leave")
    assert refused.value.code == "closing"
    held.launch()
    held.connect()
    assert held.everything() == {"children": [], "exits": []}
    says(held, screen, "two")

    os.kill(holder, signal.SIGKILL)
    assert held.gone(holder)
    (holder,) = held.eventually(lambda: [pid for pid in children(keeper) if is_role(pid)], "the keeper forks another")
    held.note(holder)
    says(held, screen, "three")
    os.kill(keeper, signal.SIGKILL)
    assert held.gone(keeper)
    (last,) = held.eventually(lambda: [pid for pid in children(holder) if is_role(pid)], "the holder is the keeper")
    held.note(last)
    says(held, screen, "four")

    os.write(screen[0], b"end\n")
    os.close(screen[0])
    assert held.gone(holder)
    assert held.gone(last)
    assert held.alive(plain)
    assert held.call("names")["names"] == [], "the other supervisor is not touched"


def is_role(pid: int) -> bool:
    try:
        return b"/holder/__main__.py" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def test_only_the_controller_may(held: World) -> None:
    client = held.connect(wire.CLIENT)
    with pytest.raises(wire.Refusal) as refused:
        client.call("leave")
    assert refused.value.code == "not-allowed"
    assert kernel.start_time(held.hello["pid"]) is not None
