"""What a spec says about a process's life, on real ones: readiness, life signs, checks, hooks, needs, time-outs."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from aish.client import connect, launch
from aish.errors import ConflictError, InputError, RefusedError, UnavailableError
from aish.wire.message import Limit, Pause, Restart, Start, Stop
from aish.wire.part import ExitPart
from aish.wire.reply import Done
from aish.wire.spec import NeedPart, ProbePart, RestartPart

if TYPE_CHECKING:
    from conftest import Supervised


SERVER = """
import http.server, sys, threading
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/health" else 503)
        self.end_headers()
    def log_message(self, *_):
        pass
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


def kinds(up: Supervised, target: str) -> list[str]:
    id_ = up.row(target).id
    return [event.kind for event in up.events() if event.process == id_]


def sh(line: str) -> list[bytes]:
    return [b"sh", b"-c", line.encode()]


# --- readiness ------------------------------------------------------------------------------------------------------


def ready(up: Supervised, target: str) -> str:
    up.wait(target, until="ready")
    return up.row(target).ready


def test_ready_by_http_on_the_leased_port(up: Supervised) -> None:
    probe = ProbePart(url="http://127.0.0.1:{port}/health", every_s=0.05)
    started = up.spawn(sys.executable, "-I", "-c", SERVER, "{port}", ready=probe, name="web")
    assert ready(up, started.id) == "yes"
    assert "ready" in kinds(up, "web")


def test_not_ready_while_it_answers_with_an_error(up: Supervised) -> None:
    probe = ProbePart(url="http://127.0.0.1:{port}/other", every_s=0.05)
    up.spawn(sys.executable, "-I", "-c", SERVER, "{port}", ready=probe, name="web")
    up.until("the reason is shown", lambda: "answers 503" in (up.row("web").doing or ""))
    assert up.row("web").ready == "no"


def test_a_refused_connection_is_told_in_the_systems_words(up: Supervised) -> None:
    """Fault: `Connect call failed ('127.0.0.1', 4711)`."""
    up.spawn("sleep", "100", "{port}", ready=ProbePart(address="127.0.0.1:{port}", every_s=0.05), name="web")
    up.until("the reason is shown", lambda: "Connection refused" in (up.row("web").doing or ""))


def test_ready_by_a_connection_a_command_and_a_line(up: Supervised, tmp_path: Path) -> None:
    listen = (
        "import socket, sys, time; s = socket.socket(); s.bind(('127.0.0.1', int(sys.argv[1]))); s.listen(); "
        "time.sleep(100)"
    )
    tcp = up.python(listen, "{port}", ready=ProbePart(address="127.0.0.1:{port}", every_s=0.05))
    flag = tmp_path / "flag"
    file = up.spawn(
        "sh",
        "-c",
        f"sleep 0.2; touch {flag}; sleep 100",
        ready=ProbePart(command=sh(f"test -e {flag}"), every_s=0.05),
    )
    line = up.spawn(
        "sh", "-c", "echo noise; echo now ready to serve >&2; sleep 100", ready=ProbePart(pattern="ready to")
    )
    for started in (tcp, file, line):
        assert ready(up, started.id) == "yes"


