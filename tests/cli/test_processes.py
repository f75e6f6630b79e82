"""Verbs on real supervised processes, as a person types them: through a real daemon, holder and keeper."""

from __future__ import annotations

import json
import os
import select
import shlex
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from aish.cli import inspect, key
from aish.wire.part import KeyPart, ProcessPart, TokensPart
from aish.wire.reply import Inspected
from aish.wire.spec import LaunchNote, SpecPart

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Home


def rows(home: Home) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in json.loads(home.aish("ps", "--all", "--json").stdout)}


def test_without_a_daemon_looking_starts_nothing(home: Home) -> None:
    done = home.aish("ps")
    assert (done.returncode, "nothing is supervised" in done.stdout) == (0, True)
    assert home.aish("ps", "--json").stdout.strip() == "[]"
    assert not (home.runtime / "daemon.sock").exists()


def state(home: Home, name: str) -> str:
    return str(home.client.process(name).state())


def test_spawn_answers_with_id_and_name_and_the_output_goes_to_the_log(shared_home: Home) -> None:
    done = shared_home.aish("spawn", "--name", "both", "--", "sh", "-c", "echo out; echo err >&2; exit 4")
    assert done.stdout == f"{shared_home.client.process('both').id}  both\n"
    assert shared_home.aish("wait", "both").returncode == 4
    logs = shared_home.aish("logs", "both")
    assert (logs.stdout, logs.stderr) == ("out\n", "err\n")
    assert rows(shared_home)["both"]["exit"] == {"code": 4, "signal": None, "reason": None}


SHOW_SURROUNDINGS = """
import json, os, resource
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(json.dumps({
    "cwd": os.getcwd(), "umask": os.umask(0), "nice": os.nice(0), "odd": os.environb[b"ODD"].hex(),
    "core": resource.getrlimit(resource.RLIMIT_CORE), "files": resource.getrlimit(resource.RLIMIT_NOFILE),
    "blocked": int(status["SigBlk"], 16), "fds": len(os.listdir("/proc/self/fd")), "signals": os.environ["SIGNALS"],
}))
"""


def test_a_child_starts_as_if_the_calling_shell_had_forked_it(shared_home: Home) -> None:
    (shared_home.root / "show.py").write_text(SHOW_SURROUNDINGS)
    # A shell reads the ignored signals before Python, which ignores some itself, gets its turn.
    inner = 'SIGNALS=$(grep SigIgn /proc/$$/status | cut -f2) exec "$PYTHON" -I show.py'
    outer = 'umask 027; ulimit -c 0; ulimit -Sn 300; ulimit -Hn 400; nice -n 3 "$PYTHON" -m aish run sh -c "$INNER"'
    environ = {os.fsencode(name): os.fsencode(value) for name, value in shared_home.environ.items()}
    environ |= {b"ODD": b"\xff\xfe", b"INNER": inner.encode(), b"PYTHON": sys.executable.encode()}
    done = subprocess.run(
        ["sh", "-c", outer], env=environ, cwd=shared_home.root, capture_output=True, timeout=60, check=True
    )
    assert json.loads(done.stdout) == {
        "cwd": str(shared_home.root),
        "umask": 0o027,
        "nice": os.nice(0) + 3,
        "odd": "fffe",
        "core": [0, 0],
        "files": [300, 400],
        "blocked": 0,
        "fds": 4,  # the three standard ones and the listing itself
        "signals": "0" * 16,
    }


@pytest.mark.parametrize(
    ("script", "status"), [("exit 0", 0), ("exit 7", 7), ("kill -TERM $$", -15), ("kill -9 $$", -9)]
)
def test_run_ends_as_the_command_ends(shared_home: Home, script: str, status: int) -> None:
    assert shared_home.aish("run", "--", "sh", "-c", script).returncode == status


def test_it_runs_in_the_folder_that_is_named(shared_home: Home, tmp_path: Path) -> None:
    """And no variable tells it of another one."""
    done = shared_home.aish("run", "--cwd", str(tmp_path), "printenv", "PWD", cwd="/")
    assert (done.returncode, done.stdout) == (0, f"{tmp_path}\n"), done.stderr
    done = shared_home.aish("run", "--cwd", "../nowhere", "true", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (2, "aish run: --cwd ../nowhere: no such folder\n")


def test_run_stands_in_a_pipeline(shared_home: Home) -> None:
    """stdin, stdout and stderr are the pipeline's; end of file arrives; nothing is copied to a log."""
    done = shared_home.aish(
        "run", "--name", "piped", "sh", "-c", "tr a-z A-Z; echo done >&2", input="some words\n" * 1000
    )
    assert (done.stdout, done.stderr, done.returncode) == ("SOME WORDS\n" * 1000, "done\n", 0)
    told = shared_home.aish("logs", "piped").stderr
    assert "its stdout and stderr are those of who started it" in told, (
        "silence looks like a program that said nothing"
    )


def test_a_reader_that_leaves_ends_the_process_by_sigpipe(shared_home: Home) -> None:
    command = f"{shlex.quote(sys.executable)} -m aish run -- yes | head -1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", command], env=shared_home.environ, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout == "y\n141\n"


