"""From spawn to exit with real processes: a child starts as if the calling shell had forked it."""

from __future__ import annotations

import os
import resource
import secrets
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from aish.client import connect, launch
from aish.errors import ConflictError, InputError, NotFoundError
from aish.wire.message import Forget, Inspect, Signal, Snapshot, Spawn, Stop
from aish.wire.reply import Done, Started
from aish.wire.spec import LaunchPart, ProbePart, SecretPart, SpecPart

if TYPE_CHECKING:
    from conftest import Supervised


def test_exit_codes_and_signals(up: Supervised) -> None:
    assert up.code(up.spawn("true").id) == 0
    assert up.code(up.spawn("sh", "-c", "exit 42").id) == 42
    end = up.wait(up.spawn("sh", "-c", "kill -9 $$").id).exit
    assert end is not None
    assert (end.code, end.signal) == (None, 9)


def test_output_goes_to_the_logs(up: Supervised) -> None:
    started = up.spawn("sh", "-c", "echo out; echo err >&2")
    up.wait(started.id)
    assert up.log(started.id) == ("out\n", "err\n")
    for stream in ("out", "err"):
        assert (up.home.state / "logs" / f"{started.id}.{stream}").stat().st_mode & 0o777 == 0o600


def test_descriptors_that_are_passed(up: Supervised) -> None:
    """A pipeline stage reads its neighbour's pipe, not a log, and end of file travels."""
    read_in, write_in = os.pipe()
    read_out, write_out = os.pipe()
    started = up.spawn(
        "sh", "-c", "tr a-z A-Z; echo more >&2; echo nine >&9", fds={0: read_in, 1: write_out, 9: write_out}
    )
    for fd in (read_in, write_out):
        os.close(fd)
    os.write(write_in, b"hello\n")
    os.close(write_in)
    with open(read_out, "rb") as pipe:
        assert pipe.read() == b"HELLO\nnine\n"  # ends: neither daemon nor holder keeps the other end
    assert up.code(started.id) == 0
    assert up.log(started.id) == ("", "more\n")


def test_no_stray_descriptors_and_a_session_of_its_own(up: Supervised) -> None:
    started = up.spawn("sh", "-c", "ls /proc/self/fd | tr '\\n' ' '; cut -d' ' -f5,6 /proc/$$/stat; echo $$")
    up.wait(started.id)
    fds, pid, _ = up.log(started.id)[0].split("\n")
    assert fds.split()[:3] == ["0", "1", "2"]
    assert len(fds.split()) == 4 + 2  # the listing's own, then process group and session
    assert fds.split()[-2:] == [pid, pid]


def test_surroundings(up: Supervised) -> None:
    """cwd, environment, umask, limits, niceness, signals: the caller's, not the daemon's."""
    part = LaunchPart(
        environ=[b"PATH=" + os.fsencode(os.environ["PATH"]), b"PLAIN=x y", b"RAW=\xff\xfe"],
        umask=0o057,
        rlimits={"NOFILE": (77, 99), "CORE": (0, 0)},
        nice=min(19, os.nice(0) + 3),  # only root may be nicer than its test runner
    )
    code = (
        "import os, resource, signal\n"
        "print(os.getcwd()); print(os.environb[b'PLAIN'], os.environb[b'RAW'])\n"
        "print(oct(os.umask(0))); print(resource.getrlimit(resource.RLIMIT_NOFILE)); print(os.nice(0))\n"
        "print(open('/proc/self/status').read().split('SigBlk:')[1].split()[0])\n"
    )
    started = up.python(code, part=part)
    assert up.code(started.id) == 0, up.log(started.id)
    assert up.log(started.id)[0].splitlines() == [
        str(up.home.root),
        "b'x y' b'\\xff\\xfe'",
        "0o57",
        "(77, 99)",
        str(min(19, os.nice(0) + 3)),
        "0000000000000000",
    ]


