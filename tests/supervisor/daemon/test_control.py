"""Pause, continue, limits, restarts, waiting, looking, events, shutdown: by the real thing."""

from __future__ import annotations

import os
import secrets
import select
import signal
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from aish.client import connect, launch
from aish.errors import ConflictError, DisconnectedError, InputError, LimitError, NotFoundError, UsageError
from aish.supervisor.daemon import proc
from aish.supervisor.daemon.sampler import LOOK_S
from aish.wire.message import (
    Attach,
    Cont,
    Doctor,
    Events,
    Inspect,
    Limit,
    Logs,
    Pause,
    Restart,
    Shutdown,
    Signal,
    Snapshot,
    Spawn,
    Start,
    Stop,
    Wait,
)
from aish.wire.reply import Attached, Done, EventList, Findings, Inspected, LogFiles, Started, View, Waited
from aish.wire.spec import BudgetPart, LimitPart, NeedPart, RestartPart, RoutePart, SpecPart

if TYPE_CHECKING:
    from conftest import Supervised


def proc_state(pid: int | None) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


# --- pause, continue ------------------------------------------------------------------------------------------------


def test_pause_and_continue_the_whole_group(up: Supervised) -> None:
    started = up.spawn("sh", "-c", "sleep 62 & echo $!; wait", name="job")
    up.until("the child runs", lambda: up.log("job")[0] != "")
    child = int(up.log("job")[0])
    assert up.client.ask(Done, Pause(target="job")).changed
    assert not up.client.ask(Done, Pause(target="job")).changed
    assert up.row("job").state == "paused"
    up.until("both stand still", lambda: proc_state(started.pid) == proc_state(child) == "T")
    assert up.client.ask(Done, Cont(target="job")).changed
    up.until("both go on", lambda: proc_state(started.pid) == proc_state(child) == "S")
    assert not up.client.ask(Done, Cont(target="job")).changed
    assert up.row("job").state == "running"


def test_a_paused_process_can_be_stopped(up: Supervised) -> None:
    """A stopped process does not act on SIGTERM until it is continued: it would need its whole grace."""
    up.spawn("sleep", "62", name="job", grace_s=30.0)
    up.client.request(Pause(target="job"))
    up.client.request(Stop(target="job"))
    end = up.wait("job", timeout_s=5).exit
    assert end is not None
    assert end.signal == signal.SIGTERM


@pytest.mark.usefixtures("home")
def test_a_pause_outlives_the_daemon(up: Supervised) -> None:
    started = up.spawn("sleep", "62", name="job")
    up.client.request(Pause(target="job"))
    up.kill_daemon()
    up.next_daemon()
    assert (up.row("job").state, proc_state(started.pid)) == ("paused", "T")
    up.client.request(Cont(target="job"))
    up.until("it goes on", lambda: proc_state(started.pid) == "S")


def test_ended_processes_cannot_be_paused(up: Supervised) -> None:
    started = up.spawn("true")
    up.wait(started.id)
    for request in (Pause(target=started.id), Cont(target=started.id)):
        with pytest.raises(ConflictError, match="has ended"):
            up.client.request(request)


# --- limits ---------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("home")
def test_limits_of_what_has_ended_count_from_its_next_start(up: Supervised) -> None:
    """Fault: 'job has ended', and it had to be started first with the limits that had ended it."""
    up.spawn("sh", "-c", "ulimit -n; nice; sleep 62", name="job", budget_tokens=1000)
    up.client.request(Stop(target="job", grace_s=0))
    up.wait("job")
    assert up.client.ask(Done, Limit(target="job", tokens="+50k", memory="2G", pids="100", nice="3")).changed
    assert up.row("job").state == "exited", "and nothing is started by it"
    up.client.request(Start(target="job", launch=launch.capture()))
    found = up.client.ask(Inspected, Inspect(target="job"))
    assert found.spec.limits == LimitPart(memory_bytes=2 << 30, pids=100)
    assert (found.spec.budget_tokens, found.launch.nice) == (51_000, 3)