def test_signals_to_run_reach_the_process(shared_home: Home) -> None:
    script = "trap 'echo got; exit 9' INT; echo ready; while :; do sleep 0.05; done"
    with shared_home.popen("run", "--", "sh", "-c", script, stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == b"ready\n"
        running.send_signal(signal.SIGINT)
        assert running.stdout.readline() == b"got\n"
        assert running.wait(timeout=60) == 9


def test_the_daemon_killed_under_a_run_is_not_noticed(home: Home) -> None:
    with home.popen("run", "--", "cat", stdin=subprocess.PIPE, stdout=subprocess.PIPE) as running:
        assert running.stdin is not None
        assert running.stdout is not None
        for number in range(3):
            running.stdin.write(b"line %d\n" % number)
            running.stdin.flush()
            assert running.stdout.readline() == b"line %d\n" % number
            os.kill(home.client.view().daemon_pid, signal.SIGKILL)
        running.stdin.close()
        assert running.wait(timeout=60) == 0


def test_logs_follow_to_the_last_byte(shared_home: Home) -> None:
    shared_home.client.spawn(["sh", "-c", "for i in 1 2 3 4 5; do echo $i; sleep 0.1; done; printf end"], name="slow")
    done = shared_home.aish("logs", "-f", "slow")
    assert (done.stdout, done.returncode) == ("1\n2\n3\n4\n5\nend", 0)


def test_a_wait_may_be_longer_than_poll_can_count(shared_home: Home) -> None:
    """Above 24.8 days `wait` ended as a fault of aish."""
    shared_home.client.spawn(["sh", "-c", "exit 3"], name="short")
    assert shared_home.aish("wait", "--timeout", "3e6", "short").returncode == 3
    shared_home.client.spawn(["sleep", "100"], name="long")
    assert shared_home.aish("wait", "--timeout", "0.1", "long").returncode == 124


def test_stop_escalates_to_a_process_that_ignores_it(shared_home: Home) -> None:
    deaf = shared_home.client.spawn(["sh", "-c", "trap '' TERM; while :; do sleep 0.05; done"], name="deaf")
    assert shared_home.aish("stop", "--grace", "0.3", "deaf").returncode == 0
    assert deaf.wait().signal == signal.SIGKILL


def test_pause_stops_and_cont_continues(shared_home: Home) -> None:
    pid = shared_home.client.spawn(["sh", "-c", "while :; do :; done"], name="loop").row().pid
    assert pid is not None
    assert shared_home.aish("pause", "loop").returncode == 0
    assert state(shared_home, "loop") == "paused"
    assert process_state(pid) == "T"
    assert shared_home.aish("cont", "@loop").returncode == 0
    assert state(shared_home, "loop") == "running"
    assert process_state(pid) in "RS"
    assert shared_home.aish("kill", "-9", "loop").returncode == 0
    assert shared_home.aish("wait", "loop").returncode == 137


def process_state(pid: int) -> str:
    with open(f"/proc/{pid}/stat") as stream:
        return stream.read().rpartition(") ")[2][0]


def test_wait_times_out_with_124(shared_home: Home) -> None:
    shared_home.client.spawn(["sleep", "60"], name="nap")
    began = time.monotonic()
    assert shared_home.aish("wait", "--timeout", "0.2", "nap").returncode == 124
    assert time.monotonic() - began < 20


def test_wait_any_returns_with_the_first(shared_home: Home) -> None:
    shared_home.client.spawn(["sleep", "60"], name="nap")
    shared_home.client.spawn(["sh", "-c", "exit 5"], name="brief")
    assert shared_home.aish("wait", "--any", "nap", "brief").returncode == 5


def test_a_name_that_is_taken_is_refused_and_a_derived_one_is_numbered(shared_home: Home) -> None:
    shared_home.aish("spawn", "--name", "nap", "--", "sleep", "60")
    refused = shared_home.aish("spawn", "--name", "nap", "--", "sleep", "60")
    assert refused.returncode == 69
    assert "nap" in refused.stderr
    shared_home.aish("spawn", "--", "sleep", "60")
    assert shared_home.aish("spawn", "--", "sleep", "60").stdout.split()[1] == "sleep-2"


@pytest.mark.parametrize("verb", ["stop", "pause", "logs", "wait", "inspect", "kill"])
def test_an_unknown_name_gets_a_suggestion(shared_home: Home, verb: str) -> None:
    shared_home.client.spawn(["sleep", "60"], name="training")
    done = shared_home.aish(verb, "trainign")
    assert done.returncode == 69
    assert "training" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("program", "status"), [("/no/such/program", 127), ("/etc/passwd", 126)])
def test_a_program_that_cannot_start_is_told_at_once(shared_home: Home, program: str, status: int) -> None:
    done = shared_home.aish("spawn", "--", program)
    assert done.returncode == status
    assert os.path.basename(program) in done.stderr