def test_limits_that_the_caller_does_not_name_are_not_the_daemons(up: Supervised) -> None:
    """The daemon raises its own NOFILE; a child that inherits that may iterate over a million descriptors."""
    started = up.python("import resource; print(resource.getrlimit(resource.RLIMIT_NOFILE)[0])")
    up.wait(started.id)
    assert int(up.log(started.id)[0]) == resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def test_default_signals(up: Supervised) -> None:
    """Python ignores SIGPIPE: an inherited disposition would make `yes | head` run for ever."""
    started = up.spawn("sh", "-c", "grep -E 'Sig(Ign|Blk)' /proc/self/status")
    up.wait(started.id)
    assert {line.split()[1] for line in up.log(started.id)[0].splitlines()} == {"0" * 16}


def test_variables_of_the_supervisor(up: Supervised) -> None:
    environ = dict(os.environ, OPENAI_API_KEY="sk-real", ANTHROPIC_API_KEY="sk-real", MISTRAL_API_KEY="sk-real")
    started = up.spawn("env", environ=environ, name="printer", secrets=["MISTRAL_API_KEY"])
    up.wait(started.id)
    told = dict(line.split("=", 1) for line in up.log(started.id)[0].splitlines() if "=" in line)
    url = up.client.welcome.gateway_url
    assert told["AISH_ID"] == started.id
    assert told["AISH_NAME"] == "printer"
    assert told["AISH_GATEWAY_URL"] == url
    assert told["OPENAI_BASE_URL"] == told["OPENAI_API_BASE"] == f"{url}/v1"
    assert told["OPENAI_API_KEY"].startswith(f"aish-{started.id}-{up.client.welcome.epoch}-")
    assert "ANTHROPIC_API_KEY" not in told
    assert told["MISTRAL_API_KEY"] == "sk-real"


def test_no_key_or_value_is_kept_or_shown(up: Supervised) -> None:
    """The journal, events and inspect are read by people and programs that must not learn a key."""
    started = up.spawn("sleep", "60", environ={"PATH": os.environ["PATH"], "TOKEN": "s3cret-value"})
    shown = repr(up.inspect(started.id))
    assert "TOKEN" in shown
    assert "s3cret-value" not in shown
    assert not any("s3cret-value" in repr(event) for event in up.events())
    for path in up.home.state.rglob("*"):
        if path.is_file():
            assert b"s3cret-value" not in path.read_bytes(), path
    # Kept where /proc/PID/environ shows it to the same user anyway, for a restart; gone when the process has ended.
    file = up.home.runtime / "environ" / started.id
    assert file.stat().st_mode & 0o777 == 0o600
    up.client.ask(Done, Stop(target=started.id, grace_s=0))
    up.wait(started.id)
    up.until("it is gone", lambda: not file.exists())


@pytest.mark.parametrize(
    ("argv", "cwd", "reason"),
    [
        (["no-such-program"], None, "the program cannot be run: No such file or directory"),
        (["/etc/passwd"], None, "the program cannot be run: Permission denied"),
        (["true"], b"/no/such/folder", "its folder cannot be entered: No such file or directory"),
    ],
)
def test_what_cannot_be_started_fails_with_the_reason(
    up: Supervised, argv: list[str], cwd: bytes | None, reason: str
) -> None:
    surroundings = launch.capture({"PATH": "/usr/bin:/bin"})  # no folder that may not be searched
    spec = up.spec(*argv)
    if cwd is not None:
        spec = type(spec)(argv=spec.argv, cwd=cwd)
    started = up.client.ask(Started, Spawn(token=secrets.token_hex(16), spec=spec, launch=surroundings))
    assert (started.state, started.reason) == ("failed", reason)
    end = up.wait(started.id).exit
    assert end is not None
    assert (end.code, end.signal, end.reason) == (None, None, "start")