def test_limits_of_what_cannot_be_started_again_are_refused(up: Supervised) -> None:
    read_end, write_end = os.pipe()
    try:
        request = Spawn(
            token=secrets.token_hex(16), spec=SpecPart(argv=[b"true"]), launch=launch.capture(), targets=[1]
        )
        started = up.client.ask(Started, request, [write_end])
        up.wait(started.id)
    finally:
        os.close(read_end)
        os.close(write_end)
    with pytest.raises(ConflictError, match="has ended, and cannot be started again"):
        up.client.request(Limit(target=started.id, tokens="5k"))


@pytest.mark.usefixtures("home")
def test_limits_of_tokens(up: Supervised) -> None:
    up.spawn("sleep", "62", name="job", budget_tokens=1000)
    for typed, budget in (("200k", 200_000), ("+50k", 250_000), ("none", None), ("5", 5)):
        assert up.client.ask(Done, Limit(target="job", tokens=typed)).changed
        assert up.row("job").budget_tokens == budget
    assert not up.client.ask(Done, Limit(target="job", tokens="5")).changed
    up.client.request(Limit(target="job", tokens="none"))
    with pytest.raises(UsageError, match="no limit of tokens to raise"):
        up.client.request(Limit(target="job", tokens="+5"))
    with pytest.raises(UsageError, match="not a size"):
        up.client.request(Limit(target="job", tokens="many"))
    up.kill_daemon()
    up.next_daemon()
    assert up.row("job").budget_tokens is None


def test_limits_of_what_it_may_ask_of_models(up: Supervised) -> None:
    part = BudgetPart(usd=5.0, requests=10)
    up.spawn("sleep", "62", name="job", budget=part)
    assert up.inspect("job").spec.budget == part
    assert up.client.ask(Done, Limit(target="job", budget={"usd": "+0.5", "rpm": "30", "hard": "yes"})).changed
    raised = BudgetPart(usd=5.5, requests=10, requests_per_minute=30, hard=True)
    assert up.inspect("job").spec.budget == raised
    assert not up.client.ask(Done, Limit(target="job", budget={"rpm": "30"})).changed
    (event,) = [event for event in up.events() if event.kind == "limited"]
    assert event.detail == {"usd": "+0.5", "rpm": "30", "hard": "yes"}
    lifted = {"usd": "none", "requests": "none", "rpm": "none", "hard": "no"}
    assert up.client.ask(Done, Limit(target="job", budget=lifted)).changed
    assert up.inspect("job").spec.budget is None
    for wrong in ({"usd": "+1"}, {"speed": "9"}, {"usd": "nan"}, {"requests": "-1"}):
        with pytest.raises(UsageError):
            up.client.request(Limit(target="job", budget=wrong))
    with pytest.raises(InputError, match="US dollars"):
        up.spawn("sleep", "62", budget=BudgetPart(usd=-1.0))


@pytest.mark.usefixtures("home")
def test_a_number_that_nothing_can_keep_is_refused_and_the_journal_goes_on(up: Supervised) -> None:
    """The daemon took it, and from then on wrote nothing any more: OverflowError at each flush."""
    up.spawn("sleep", "62", name="job", budget_tokens=1000)
    for typed in ("99999999999999999999G", "+99999999999999999999G", f"+{(1 << 60) - 1}"):
        with pytest.raises(UsageError, match="too large"):
            up.client.request(Limit(target="job", tokens=typed))
    assert up.client.ask(Done, Limit(target="job", tokens="2k")).changed
    up.kill_daemon()
    up.next_daemon()
    assert up.row("job").budget_tokens == 2000


def test_nice_of_the_group(up: Supervised) -> None:
    started = up.spawn("sh", "-c", "sleep 62 & echo $!; wait", name="job")
    up.until("the child runs", lambda: up.log("job")[0] != "")
    wanted = min(19, os.nice(0) + 5)
    up.client.request(Limit(target="job", nice=str(wanted)))
    for pid in (started.pid, int(up.log("job")[0])):
        assert os.getpriority(os.PRIO_PROCESS, pid or 0) == wanted
    with pytest.raises(UsageError, match="not a niceness"):
        up.client.request(Limit(target="job", nice="50"))
    if os.getuid() != 0:
        with pytest.raises(LimitError):
            up.client.request(Limit(target="job", nice="-5"))


