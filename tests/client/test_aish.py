"""What a Python program does with aish: each test runs with Aish and with AsyncAish, against a real supervisor."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from aish.client import Aish, AsyncAish, Exit, GroupPart, LimitPart, NeedPart, ProbePart, SpecPart
from aish.errors import (
    AishError,
    ConflictError,
    InputError,
    NotFoundError,
    NotRunningError,
    TimedOutError,
    UnavailableError,
    UsageError,
)
from aish.wire.spec import BudgetPart

if TYPE_CHECKING:
    from conftest import Home

BEAT = "import time\nwhile True: time.sleep(60)"


def sleeper(aish: Any, name: str = "nap", **fields: Any) -> Any:
    return aish.spawn(["sleep", "600"], name=name, **fields)


# --- processes begin and end ----------------------------------------------------------------------------------------


def test_a_process_from_spawn_to_exit(aish: Any, shared_home: Home) -> None:
    process = aish.spawn(
        ["sh", "-c", "pwd; echo $WORD; exit 3"], cwd=shared_home.root, env={"PATH": "/bin", "WORD": "hi"}
    )
    assert process.name == "sh"
    assert process.wait(timeout_s=60) == Exit(3, None)
    assert process.state() == "exited"
    assert [line.text for line in process.logs()] == [str(shared_home.root), "hi"]
    assert aish.process("sh") == process
    assert [row.id for row in aish.processes()] == []
    assert process.id in [row.id for row in aish.processes(all=True)]
    process.forget()
    with pytest.raises(NotFoundError) as told:
        process.state()
    assert told.value.hint


def test_what_ended_well_says_so(aish: Any) -> None:
    assert aish.spawn(["true"]).wait().ok
    assert not aish.spawn(["false"]).wait().ok
    assert not aish.spawn(["true"], check="exit 1").wait().ok
    polite = aish.spawn(["sh", "-c", "trap 'exit 0' TERM; echo up; while :; do sleep 0.05; done"], ready="line:up")
    polite.wait_ready(timeout_s=60)
    assert not polite.stop().ok, "it did not end by itself, though with 0"


def test_its_words_and_fields_are_as_given(aish: Any, tmp_path: Path) -> None:
    sleeper(aish, "db")
    process = aish.spawn(
        [Path(sys.executable), b"-c", BEAT],
        name="web",
        cwd=str(tmp_path),
        vram_bytes=None,
        budget_tokens="200k",
        limits=LimitPart(pids=200),
        labels={"team": "ml"},
        group="web",
        restart="on-failure",
        ready="exec:test -d /",
        live=ProbePart(command=[b"true"]),
        needs=["db:started:30", NeedPart(name="db", until="started")],
        before=["true"],
        after="true",
        stop_signal=signal.SIGINT,
        grace_s=3,
        log_bytes="1M",
    )
    process.wait_ready(timeout_s=60)
    spec = process.inspect().spec
    assert spec.argv[0] == os.fsencode(sys.executable)
    assert (spec.cwd, spec.budget_tokens, spec.log_bytes) == (os.fsencode(tmp_path), 200_000, 1 << 20)
    assert (spec.limits, spec.group) == (LimitPart(pids=200), GroupPart(name="web"))
    assert (spec.stop_signal, spec.grace_s) == (2, 3.0)
    assert [(need.name, need.until, need.timeout_s) for need in spec.needs] == [
        ("db", "started", 30.0),
        ("db", "started", None),
    ]
    assert spec.after == [b"sh", b"-c", b"true"]
    assert aish.process(process) == process
    aish.stop("web", "db", grace_s=0)


@pytest.mark.parametrize(
    ("words", "fields", "error", "part"),
    [
        ("sleep 60", {}, UsageError, "one text"),
        (["@review"], {}, UsageError, "agent"),
        (["true"], {"nmae": "x"}, UsageError, "nmae"),
        (["true"], {"ready": "htp://x"}, UsageError, "ready htp://x"),
        (["true"], {"needs": ["db:now"]}, UsageError, "needs db:now"),
        (["true"], {"check": "  "}, UsageError, "check"),
        (["true"], {"vram_bytes": "lots"}, UsageError, "lots"),
        (["true"], {"grace_s": -1}, InputError, "seconds"),
        (["/no/such/program"], {}, UnavailableError, "No such file"),
        (["true"], {"cwd": "/no/such/folder"}, UnavailableError, "folder"),
    ],
)
def test_what_cannot_be_is_an_error_that_says_why(
    aish: Any, words: Any, fields: Any, error: type[AishError], part: str
) -> None:
    with pytest.raises(error) as told:
        aish.spawn(words, **fields)
    assert part in str(told.value)
    notes = getattr(told.value, "__notes__", [])
    assert not told.value.hint or told.value.hint in notes, "a traceback shows the hint"
    if isinstance(told.value, InputError):
        assert told.value.field == "grace_s"


def test_a_name_that_is_taken_is_refused_unless_another_will_do(aish: Any) -> None:
    sleeper(aish)
    with pytest.raises(ConflictError):
        sleeper(aish)
    assert sleeper(aish, rename=True).name == "nap-2"
    assert [aish.spawn(["sleep", "600"]).name for _ in range(2)] == ["sleep", "sleep-2"]
    ends = aish.stop("nap", "nap-2", "sleep", "sleep-2")
    assert [end.signal for end in ends] == [15] * 4


def test_a_spec_of_another_hand_is_taken(aish: Any) -> None:
    """aish.agents.stub.resolve makes one of an agent, which a layer below cannot know."""
    process = aish.spawn(SpecPart(argv=[b"echo", b"hi"], cwd=b"/"), name="said")
    assert process.wait().ok
    assert [line.text for line in process.logs()] == ["hi"]


def test_descriptors_of_ours_become_its_own(aish: Any) -> None:
    ours, its = os.pipe()
    with open(os.open("/dev/null", os.O_RDONLY), "rb") as null:
        process = aish.spawn(["sh", "-c", "echo to the pipe; echo to the log >&2"], fds={0: null, 1: its})
    os.close(its)
    with open(ours) as pipe:
        assert pipe.read() == "to the pipe\n"
    process.wait()
    assert [(line.stream, line.text) for line in process.logs()] == [("stderr", "to the log")]


def test_a_wait_that_takes_too_long_is_a_timeout_and_changes_nothing(aish: Any) -> None:
    process = sleeper(aish, ready="exec:false")
    for wait in (process.wait, process.wait_ready):
        begun_s = time.monotonic()
        with pytest.raises(TimeoutError) as told:
            wait(timeout_s=0.2)
        assert time.monotonic() - begun_s >= 0.2
        assert isinstance(told.value, TimedOutError)
        assert told.value.hint
    assert process.state() == "loading"
    assert process.stop().signal == signal.SIGTERM


def test_what_ends_before_it_is_ready_is_no_ready_process(aish: Any) -> None:
    process = aish.spawn(["sh", "-c", "exit 7"], ready="line:never")
    with pytest.raises(UnavailableError, match="exit 7"):
        process.wait_ready(timeout_s=60)


def test_the_first_of_several_is_told_and_all_can_be_waited_for(aish: Any) -> None:
    fleet = [aish.spawn(["sleep", "600"], name=f"worker-{number}") for number in range(3)]
    with pytest.raises(TimedOutError, match="none of 3"):
        aish.wait_any(*fleet, timeout_s=0.1)
    fleet[1].stop()
    first, end = aish.wait_any(*fleet)
    assert (first, end.signal) == (fleet[1], signal.SIGTERM)
    assert aish.wait_any("worker-0", f"@{first.id}")[0].name == "worker-1"
    with pytest.raises(TimedOutError, match="2 of 3"):
        aish.wait_all(*fleet, timeout_s=0.1)
    aish.stop(*fleet)
    assert [end.signal for end in aish.wait_all(*fleet)] == [signal.SIGTERM] * 3
    assert aish.wait_all() == []
    with pytest.raises(UsageError):
        aish.wait_any()


# --- processes change -----------------------------------------------------------------------------------------------


def test_a_process_is_paused_limited_signalled_and_started_again(aish: Any) -> None:
    code = "trap 'echo hup; exit 5' HUP; echo up $X; while :; do sleep 0.02; done"
    path = os.environ["PATH"]
    process = aish.spawn(["sh", "-c", code], env={"PATH": path, "X": "1"}, ready="line:up")
    process.wait_ready(timeout_s=60)
    assert process.pause()
    assert process.state() == "paused"
    assert process.cont()
    process.limit(tokens="50k", nice=5)
    process.limit(tokens="+50k")
    assert process.row().budget_tokens == 100_000
    process.limit(usd="2.5", rpm=30)
    assert process.inspect().spec.budget == BudgetPart(usd=2.5, requests_per_minute=30)
    with pytest.raises(UsageError, match="no such limit: speed"):
        process.limit(speed=9)
    with pytest.raises(UsageError):
        process.limit()
    process.signal(signal.SIGHUP)
    assert process.wait(timeout_s=60).code == 5
    assert process.start(env={"PATH": path, "X": "2"})
    assert not process.start(), "it runs"
    process.wait_ready(timeout_s=60)
    assert process.restart(keep_env=True)
    process.wait_ready(timeout_s=60)
    with pytest.raises(UsageError):
        process.restart(env={}, keep_env=True)
    process.stop(grace_s=0)
    assert [line.text for line in process.logs(streams=["stdout"])] == ["up 1", "hup", "up 2", "up 2"]


def test_a_process_becomes_another_with_and_without_a_restart(aish: Any) -> None:
    process = sleeper(aish, project="/p/aish.toml")
    spec = process.inspect().spec
    pid = process.row().pid
    assert process.amend(SpecPart(argv=spec.argv, cwd=spec.cwd, project=spec.project, grace_s=1.0))
    assert (process.row().pid, process.inspect().spec.grace_s) == (pid, 1.0)
    assert process.restart(spec=SpecPart(argv=[b"sleep", b"700"], cwd=b"/", project=spec.project))
    assert process.row().argv == [b"sleep", b"700"]
    assert aish.down("/p/aish.toml")
    assert not aish.down("/p/aish.toml")
    assert process.wait().signal == signal.SIGTERM


def test_labels_are_given_taken_and_sought(aish: Any) -> None:
    process = sleeper(aish, labels={"team": "ml"})
    sleeper(aish, "other")
    assert process.label({"tier": "front"}, unset=["team"])
    assert not process.label({"tier": "front"})
    assert process.row().labels == {"tier": "front"}
    for wanted in ({"tier": "front"}, {"tier": None}):
        assert [row.name for row in aish.processes(labels=wanted)] == ["nap"]
        assert {event.name for event in aish.events(labels=wanted)} == {"nap"}
    assert aish.view(labels={"team": None}).processes == []
    aish.stop("nap", "other")


# --- looking --------------------------------------------------------------------------------------------------------


def test_everything_can_be_looked_at(aish: Any) -> None:
    sleeper(aish)
    view = aish.view(all=True)
    assert "nap" in [row.name for row in view.processes]
    assert view.daemon_pid
    views = aish.views(every_s=0.1)
    assert next(views).time_s < next(views).time_s
    views.close()
    assert aish.gpus().gpus == []
    assert {finding.level for finding in aish.doctor()} <= {"ok", "warn", "fail"}
    aish.stop("nap")


def test_what_was_and_why_is_told(aish: Any) -> None:
    before_s = time.time()
    process = aish.spawn(["sh", "-c", "exit 3"], name="job")
    process.wait()
    process.start()
    process.wait()
    assert [(run.number, run.exit.code) for run in process.history()] == [(2, 3), (1, 3)]
    assert len(process.history(last=1)) == 1
    assert process.why().causes
    assert "3" in process.why().paragraph
    assert [row.name for row in aish.processes(ended_since_s=before_s)] == ["job"]
    assert aish.processes(ended_since_s=time.time() + 60) == []


def test_events_are_chosen(own_aish: Any) -> None:
    for name in ("one", "two"):
        own_aish.spawn(["true"], name=name).wait()
    assert [event.name for event in own_aish.events(kinds=["exited"])] == ["one", "two"]
    assert {event.name for event in own_aish.events(names=["two"])} == {"two"}
    assert [event.kind for event in own_aish.process("one").events(last=1)] == ["exited"]
    assert list(own_aish.events(since_s=time.time() + 60)) == []
    stream = own_aish.events(last=1, follow=True, kinds=["exited"])
    assert next(stream).name == "two"
    own_aish.spawn(["true"], name="three").wait()
    assert next(stream).name == "three"
    stream.close()


def test_keys_and_usage_are_those_of_the_gateway(own_aish: Any) -> None:
    made = own_aish.new_key("notebook", budget_tokens=1000)
    assert made.key
    assert made.base_url
    listed = own_aish.keys()
    assert [(key.name, key.budget_tokens) for key in listed] == [("notebook", 1000)]
    own_aish.limit("key:notebook", tokens="2k")
    assert own_aish.keys()[0].budget_tokens == 2000
    assert own_aish.revoke_key("notebook")
    assert own_aish.usage(by="model") == []


def test_events_come_once_and_in_order(aish: Any) -> None:
    first = aish.spawn(["true"], name="first")
    first.wait()
    known = list(aish.events())
    assert [event.kind for event in first.events()][-1] == "exited"
    stream = aish.events(since=known[-1].number, follow=True)
    second = aish.spawn(["true"], name="second")
    second.wait()
    seen = []
    for event in stream:
        seen.append(event)
        if event.kind == "exited" and event.process == second.id:
            break
    numbers = [event.number for event in known + seen]
    assert numbers == sorted(set(numbers))
    assert {event.name for event in seen} >= {"second"}
    stream.close()


def test_more_events_than_a_page_holds_all_come(aish: Any) -> None:
    """A page has 500; the first alone looked like all."""
    process = sleeper(aish)
    for _ in range(260):
        process.pause()
        process.cont()
    assert len(list(process.events())) > 520
    process.stop()


def test_a_log_is_followed_to_its_end(aish: Any) -> None:
    code = "import sys\nfor i in range(300): print(i, flush=True); print(-i, file=sys.stderr, flush=True)\n"
    code += "print('no end', end='')"
    process = aish.spawn([sys.executable, "-c", code])
    lines = list(process.logs(follow=True))
    assert [line.text for line in lines if line.stream == "stdout"] == [*map(str, range(300)), "no end"]
    assert [line.text for line in lines if line.stream == "stderr"] == [str(-i) for i in range(300)]
    assert [line.text for line in process.logs(last=2, streams=["stderr"])] == ["-298", "-299"]
    assert all(line.time_s is not None for line in lines)
    assert list(process.logs(since_s=time.time() + 60)) == []
    with pytest.raises(UsageError):
        list(process.logs(streams=["out"]))


def test_bytes_that_are_no_text_are_kept(aish: Any) -> None:
    process = aish.spawn([sys.executable, "-c", r"import os; os.write(1, b'a\xff\r\n')"])
    process.wait()
    (line,) = process.logs()
    assert (line.data, line.text) == (b"a\xff\r", "a\ufffd")


# --- the supervisor -------------------------------------------------------------------------------------------------


def test_a_client_that_only_looks_starts_nothing(home: Home) -> None:
    async def look() -> None:
        async with AsyncAish(start=False):
            pass

    with pytest.raises(NotRunningError), Aish(start=False):
        pass
    with pytest.raises(NotRunningError):
        asyncio.run(look())
    assert not (home.runtime / "daemon.sock").exists()


def test_it_comes_back_by_itself_after_a_shutdown(own_aish: Any) -> None:
    process = sleeper(own_aish)
    own_aish.shutdown()
    assert process.wait().signal == signal.SIGTERM
    assert process.start()
    process.stop()


def test_who_follows_learns_that_the_supervisor_was_ended(own_aish: Any) -> None:
    """The iterator brought up another one, and waited there for what never comes."""
    stream = own_aish.events(follow=True)
    own_aish.spawn(["true"]).wait()
    next(stream)
    own_aish.shutdown()
    with pytest.raises(NotRunningError):
        for _ in stream:
            pass


def test_a_shutdown_that_is_refused_says_so(aish: Any) -> None:
    sleeper(aish)
    with pytest.raises(ConflictError):
        aish.shutdown(force=False)
    assert aish.process("nap").state() == "running"


def test_the_supervisor_hands_everything_back(own_aish: Any) -> None:
    process = sleeper(own_aish)
    told = own_aish.off()
    (living,) = told.living
    assert (living.id, living.name) == (process.id, "nap")
    os.kill(living.pid, signal.SIGKILL)


def test_a_process_of_somebody_else_is_adopted(aish: Any) -> None:
    child = subprocess.Popen(["sleep", "600"])
    try:
        process = aish.adopt(child.pid, name="mine", labels={"from": "here"})
        assert (process.name, process.row().pid, process.row().labels) == ("mine", child.pid, {"from": "here"})
        process.stop()
    finally:
        child.kill()
        assert child.wait() == -signal.SIGTERM
    with pytest.raises(NotFoundError):
        aish.adopt(child.pid)


def test_a_terminal_has_its_size_from_the_start(aish: Any) -> None:
    process = aish.spawn(["stty", "size"], pty=True, window=(33, 111))
    process.wait()
    assert [line.text for line in process.logs()] == ["33 111"]