def test_a_script_without_an_interpreter_is_the_shell_s(up: Supervised, tmp_path: Path) -> None:
    """As execvp(3) has it: it ended as 'Exec format error', which every shell runs."""
    script = tmp_path / "plain"
    script.write_text('[ "$0" = "$PWD/plain" ] && exit "$1"\n')
    script.chmod(0o755)
    for word, environ in (str(script), os.environ), ("plain", {"PATH": f"/nowhere:{tmp_path}"}):
        started = up.client.ask(
            Started,
            Spawn(
                token=secrets.token_hex(16),
                spec=SpecPart(argv=[word.encode(), b"7"], cwd=os.fsencode(tmp_path)),
                launch=launch.capture(dict(environ)),
            ),
        )
        end = up.wait(started.id).exit
        assert end is not None
        assert end.code == 7, started


def test_an_interpreter_that_is_not_there_is_named(up: Supervised, tmp_path: Path) -> None:
    """'No such file or directory' about a file that is there."""
    script = tmp_path / "odd"
    script.write_text("#! /no/such/interpreter -x\n")
    script.chmod(0o755)
    started = up.spawn(str(script))
    assert started.state == "failed"
    assert started.reason is not None
    assert started.reason.startswith("the program cannot be run: No such file or directory")
    assert "/no/such/interpreter" in started.reason


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({}, id="interpreter"),
        pytest.param({"before": [b"no-such-\xff"]}, id="hook"),
        pytest.param({"argv": [b"true"], "check": [b"no-such-\xff"]}, id="check"),
        pytest.param({"secret_sources": {"KEY": SecretPart(file=b"/no-such-\xff")}}, id="secret-file"),
        pytest.param({"secret_sources": {"KEY": SecretPart(command=[b"no-such-\xff"])}}, id="secret-command"),
        pytest.param({"argv": [b"true", b"\xff"], "ready": ProbePart(command=[b"no-such-\xff"])}, id="probe"),
    ],
)
def test_words_that_are_no_utf8_keep_nobody_else_from_being_written(
    up: Supervised, tmp_path: Path, fields: dict[str, Any]
) -> None:
    """A script with such an interpreter ended all writing of the process table until the next daemon; a variable with
    such a name was 'a fault of the daemon'."""
    script = tmp_path / "odd"
    script.write_bytes(b"#!/no-such-\xff\n")
    script.chmod(0o755)
    surroundings = launch.capture()
    surroundings = LaunchPart(environ=[*surroundings.environ, b"\xfe\xff=\xff"], umask=0o22)
    spec = SpecPart(**{"argv": [os.fsencode(script)], "cwd": os.fsencode(tmp_path), **fields})
    started = up.client.ask(Started, Spawn(token=secrets.token_hex(16), spec=spec, launch=surroundings))
    end = up.wait(started.id).exit
    assert end is not None
    assert (end.code, end.reason) in ((0, "done"), (1, "check"), (None, "start"), (None, "hook"), (None, "secret"))
    assert "\\xfe\\xff" in up.inspect(started.id).launch.environ_names
    assert up.code(up.spawn("true").id) == 0
    assert [alert for alert in up.view().alerts if "process table" in alert] == []
    assert not any(event.kind == "storage-failed" for event in up.events())


@pytest.mark.usefixtures("home")
def test_a_token_is_spawned_once(up: Supervised) -> None:
    """A client that lost the answer asks again: two runs of one wish would be a duplicate."""
    token = secrets.token_hex(16)
    first = up.spawn("sleep", "60", token=token)
    again = up.spawn("sleep", "60", token=token)
    assert (again.id, again.pid, again.existed) == (first.id, first.pid, True)
    up.kill_daemon()
    assert up.spawn("sleep", "60", token=token).pid == first.pid