def test_a_line_of_the_run_before_makes_nobody_ready(up: Supervised, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    code = f"if [ -e {gate} ]; then sleep 100; else echo up; sleep 0.3; exit 1; fi"
    started = up.spawn("sh", "-c", code, ready=ProbePart(pattern="up"), restart="on-failure", name="job")
    assert ready(up, started.id) == "yes"
    gate.touch()
    up.until("it runs again", lambda: up.row("job").restarts == 1 and up.row("job").lifecycle == "running")
    time.sleep(0.3)  # long enough for three looks
    assert up.row("job").ready == "no"


NOTIFY = """
import os, socket, sys, time
def say(text):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    s.sendto(text.encode(), os.environ["NOTIFY_SOCKET"])
"""


def test_ready_and_status_by_sd_notify(up: Supervised) -> None:
    code = NOTIFY + "time.sleep(0.2); say('READY=1\\nSTATUS=step 1204 of 3000'); time.sleep(100)"
    started = up.python(code, ready=ProbePart(notify=True), name="train")
    assert up.row("train").ready == "no"
    assert ready(up, started.id) == "yes"
    up.until("its words are shown", lambda: up.row("train").doing == "step 1204 of 3000")


@pytest.mark.usefixtures("home")
def test_a_notice_survives_the_daemon(up: Supervised) -> None:
    """A datagram sent while no daemon ran was lost with its socket."""
    read_end, write_end = os.pipe()
    code = NOTIFY + "sys.stdin.readline(); say('READY=1'); time.sleep(100)"
    up.python(code, ready=ProbePart(notify=True), name="train", fds={0: read_end})
    os.close(read_end)
    _, holder = up.holder_pids()
    os.kill(holder, signal.SIGSTOP)
    up.kill_daemon()
    os.write(write_end, b"go\n")
    os.close(write_end)
    time.sleep(0.2)  # the word is said while nobody listens
    os.kill(holder, signal.SIGCONT)
    up.next_daemon()
    assert ready(up, "train") == "yes"


def test_a_stranger_cannot_speak_for_a_process(up: Supervised) -> None:
    import socket

    up.python("import time; time.sleep(100)", ready=ProbePart(notify=True), name="train")
    up.until("it runs", lambda: up.row("train").lifecycle == "running")
    path = up.home.runtime / "notify" / up.row("train").id
    socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b"READY=1", str(path))
    up.view()  # a turn of the loop after the datagram
    assert up.row("train").ready == "no"


def test_a_start_that_takes_too_long_has_failed_and_may_ask_for_more_time(up: Supervised) -> None:
    never = up.spawn("sleep", "100", ready=ProbePart(pattern="up"), start_timeout_s=0.3, name="never")
    end = up.wait(never.id).exit
    assert end is not None
    assert (end.reason, "not ready within 0.3 s" in (up.row("never").reason or "")) == ("unhealthy", True)
    code = NOTIFY + ("say('EXTEND_TIMEOUT_USEC=20000000'); time.sleep(1.0); say('READY=1'); time.sleep(100)")
    slow = up.python(code, ready=ProbePart(notify=True), start_timeout_s=0.8, name="slow")
    assert ready(up, slow.id) == "yes"


# --- life signs -----------------------------------------------------------------------------------------------------


def test_one_that_does_not_do_its_job_any_more_is_started_again(up: Supervised, tmp_path: Path) -> None:
    sick = tmp_path / "sick"
    live = ProbePart(command=sh(f"! test -e {sick}"), every_s=0.05, failures=2)
    up.spawn("sleep", "100", live=live, restart="on-failure", name="job")
    first = up.row("job").pid
    sick.touch()
    up.until("it is ended for it", lambda: up.row("job").pid != first)
    sick.unlink()
    up.until("another runs", lambda: up.row("job").lifecycle == "running" and up.row("job").pid is not None)
    assert "unhealthy" in kinds(up, "job")


def test_a_watchdog_that_is_not_fed_ends_it(up: Supervised) -> None:
    code = NOTIFY + (
        "assert os.environ['WATCHDOG_USEC'] == '400000'\n"
        "for _ in range(4):\n    say('WATCHDOG=1'); time.sleep(0.15)\n"
        "time.sleep(100)"
    )
    begun = time.monotonic()
    started = up.python(code, live=ProbePart(notify=True, timeout_s=0.4), name="job")
    end = up.wait(started.id).exit
    assert end is not None
    assert end.reason == "unhealthy"
    assert time.monotonic() - begun > 0.8, "it was fed for 0.6 s"