@pytest.mark.parametrize("said", ["limit", "spec"])
def test_niceness_is_kept_for_the_next_runs_as_other_limits_are(up: Supervised, said: str) -> None:
    """It was that of the first shell again, after each restart."""
    wanted = min(19, os.nice(0) + 5)
    fields = {"nice": wanted} if said == "spec" else {}
    up.spawn("sleep", "62", name="job", restart="always", restarts=RestartPart(delay_s=0.01), **fields)
    if said == "limit":
        up.client.request(Limit(target="job", nice=str(wanted), memory="1G"))
    before = up.row("job").pid

    def runs_anew() -> None:
        nonlocal before
        up.until("it runs again", lambda: up.row("job").pid not in (before, None))
        before = up.row("job").pid
        assert os.getpriority(os.PRIO_PROCESS, before or 0) == wanted
        assert up.inspect("job").launch.nice == wanted

    up.client.request(Signal(target="job", signal=signal.SIGKILL))
    runs_anew()
    up.client.request(Restart(target="job", launch=launch.capture()))
    runs_anew()
    up.client.request(Stop(target="job"))
    up.wait("job")
    up.client.request(Start(target="job", launch=launch.capture()))
    runs_anew()
    other = up.spec("sleep", "63")
    up.client.request(Restart(target="job", launch=launch.capture(), spec=other))
    assert up.inspect("job").launch.nice == os.nice(0), "another spec has none of the limits of the one before"


# --- stops between runs ---------------------------------------------------------------------------------------------


def test_stopped_between_two_runs_it_ends_then(up: Supervised) -> None:
    """It had ended with its last run, maybe days before: `ps --ended --since 1h` did not show it."""
    up.spawn("sh", "-c", "exit 3", name="job", restart="on-failure", restarts=RestartPart(delay_s=600.0))
    up.until(
        "it waits for its second restart", lambda: up.row("job").restarts == 1 and up.row("job").state == "backoff"
    )
    last_s = up.events()[-1].time_s
    up.client.request(Stop(target="job"))
    up.wait("job")
    row, now_s = up.row("job"), time.time()
    assert last_s < (row.ended_s or 0.0) <= now_s
    assert (row.exit.code if row.exit else None, row.started_s) == (3, None)


# --- restarts -------------------------------------------------------------------------------------------------------