def test_forget_drops_the_row_and_its_logs(shared_home: Home) -> None:
    shared_home.client.spawn(["echo", "x"], name="brief").wait()
    log = json.loads(shared_home.aish("inspect", "--json", "brief").stdout)["log_out"]
    assert os.path.exists(log)
    assert shared_home.aish("forget", "--ended").returncode == 0
    assert rows(shared_home) == {}
    assert not os.path.exists(log)


def test_inspect_has_the_whole_budget(shared_home: Home) -> None:
    shared_home.client.spawn(["sleep", "60"], name="thrifty")
    assert "\nbudget " not in shared_home.aish("inspect", "thrifty").stdout
    assert shared_home.aish("limit", "thrifty", "tokens=2k", "usd=0.001", "requests=7", "hard=yes").returncode == 0
    told = shared_home.aish("inspect", "thrifty").stdout
    assert "\nbudget       tokens=2000 requests=7 usd=0.001 hard=yes\n" in told


def test_of_what_is_estimated_tokens_are_told() -> None:
    part = ProcessPart(
        id="p1",
        name="x",
        kind="agent",
        state="running",
        lifecycle="running",
        created_s=0.0,
        tokens=TokensPart(input=80, output=20, requests=13, estimated=87),
    )
    found = Inspected(process=part, spec=SpecPart(argv=[b"x"], cwd=b"/"), launch=LaunchNote(umask=0, nice=0))
    assert inspect._tokens(found) == "80 in, 20 out, 13 requests, 87 tokens estimated"


@pytest.mark.parametrize(
    ("tokens", "budget", "shown"),
    [
        (None, {}, "-"),
        (1000, {}, "1.0k"),
        (1000, {"usd": "2"}, "1.0k usd=2"),
        (None, {"concurrent": "2", "hard": "yes"}, "concurrent=2 hard=yes"),
    ],
)
def test_the_budget_of_a_key_says_nothing_of_what_is_not_limited(
    tokens: int | None, budget: dict[str, str], shown: str
) -> None:
    assert key._budget(KeyPart(name="k", created_s=0.0, budget_tokens=tokens, budget=budget)) == shown


def test_inspect_has_the_niceness_among_the_limits(shared_home: Home) -> None:
    nice = min(19, os.nice(0) + 5)
    shared_home.client.spawn(["sleep", "60"], name="nap").limit(nice=nice)
    assert f"\nlimits       nice {nice}; its tree is held by " in shared_home.aish("inspect", "nap").stdout
    assert shared_home.aish("limit", "nap", "pids=50").returncode == 0
    assert f"\nlimits       pids 50, nice {nice}; held by " in shared_home.aish("inspect", "nap").stdout


def test_events_tell_what_happened_in_order(shared_home: Home) -> None:
    brief = shared_home.client.spawn(["sh", "-c", "exit 3"], name="brief")
    brief.wait()
    told = [json.loads(line) for line in shared_home.aish("events", "--json", brief.id).stdout.splitlines()]
    assert [event["kind"] for event in told] == ["created", "started", "exited"]
    assert [event["number"] for event in told] == sorted(event["number"] for event in told)


def test_followed_events_arrive_as_they_happen(shared_home: Home) -> None:
    shared_home.client.spawn(["true"], name="first")
    with shared_home.popen("events", "-f", "--json", stdout=subprocess.PIPE) as following:
        assert following.stdout is not None
        second = shared_home.client.spawn(["true"], name="second")
        seen = b""
        while b'"%s"' % second.id.encode() not in seen:
            assert select.select([following.stdout], [], [], 30)[0], "no event within 30 s"
            seen += os.read(following.stdout.fileno(), 65536)
        following.terminate()


def test_secrets_of_the_caller_stay_with_the_caller(home: Home) -> None:
    """A real provider key never reaches a child, inspect, the journal or a log."""
    home.environ["OPENAI_API_KEY"] = "sk-very-secret-0123456789"
    home.environ["ANTHROPIC_API_KEY"] = "sk-ant-very-secret"
    done = home.aish("run", "--name", "child", "--", "sh", "-c", "echo $OPENAI_API_KEY; echo $ANTHROPIC_API_KEY; env")
    assert "very-secret" not in done.stdout
    assert done.stdout.startswith("aish-p1-")
    assert "very-secret" not in home.aish("inspect", "--json", "child").stdout
    for folder in (home.state, home.runtime):
        for path in folder.rglob("*"):
            if path.is_file() and "environ" not in path.parts:
                assert b"very-secret" not in path.read_bytes(), path


def test_shutdown_leaves_nothing(home: Home) -> None:
    home.aish("spawn", "--name", "nap", "--", "sleep", "600")
    pid = rows(home)["nap"]["pid"]
    assert home.aish("shutdown").returncode == 0
    assert not os.path.exists(f"/proc/{pid}")
    assert not (home.runtime / "daemon.sock").exists()
    assert home.aish("shutdown").returncode == 0