def test_a_paused_one_is_not_sick(up: Supervised) -> None:
    code = NOTIFY + "\nwhile True:\n    say('WATCHDOG=1'); time.sleep(0.05)"
    started = up.python(code, live=ProbePart(notify=True, timeout_s=0.4), name="job")
    up.client.ask(Done, Pause(target=started.id))
    time.sleep(1.0)  # longer than the watchdog's patience
    assert up.row("job").state == "paused"


# --- check, hooks ---------------------------------------------------------------------------------------------------


def test_a_check_decides_success(up: Supervised, tmp_path: Path) -> None:
    """Whether a task is done is not decided by the agent's word."""
    bad = up.spawn("true", check=sh("echo looks bad; exit 3"), name="bad")
    end = up.wait(bad.id).exit
    assert end is not None
    assert (end.code, end.reason) == (3, "check")
    assert "its check with 3" in (up.row("bad").reason or "")
    assert "looks bad" in up.log("bad")[0]
    good = up.spawn("true", check=sh("test $AISH_EXIT_CODE = 0"), name="good")
    assert up.code(good.id) == 0
    failed = up.spawn("false", check=sh(f"touch {tmp_path}/asked"), name="failed")
    assert up.code(failed.id) == 1
    assert not (tmp_path / "asked").exists()


def test_a_failed_check_is_a_failure_for_the_restart_policy(up: Supervised, tmp_path: Path) -> None:
    count = tmp_path / "count"
    check = sh(f"test $(wc -l < {count}) -ge 3")
    started = up.spawn("sh", "-c", f"echo x >> {count}", check=check, restart="on-failure", name="agent")
    assert up.code(started.id) == 0
    assert count.read_text() == "x\nx\nx\n"


@pytest.mark.usefixtures("home")
def test_the_daemon_dies_during_a_check(up: Supervised, tmp_path: Path) -> None:
    gate, count = tmp_path / "gate", tmp_path / "count"
    check = sh(f"echo x >> {count}; while ! test -e {gate}; do sleep 0.02; done; exit 4")
    started = up.spawn("true", check=check, name="job")
    up.until("the check runs", lambda: count.exists() and count.read_text() == "x\n")
    up.kill_daemon()
    up.next_daemon()
    assert up.row("job").state != "exited"
    gate.touch()
    assert up.code(started.id) == 4
    assert count.read_text() == "x\n", "it went on: it is not asked again"