def test_restart_on_failure(up: Supervised, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    started = up.spawn(
        "sh", "-c", f"echo x >> {runs}; [ $(wc -l < {runs}) -ge 3 ] || exit 1", restart="on-failure", name="job"
    )
    waited = up.wait("job")
    assert waited.exit is not None
    assert waited.exit.code == 0
    assert runs.read_text() == "x\n" * 3
    row = up.row(started.id)
    assert (row.restarts, row.state) == (2, "exited")
    kinds = [event.kind for event in up.events() if event.process == started.id]
    assert kinds == ["created", "started", "ended", "started", "ended", "started", "exited"]


def test_a_killed_service_is_back_within_100_ms(up: Supervised) -> None:
    started = up.spawn("sleep", "62", restart="always", name="job")
    begin = time.monotonic()
    os.kill(started.pid or 0, signal.SIGKILL)
    up.until("another runs", lambda: up.row("job").pid not in (started.pid, None))
    assert time.monotonic() - begin < 1.0  # 100 ms on a quiet machine; here others build and test
    up.client.request(Stop(target="job"))
    up.wait("job")
    assert up.row("job").restarts == 1


@pytest.mark.slow
def test_a_crash_loop_fails(up: Supervised) -> None:
    started = up.spawn("false", restart="always", name="job")
    up.until("it waits longer and longer", lambda: up.row("job").restarts >= 4)
    assert up.row("job").state in ("backoff", "queued", "starting", "running")
    waited = up.wait(started.id, timeout_s=60)
    assert waited.state == "failed"
    assert waited.exit is not None
    assert (waited.exit.code, waited.exit.reason) == (1, "crash-loop")
    assert up.row(started.id).reason == "restarted 8 times within 60 s: it is not started again"


def test_stop_during_backoff(up: Supervised) -> None:
    up.spawn("false", restart="always", name="job")
    up.until("it is in backoff", lambda: up.row("job").state == "backoff" and up.row("job").restarts >= 3)
    up.client.request(Stop(target="job"))
    assert up.wait("job").state == "exited"
    restarts = up.row("job").restarts
    assert up.row("job").restarts == restarts


@pytest.mark.usefixtures("home")
def test_a_restart_policy_outlives_the_daemon(up: Supervised) -> None:
    """The environment is in a file that only the user can read, so the next daemon can start it again."""
    environ = {"PATH": os.environ["PATH"], "WORD": "kept"}
    started = up.spawn("sh", "-c", "echo $WORD; exec sleep 62", restart="always", name="job", environ=environ)
    path = up.home.runtime / "environ" / started.id
    assert path.stat().st_mode & 0o777 == 0o600
    up.kill_daemon()
    up.next_daemon()
    os.kill(started.pid or 0, signal.SIGKILL)
    up.until("another runs", lambda: up.row("job").pid not in (started.pid, None))
    up.until("with the same environment", lambda: up.log("job")[0] == "kept\nkept\n")
    up.client.request(Stop(target="job", grace_s=0))
    up.wait("job")
    up.until("its environment is gone", lambda: not path.exists())


def test_a_port_is_leased_and_filled_in(up: Supervised) -> None:
    route = RoutePart(url="http://127.0.0.1:{port}/v1")
    first = up.spawn("sh", "-c", "echo $0; sleep 62", "{port}", kind="model", route=route, name="a")
    second = up.spawn("sh", "-c", "echo $0; sleep 62", "{port}", kind="model", route=route, name="b")
    up.until("both have said their port", lambda: all(up.log(name)[0] for name in ("a", "b")))
    ports = {int(up.log(started.id)[0]) for started in (first, second)}
    assert len(ports) == 2
    assert up.row("a").state == "loading"


def test_nobody_meets_one_that_has_ended_on_its_way_back(up: Supervised) -> None:
    """Fault: a stop in the moment between its end and its start found it ended, did nothing, and it ran on."""
    up.spawn("sleep", "600", name="job", grace_s=0)
    restarts, seen = 100, set()

    def restart() -> None:
        with connect(program="test") as client:
            for _ in range(restarts):
                client.ask(Done, Restart(target="job", grace_s=0))

    thread = threading.Thread(target=restart)
    thread.start()
    while thread.is_alive():
        seen.add(up.row("job").state)
    thread.join()
    assert up.row("job").restarts == restarts
    assert not seen & {"exited", "failed", "lost"}


# --- waiting, looking -----------------------------------------------------------------------------------------------


def test_wait_times_out_and_says_so(up: Supervised) -> None:
    up.spawn("sleep", "62", name="job")
    waited = up.client.ask(Waited, Wait(target="job", timeout_s=0.05))
    assert (waited.timed_out, waited.state, waited.exit) == (True, "running", None)
    with pytest.raises(InputError):
        up.client.request(Wait(target="job", until="bored"))
    with pytest.raises(InputError):
        up.client.request(Wait(target="job", timeout_s=float("nan")))


def test_many_wait_for_one(up: Supervised) -> None:
    up.spawn("sleep", "62", name="job")
    clients = [connect() for _ in range(10)]
    for client in clients:
        client.send(Wait(target="job"))
    up.client.request(Stop(target="job", grace_s=0))
    for client in clients:
        reply = client.receive()
        assert isinstance(reply, Waited)
        assert reply.state == "exited"
        client.close()


def test_a_snapshot_agrees_with_proc(up: Supervised) -> None:
    code = "import time; held = bytearray(50 << 20)\nwhile True: pass"
    started = up.python(f"import os, time\nif os.fork(): time.sleep(62)\n{code}", name="job")
    up.until("it has its memory", lambda: (up.row("job").rss_bytes or 0) > 50 << 20)
    assert started.pid is not None
    pids = [started.pid, *proc.children(started.pid)]
    assert len(pids) == 2
    stream = up.client.stream(Snapshot(every_s=0.3))
    for _ in range(4):
        before_s = _cpu_seconds(pids)
        view = next(stream)
        after_s = _cpu_seconds(pids)
        assert isinstance(view, View)
        (row,) = view.processes
        assert row.pid == started.pid
        assert row.cpu_seconds is not None
        # Whoever asks while somebody looks gets what was read up to a second ago; on a busy machine it uses little.
        assert before_s - LOOK_S - 0.1 <= row.cpu_seconds <= after_s + 0.1, "the busy descendant's CPU counts"
    assert row.cpu_percent is not None
    assert row.cpu_percent > 0
    assert row.rss_bytes is not None
    assert row.rss_bytes > 50 << 20
    assert view.memory_total_bytes is not None
    assert view.memory_total_bytes > row.rss_bytes
    assert view.cpu_percent is not None


def _cpu_seconds(pids: list[int]) -> float:
    stats = [proc.stat(pid) for pid in pids]
    return sum(stat.cpu_ticks for stat in stats if stat is not None) / proc.TICKS


def test_a_double_forked_descendant_still_counts(up: Supervised) -> None:
    """It left its session and lost its parents, after it had been seen: its memory is still its process's."""
    code = (
        "import os, time\n"
        "if os.fork() == 0:\n"
        "    if os.fork() == 0:\n"
        "        held = bytearray(64 << 20)\n"
        "        os.write(1, b'up')\n"
        "        time.sleep(62)\n"
        "    time.sleep(0.7); os._exit(0)\n"
        "time.sleep(62)"
    )
    up.python(code, name="job")
    up.until("it is seen", lambda: (up.row("job").rss_bytes or 0) > 64 << 20)
    time.sleep(0.8)
    assert (up.row("job").rss_bytes or 0) > 64 << 20


def test_ended_and_hidden_processes_are_shown_when_asked_for(up: Supervised) -> None:
    up.wait(up.spawn("true", name="done").id)
    up.spawn("sleep", "62", name="runs", kind="agent")
    assert [row.name for row in up.view().processes] == ["runs"]
    assert {row.name for row in up.view(all=True).processes} == {"done", "runs", "gateway"}


def test_logs_of_what_has_none(up: Supervised) -> None:
    read_end, write_end = os.pipe()
    started = up.spawn("echo", "x", fds={1: write_end})
    os.close(write_end)
    up.wait(started.id)
    reply, fds = up.client.request_with_fds(Logs(target=started.id))
    assert isinstance(reply, LogFiles)
    assert reply.ended
    assert [os.read(fd, 10) for fd in fds] == [b"", b""]
    for fd in (*fds, read_end):
        os.close(fd)
    with pytest.raises(NotFoundError):
        up.client.request(Logs(target="nobody"))


def test_who_follows_what_has_not_started_sees_its_first_line(up: Supervised) -> None:
    """The log of a process that waited was made with its first run: who came before had /dev/null for ever."""
    waits = up.spawn("sh", "-c", "echo started; echo err >&2", needs=[NeedPart(name="gate", until="started")])
    assert up.row(waits.id).state == "queued"
    _, fds = up.client.request_with_fds(Logs(target=waits.id))
    assert [os.read(fd, 100) for fd in fds] == [b"", b""]
    up.spawn("sleep", "62", name="gate")
    up.wait(waits.id)
    assert [os.read(fd, 100) for fd in fds] == [b"started\n", b"err\n"]
    for fd in fds:
        os.close(fd)


def test_a_pty_is_drained_and_attached(up: Supervised) -> None:
    """Nobody reads the master: the child must not stall; and who attaches can type."""
    started = up.spawn(
        "sh",
        "-c",
        "tty >/dev/null && stty size; head -c 200000 /dev/zero | tr '\\0' x; read x; echo got $x",
        pty=True,
        name="job",
    )
    up.until("all of it is in the log", lambda: up.log("job")[0].count("x") >= 200_000)
    assert up.log("job")[0].startswith("24 80\r\n")
    with connect(program="test") as client:
        reply, (master,) = client.request_with_fds(Attach(target="job", write=True))
        assert isinstance(reply, Attached)
        os.write(master, b"hello\n")
        os.close(master)
        assert up.code(started.id) == 0
    up.until("the end is in the log", lambda: "got hello" in up.log("job")[0])


def test_events_follow(up: Supervised) -> None:
    with connect() as watcher:
        stream = watcher.stream(Events(follow=True))
        first = next(stream)
        assert isinstance(first, EventList)
        started = up.spawn("true")
        kinds: list[str] = []
        while "exited" not in kinds:
            page = next(stream)
            assert isinstance(page, EventList)
            kinds += [event.kind for event in page.events if event.process == started.id]
        assert kinds == ["created", "started", "exited"]


@pytest.mark.usefixtures("home")
def test_events_outlive_the_daemon_and_are_numbered_without_a_gap(up: Supervised) -> None:
    for _ in range(3):
        up.wait(up.spawn("true").id)
    up.kill_daemon()
    up.next_daemon()
    up.wait(up.spawn("true").id)
    numbers = [event.number for event in up.events()]
    assert numbers == list(range(1, len(numbers) + 1))
    target = up.client.ask(EventList, Events(target="p2")).events
    assert {event.process for event in target} == {"p2"}


def test_doctor(up: Supervised) -> None:
    findings = up.client.ask(Findings, Doctor()).findings
    text = {finding.topic: finding.text for finding in findings}
    keeper, holder = up.holder_pids()
    assert text["programs"] == f"keeper {keeper}, holder {holder}, daemon {up.daemon_pid}"
    assert {"version", "gateway", "runtime", "state", "log", "gpu", "limits", "logout"} <= set(text)
    assert [finding.topic for finding in findings].count("logout") == 1, "two lines of one name said two things"
    assert all(finding.level in ("ok", "warn", "fail") for finding in findings)


# --- the end --------------------------------------------------------------------------------------------------------


def test_shutdown_is_refused_while_something_runs(up: Supervised) -> None:
    up.spawn("sleep", "62", name="job")
    with pytest.raises(ConflictError, match="still supervised: job"):
        up.client.request(Shutdown())
    assert up.row("job").state == "running"


@pytest.mark.usefixtures("home")
def test_shutdown_ends_everything_in_stop_order(up: Supervised) -> None:
    """Agents before the models they talk to, models before the gateway."""
    said = up.home.root / "said"
    trap = f"trap 'echo $0 >> {said}; exit' TERM; echo up; while :; do sleep 0.05; done"
    route = RoutePart(url="http://127.0.0.1:9/v1")
    up.spawn("sh", "-c", trap, "model", kind="model", route=route, name="m")
    up.spawn("sh", "-c", trap, "agent", kind="agent", name="a")
    up.until("both have their traps", lambda: all(up.log(name)[0] == "up\n" for name in "ma"))
    keeper, holder = up.holder_pids()
    pids = [os.pidfd_open(pid) for pid in (keeper, holder, up.daemon_pid)]
    up.client.request(Shutdown(force=True))
    assert said.read_text() == "agent\nmodel\n"
    with pytest.raises(DisconnectedError):
        up.client.receive()
    for pidfd in pids:
        assert select.select([pidfd], [], [], 10)[0], "keeper, holder or daemon is still there"
        os.close(pidfd)


def test_it_leaves_when_nobody_needs_it(home: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AISH_IDLE_S", "0.3")
    client = connect()
    pidfd = os.pidfd_open(client.welcome.pid)
    assert not select.select([pidfd], [], [], 0.6)[0], "it left although a client was there"
    client.close()
    assert select.select([pidfd], [], [], 10)[0], "it stays although nobody is there"
    os.close(pidfd)


def test_a_gateway_that_comes_up_after_the_last_client_does_not_keep_it(
    home: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its connection was counted as a client's until it had said what it is, and nobody looked again."""
    monkeypatch.setenv("AISH_IDLE_S", "1.5")
    with connect() as client:
        pidfd = os.pidfd_open(client.welcome.pid)
        spec = SpecPart(argv=[b"true"], cwd=b"/", kind="agent")  # an agent: the gateway is started for it
        client.ask(Started, Spawn(token="1" * 32, spec=spec, launch=launch.capture()))
    assert select.select([pidfd], [], [], 10)[0], "it stays although nobody is there"
    os.close(pidfd)


def test_a_stop_that_is_waited_for_is_over_when_it_was_started_again(up: Supervised) -> None:
    """`aish stop A B` hung for ever where B was started again while A was still ending."""
    started = up.spawn("sleep", "600")
    told = up.client.ask(Done, Stop(target=started.id, grace_s=0.0))
    up.wait(started.id)
    up.client.ask(Done, Start(target=started.id, launch=launch.capture()))
    waited = up.client.ask(Waited, Wait(target=started.id, timeout_s=20, restarts=told.restarts))
    assert (waited.timed_out, waited.exit) == (False, None)