def test_names(up: Supervised) -> None:
    first = up.spawn("sleep", "60", name="job")
    with pytest.raises(ConflictError, match=rf"the name job is taken by {first.id}\b"):
        up.spawn("sleep", "60", name="job")
    assert up.spawn("sleep", "60", name="job", rename=True).name == "job-2"
    assert up.spawn("/bin/sleep", "60").name == "sleep"
    assert up.spawn("/bin/sleep", "60").name == "sleep-2"
    for bad in ("p12", "gateway", "-x", "a b", "", "x" * 200, "é"):
        with pytest.raises(InputError):
            up.spawn("true", name=bad)
    for target in ("job", "@job", first.id, f"@{first.id}"):
        assert up.row(target).id == first.id
    with pytest.raises(NotFoundError) as error:
        up.row("jib")
    assert error.value.hint == "did you mean job?"
    up.client.request(Stop(target="job", grace_s=0))
    up.wait(first.id)
    assert up.spawn("sleep", "60", name="job").id != first.id


def test_stop_with_grace_and_kill(up: Supervised) -> None:
    stubborn = up.python(
        "import signal, os; signal.signal(15, signal.SIG_IGN); os.write(1, b'up'); signal.pause()",
        name="stubborn",
        grace_s=0.2,
    )
    up.until("the handler is set", lambda: up.log("stubborn")[0] == "up")
    assert up.client.ask(Done, Stop(target="stubborn")).changed
    end = up.wait(stubborn.id).exit
    assert end is not None
    assert (end.signal, end.reason) == (9, "cancelled")
    assert not up.client.ask(Done, Stop(target=stubborn.id)).changed
    kinds = [event.kind for event in up.events() if event.process == stubborn.id]
    assert kinds == ["created", "started", "stopping", "killed", "exited"]


def test_signal_goes_to_the_group(up: Supervised) -> None:
    """A shell's child gets it, too: else `aish kill` leaves half a job behind (Supervisor #1396)."""
    started = up.spawn("sh", "-c", "sleep 61 & echo $!; wait")
    up.until("the child runs", lambda: up.log(started.id)[0] != "")
    child = int(up.log(started.id)[0])
    assert up.client.ask(Done, Signal(target=started.id, signal=signal.SIGKILL)).changed
    up.wait(started.id)
    up.until("the grandchild has ended", lambda: not os.path.exists(f"/proc/{child}"))
    with pytest.raises(ConflictError, match="nothing to signal"):
        up.client.request(Signal(target=started.id, signal=15))
    with pytest.raises(InputError, match="no signal has the number 99"):
        up.client.request(Signal(target=started.id, signal=99))


def test_nothing_is_left_open(up: Supervised) -> None:
    """One leaked descriptor per spawn ends the daemon after a day. Every round of them would have more than the one
    before; what the daemon opens once for itself (its line to the gateway) comes in one of the first rounds."""

    def several() -> int:
        for _ in range(10):
            read_end, write_end = os.pipe()
            up.wait(up.spawn("true", fds={0: read_end, 1: write_end}).id)
            os.close(read_end)
            os.close(write_end)
            up.wait(up.spawn("true", pty=True).id)
            up.spawn("no-such-program")
            with connect() as other:
                other.request(Snapshot(all=True))
        return len(os.listdir(f"/proc/{up.daemon_pid}/fd"))

    counts = [several()]

    def grew_no_more() -> bool:
        counts.append(several())
        return counts[-1] <= counts[-2]

    up.until("a round leaves no more open than the one before", grew_no_more)


@pytest.mark.usefixtures("home")
def test_forget(up: Supervised) -> None:
    started = up.spawn("sleep", "60", name="job")
    with pytest.raises(ConflictError, match="is running") as error:
        up.client.request(Forget(target="job"))
    assert error.value.hint == "stop it first: `aish stop p1`"
    up.client.request(Stop(target="job", grace_s=0))
    up.wait("job")
    up.client.request(Forget(target="job"))
    with pytest.raises(NotFoundError):
        up.client.request(Inspect(target=started.id))
    assert not list((up.home.state / "logs").glob(f"{started.id}.*"))
    up.kill_daemon()
    up.next_daemon()
    assert up.spawn("true").id == "p2", "an id was given twice"