def test_a_stop_during_a_check_is_final(up: Supervised, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    started = up.spawn("true", check=sh(f"touch {mark}; sleep 100"), restart="always", name="job")
    up.until("the check runs", mark.exists)
    up.client.ask(Done, Stop(target=started.id))
    end = up.wait(started.id).exit
    assert end is not None
    assert end.reason == "cancelled"


def test_hooks_run_around_each_run(up: Supervised, tmp_path: Path) -> None:
    log = tmp_path / "log"
    started = up.spawn(
        "sh", "-c", f"echo run >> {log}; exit 7",
        before=sh(f"echo before >> {log}"),
        after=sh(f"echo after $AISH_EXIT_CODE >> {log}"),
        restart="on-failure",
        restarts=RestartPart(most=1),
        name="job",
    )  # fmt: skip
    up.wait(started.id)
    up.until("the last hook has run", lambda: log.read_text().count("after") == 2)
    assert log.read_text().split("\n")[:-1] == ["before", "run", "after 7"] * 2


def test_a_hook_that_fails_is_a_failed_start(up: Supervised) -> None:
    started = up.spawn("true", before=sh("echo no database >&2; exit 9"), name="job")
    assert started.state == "failed"
    assert "hook before the start ended with 9" in (started.reason or "")
    end = up.wait(started.id).exit
    assert end is not None
    assert end.reason == "hook"


def test_a_hook_that_hangs_is_ended_by_its_time_or_by_a_stop(up: Supervised, tmp_path: Path) -> None:
    slow = up.spawn("true", before=sh("sleep 100"), hook_timeout_s=0.3, name="slow")
    assert "did not end within 0.3 s" in (slow.reason or "")
    mark = tmp_path / "mark"
    with connect() as other:
        spawner = threading.Thread(
            target=lambda: other.request(up_spawn(up, "true", before=sh(f"touch {mark}; sleep 100"), name="hung"))
        )
        spawner.start()
        up.until("the hook runs", mark.exists)
        up.client.ask(Done, Stop(target="hung"))
        spawner.join(10)
    end = up.wait("hung").exit
    assert end is not None
    assert end.reason == "cancelled"


def up_spawn(up: Supervised, *argv: str, **fields: Any) -> Any:
    import secrets

    from aish.wire.message import Spawn

    return Spawn(token=secrets.token_hex(16), spec=up.spec(*argv, **fields), launch=launch.capture())


# --- dependencies ---------------------------------------------------------------------------------------------------


def test_a_dependency_that_is_never_ready_is_named_with_its_time(up: Supervised) -> None:
    up.spawn("sleep", "100", ready=ProbePart(pattern="up"), name="db")
    web = up.spawn("true", needs=[NeedPart(name="db", timeout_s=0.4)], name="web")
    assert (web.state, web.reason) == ("queued", "it waits for db, which is not ready yet")
    end = up.wait("web").exit
    assert end is not None
    assert end.reason == "needs"
    assert "db, which is not ready yet after 0.4 s" in (up.row("web").reason or "")


def test_a_start_that_closes_a_circle_of_needs_is_refused(up: Supervised) -> None:
    """All of them waited for ever, and only `aish why` said so."""
    up.spawn("true", needs=[NeedPart(name="there"), NeedPart(name="b")], name="a")
    up.spawn("true", needs=[NeedPart(name="c", until="completed")], name="b")
    with pytest.raises(InputError, match="they wait for each other: c needs a needs b needs c") as refused:
        up.spawn("true", needs=[NeedPart(name="a")], name="c")
    assert refused.value.field == "needs"
    up.spawn("sleep", "100", needs=[NeedPart(name="later", until="started", timeout_s=60.0)], name="c")
    up.spawn("sleep", "100", name="later")
    up.spawn("true", needs=[NeedPart(name="c", until="started")], name="needy")
    assert up.code("needy") == 0, "who runs waits for nothing any more"


def test_dependents_start_when_what_they_need_is_there(up: Supervised, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    last = up.spawn("sh", "-c", "exit 5", needs=[NeedPart(name="job", until="completed")], name="last")
    web = up.spawn("sh", "-c", "sleep 100", needs=[NeedPart(name="db")], name="web")
    assert (last.state, web.state) == ("queued", "queued")
    db = f"while ! test -e {gate}; do sleep 0.02; done; echo up; sleep 100"
    up.spawn("sh", "-c", db, ready=ProbePart(pattern="up"), name="db")
    up.spawn("true", name="job", needs=[NeedPart(name="web", until="started")])
    assert up.row("job").state == "queued"
    gate.touch()
    assert up.code("last") == 5
    order = [
        event.name for event in up.events() if event.kind == "started" and event.name in ("db", "web", "job", "last")
    ]
    assert order == ["db", "web", "job", "last"]


def test_a_dependency_that_failed_fails_its_dependents(up: Supervised) -> None:
    up.code(up.spawn("false", name="job").id)
    last = up.spawn("true", needs=[NeedPart(name="job", until="completed")], name="last")
    assert (last.state, last.reason) == ("failed", "it needs job, which did not end successfully")


@pytest.mark.usefixtures("home")
def test_who_waits_for_another_still_waits_after_the_daemon(up: Supervised) -> None:
    up.spawn("sh", "-c", "exit 3", needs=[NeedPart(name="db", until="started")], name="web")
    up.kill_daemon()
    up.next_daemon()
    assert up.row("web").state == "queued"
    up.spawn("sleep", "100", name="db")
    assert up.code("web") == 3


# --- time, starting again -------------------------------------------------------------------------------------------


def test_a_run_that_takes_too_long_is_stopped_for_good(up: Supervised) -> None:
    started = up.spawn("sleep", "100", run_timeout_s=0.3, restart="always", name="job")
    end = up.wait(started.id).exit
    assert end is not None
    assert (end.reason, up.row("job").restarts) == ("timeout", 0)


@pytest.mark.usefixtures("home")
def test_the_time_of_a_run_can_be_changed_while_it_runs(up: Supervised) -> None:
    """It was for the next run only, though limits act at once. Over the daemon's death."""
    job = up.spawn("sleep", "100", run_timeout_s=100.0, name="job")
    other = up.spawn("sleep", "100", run_timeout_s=20.0, name="other")
    up.client.request(Limit(target="other", wall="+1h"))
    up.client.request(Limit(target="job", wall="3s"))
    up.kill_daemon()
    up.next_daemon()
    end = up.wait(job.id).exit
    assert end is not None
    assert (end.reason, up.row("job").reason) == ("timeout", "it ran longer than 3 s")
    assert up.row(other.id).lifecycle == "running"
    assert up.client.ask(Done, Limit(target="other", wall="none")).changed
    assert not up.client.ask(Done, Limit(target="other", wall="none")).changed


def test_a_run_is_warned_of_before_its_time_is_over(up: Supervised) -> None:
    job = up.spawn("sleep", "100", run_timeout_s=0.5, name="job")
    up.wait(job.id)
    (warned,) = [event for event in up.events() if event.kind == "warned"]
    assert (warned.process, warned.text) == (job.id, "80 % of its time (0.5s) are over")


def test_start_runs_an_ended_one_again_under_its_id(up: Supervised) -> None:
    started = up.spawn("sh", "-c", "echo run; exit 3", name="job")
    assert up.code(started.id) == 3
    assert up.client.ask(Done, Start(target="job", launch=launch.capture())).changed
    up.until("both runs are in its log", lambda: up.log("job")[0] == "run\nrun\n")
    assert up.code(started.id) == 3
    assert up.row("job").id == started.id


def test_between_two_runs_the_status_of_the_last_one_is_told(up: Supervised) -> None:
    """ps said 'exit -' and its JSON null, while the history knew it."""
    up.spawn("sh", "-c", "exit 3", name="again", restart="always", restarts=RestartPart(delay_s=600, longest_s=600))

    def waits() -> bool:
        """The first restart comes at once."""
        row = up.row("again")
        return (row.lifecycle, row.restarts) == ("backoff", 1)

    up.until("it waits for its run after the next", waits)
    assert up.row("again").exit == ExitPart(code=3)
    assert "exit 3: restart 2 follows" in up.home.aish("ps", "again").stdout
    assert up.inspect("again").process.exit == ExitPart(code=3)


def test_restart_is_one_step_even_when_asked_for_twice(up: Supervised) -> None:
    started = up.spawn("sleep", "100", name="job", restart="always")
    answers: list[bool] = []

    def restart() -> None:
        with connect() as client:
            answers.append(client.ask(Done, Restart(target="job")).changed)

    both = [threading.Thread(target=restart) for _ in range(2)]
    for each in both:
        each.start()
    for each in both:
        each.join(20)
    row = up.row("job")
    assert (row.lifecycle, row.id) == ("running", started.id)
    assert row.pid != started.pid
    alive = [pid for pid in map(int, filter(str.isdecimal, os.listdir("/proc"))) if is_sleep(pid, up, started.id)]
    assert alive == [row.pid], "two restarts at once: one live instance"


def is_sleep(pid: int, up: Supervised, id_: str) -> bool:
    wanted = {f"AISH_ID={id_}".encode(), f"XDG_RUNTIME_DIR={up.home.root}/run".encode()}
    try:
        return (
            wanted <= set(Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"))
            and Path(f"/proc/{pid}/comm").read_text() == "sleep\n"
        )
    except OSError:
        return False


@pytest.mark.usefixtures("home")
def test_a_restart_is_carried_through_by_the_next_daemon(up: Supervised) -> None:
    code = (
        "import signal, time\n"
        "signal.signal(15, lambda *_: time.sleep(0.5) or exit(0))\n"
        "print('up', flush=True)\n"
        "time.sleep(100)\n"
    )
    started = up.python(code, name="job", restart="always")
    up.until("it is up", lambda: up.log("job")[0] == "up\n")

    def restart() -> None:
        with connect() as client:
            client.send(Restart(target="job"))

    restart()
    up.until("it is stopping", lambda: up.row("job").lifecycle == "stopping")
    up.kill_daemon()
    up.next_daemon()
    up.until("it runs again", lambda: up.row("job").lifecycle == "running" and up.row("job").pid != started.pid)


def test_what_was_given_descriptors_cannot_be_started_again(up: Supervised) -> None:
    started = up.spawn("true", fds={1: os.open(os.devnull, os.O_WRONLY)})
    up.code(started.id)
    with pytest.raises(ConflictError, match="given descriptors"):
        up.client.ask(Done, Start(target=started.id, launch=launch.capture()))


# --- bad input ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fields",
    [
        {"ready": ProbePart()},
        {"ready": ProbePart(url="ftp://x")},
        {"ready": ProbePart(url="http://x", notify=True)},
        {"ready": ProbePart(address="nowhere")},
        {"live": ProbePart(pattern="x")},
        {"live": ProbePart(notify=True, timeout_s=float("inf"))},
        {"needs": [NeedPart(name="x", until="happy")]},
        {"needs": [NeedPart(name="self")], "name": "self"},
        {"run_timeout_s": 0.0},
        {"hook_timeout_s": float("nan")},
        {"restarts": RestartPart(delay_s=-1)},
        {"restarts": RestartPart(most=100_000)},
        {"oom_score_adj": 5000},
        {"ionice": "fast"},
        {"nice": 20},
    ],
    ids=" ".join,
)
def test_a_spec_that_means_nothing_is_refused_with_its_field(up: Supervised, fields: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        up.spawn("true", **fields)


def test_an_agent_cannot_start_itself_again(up: Supervised) -> None:
    code = """
import json
from aish.client import connect, launch
from aish.errors import AishError
from aish.wire.message import Start
with connect(start=False) as client:
    try:
        client.request(Start(target="other", launch=launch.capture()))
    except AishError as error:
        print(error.code)
"""
    up.code(up.spawn("true", name="other").id)
    started = up.spawn(sys.executable, "-P", "-c", code, name="agent", kind="agent")
    assert up.code(started.id) == 0
    assert up.log("agent")[0] == "refused\n"
    assert RefusedError.code == "refused"


def test_a_restart_may_keep_the_environment_and_tells_a_start_that_fails(up: Supervised) -> None:
    environ = dict(os.environ) | {"FOO": "1"}
    up.spawn("sh", "-c", "echo foo=$FOO; sleep 100", environ=environ, name="job")
    up.until("it says so", lambda: up.log("job")[0] == "foo=1\n")
    up.client.ask(Done, Restart(target="job"))
    up.until("it says so again", lambda: up.log("job")[0] == "foo=1\nfoo=1\n")
    up.spawn("true", before=sh("exit 3"), name="bad")
    with pytest.raises(UnavailableError, match="hook before the start ended with 3"):
        up.client.ask(Done, Start(target="bad", launch=launch.capture()))


def test_what_it_was_not_ready_for_is_forgotten_when_it_is(up: Supervised) -> None:
    up.spawn("sh", "-c", "sleep 0.4; echo up; sleep 100", ready=ProbePart(pattern="up"), name="job")
    up.until("why is shown", lambda: "not ready" in (up.row("job").doing or ""))
    assert ready(up, "job") == "yes"
    assert "not ready" not in (up.row("job").doing or "")
