"""Amend, Down and a Restart with another spec: what a project's file asks of processes that are there."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import msgspec
import pytest

from aish.client import connect, launch
from aish.errors import ConflictError, InputError
from aish.wire.message import Amend, Down, Label, Restart, Stop
from aish.wire.reply import Done
from aish.wire.spec import LimitPart, NeedPart, SocketPart

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Supervised

FILE = "/somewhere/aish.toml"


def test_what_needs_no_restart_is_changed_in_place(up: Supervised) -> None:
    up.spawn("sleep", "100", name="web", project=FILE, digest="aa")
    before = up.row("web")
    spec = msgspec.structs.replace(
        up.inspect("web").spec, digest="bb", restart="always", grace_s=3.0, limits=LimitPart(pids=50)
    )
    assert up.client.ask(Done, Amend(target="web", spec=spec)).changed
    after = up.row("web")
    assert (after.pid, after.digest, after.project) == (before.pid, "bb", FILE)
    assert up.inspect("web").spec == spec
    assert not up.client.ask(Done, Amend(target="web", spec=spec)).changed


def test_what_needs_one_is_refused_and_named(up: Supervised) -> None:
    up.spawn("sleep", "100", name="web")
    spec = msgspec.structs.replace(up.inspect("web").spec, argv=[b"sleep", b"200"], grace_s=3.0)
    with pytest.raises(ConflictError, match="argv"):
        up.client.ask(Done, Amend(target="web", spec=spec))
    assert up.inspect("web").spec.grace_s != 3.0, "half of it was done"


def test_a_restart_with_another_spec_keeps_id_name_and_log(up: Supervised) -> None:
    started = up.spawn("sh", "-c", "echo one; sleep 100", name="web")
    up.until("it has begun", lambda: "one" in up.log("web")[0])
    spec = msgspec.structs.replace(
        up.inspect("web").spec, argv=[b"sh", b"-c", b"echo two; sleep 100"], name="ignored"
    )
    up.client.ask(Done, Restart(target="web", spec=spec))
    up.until("the new one has begun", lambda: "two" in up.log("web")[0])
    row = up.row("web")
    assert (row.id, row.name) == (started.id, "web")
    assert up.log("web")[0] == "one\ntwo\n"


def test_an_ended_one_starts_as_the_new_spec_says(up: Supervised) -> None:
    up.spawn("false", name="job")
    up.wait("job")
    spec = msgspec.structs.replace(up.inspect("job").spec, argv=[b"true"])
    up.client.ask(Done, Restart(target="job", spec=spec, launch=launch.capture()))
    assert up.code("job") == 0


@pytest.mark.usefixtures("home")
def test_daemon_killed_while_the_old_one_is_stopped(up: Supervised, tmp_path: Path) -> None:
    """Fault: the new spec must not be lost with the daemon that was told it."""
    script = f"trap 'touch {tmp_path}/asked; sleep 1; exit 0' TERM; echo one; while :; do sleep 0.05; done"
    up.spawn("sh", "-c", script, name="web")
    up.until("it has begun", lambda: "one" in up.log("web")[0])
    spec = msgspec.structs.replace(up.inspect("web").spec, argv=[b"sh", b"-c", b"echo two; sleep 100"])
    up.client.send(Restart(target="web", spec=spec))
    up.until("it is being stopped", (tmp_path / "asked").exists)
    up.kill_daemon()
    up.next_daemon()
    up.until("the new one has begun", lambda: "two" in up.log("web")[0])


def test_another_kind_is_refused(up: Supervised) -> None:
    up.spawn("sleep", "100", name="web")
    spec = msgspec.structs.replace(up.inspect("web").spec, kind="agent")
    with pytest.raises(InputError, match="stays one"):
        up.client.ask(Done, Restart(target="web", spec=spec))


def test_down_stops_a_project_in_order_and_nothing_else(up: Supervised, tmp_path: Path) -> None:
    def script(name: str) -> tuple[str, str, str]:
        text = f"trap 'echo {name} >> {tmp_path}/order; exit 0' TERM; echo up; while :; do sleep 0.05; done"
        return "sh", "-c", text

    up.spawn(*script("db"), name="db", project=FILE)
    up.spawn(*script("web"), name="web", project=FILE, needs=[NeedPart(name="db")])
    up.spawn(*script("other"), name="other", project="/else/aish.toml")
    up.spawn(*script("mine"), name="mine")
    for name in ("db", "web"):
        up.until("it has begun", lambda name=name: "up" in up.log(name)[0])  # type: ignore[misc]
    assert up.client.ask(Done, Down(project=FILE)).changed
    assert (tmp_path / "order").read_text().split() == ["web", "db"]
    assert up.row("other").state == up.row("mine").state == "running"
    assert not up.client.ask(Done, Down(project=FILE)).changed


def test_down_of_some(up: Supervised) -> None:
    up.spawn("sleep", "100", name="a", project=FILE)
    up.spawn("sleep", "100", name="b", project=FILE)
    up.client.ask(Done, Down(project=FILE, targets=["a"]))
    assert up.row("a").state == "exited"
    assert up.row("b").state == "running"


def test_hostile_marks_of_a_project_are_refused(up: Supervised) -> None:
    for fields in ({"project": "aish.toml"}, {"digest": "not hex"}, {"project": "/" + "x" * 5000}):
        with pytest.raises(InputError):
            up.spawn("true", **fields)


def test_stop_while_a_restart_is_under_way(up: Supervised, tmp_path: Path) -> None:
    """Fault: stopped by a person while it is being restarted by another: it stays stopped."""
    script = f"trap 'touch {tmp_path}/asked; sleep 0.5; exit 0' TERM; echo one; while :; do sleep 0.05; done"
    up.spawn("sh", "-c", script, name="web")
    up.until("it has begun", lambda: "one" in up.log("web")[0])
    pid = up.row("web").pid
    with connect(program="other") as other:
        other.send(Restart(target="web"))
        up.until("it is being stopped", (tmp_path / "asked").exists)
        up.client.ask(Done, Stop(target="web"))
        end = up.wait("web")
    assert end.state == "exited"
    assert end.exit is not None
    assert end.exit.reason == "cancelled"
    assert not os.path.exists(f"/proc/{pid}")


def free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def test_a_restart_without_its_sockets_closes_them(up: Supervised) -> None:
    """The port stayed bound, and whoever connected hung, until the next daemon came."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    up.spawn("sleep", "100", name="web", sockets=[SocketPart(address=f"127.0.0.1:{port}")])
    assert not free(port)
    spec = msgspec.structs.replace(up.inspect("web").spec, sockets=[])
    up.client.ask(Done, Restart(target="web", spec=spec))
    up.until("nobody listens", lambda: free(port))


def test_one_that_was_given_descriptors_cannot_be_amended_into_starting_again(up: Supervised) -> None:
    ours, theirs = os.pipe()
    try:
        up.spawn("sleep", "100", name="stage", fds={1: theirs})
        spec = msgspec.structs.replace(up.inspect("stage").spec, restart="always")
        with pytest.raises(ConflictError, match="given descriptors"):
            up.client.ask(Done, Amend(target="stage", spec=spec))
    finally:
        os.close(ours)
        os.close(theirs)


def test_labels_that_are_not_there_are_not_told(up: Supervised) -> None:
    """Every word of `unset` went into the journal: 4 MiB in one event."""
    up.spawn("sleep", "100", name="web", labels={"tier": "front"})
    with pytest.raises(InputError, match="labels"):
        up.client.ask(Done, Label(target="web", unset=["x" * 1000] * 4000))
    assert up.client.ask(Done, Label(target="web", unset=["tier", "nothing"])).changed
    (event,) = [event for event in up.events() if event.kind == "labelled"]
    assert event.detail["changes"] == "tier-"
