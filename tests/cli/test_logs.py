"""`aish logs` on real processes: in order, by time, by pattern, by kind; for people and for programs."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from aish.model import moment
from aish.wire.log_index import pack

if TYPE_CHECKING:
    from conftest import Home

IN_TURN = """
import sys, time
for number in range(1, 4):
    print("out", number, flush=True)
    time.sleep(0.25)  # longer than an interval: the order is known
    print("err", number, file=sys.stderr, flush=True)
    time.sleep(0.25)
"""
SHOWN = ["out 1", "err 1", "out 2", "err 2", "out 3", "err 3"]


def together(home: Home, *words: str, **options: Any) -> list[str]:
    """The lines that a terminal would show: both streams in one."""
    done = subprocess.run(
        [sys.executable, "-m", "aish", "logs", *words],
        env=home.environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        **options,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout.splitlines()


def rows(home: Home, *words: str) -> list[dict[str, Any]]:
    done = home.aish("logs", "--json", *words)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def in_turn(module_home: Home) -> Home:
    """A process that has ended, to be looked at only: what it writes takes its time."""
    module_home.client.spawn([sys.executable, "-c", IN_TURN], name="turns").wait()
    return module_home


def test_both_streams_are_shown_in_the_order_in_which_they_were_written(in_turn: Home) -> None:
    assert together(in_turn, "turns") == SHOWN
    assert together(in_turn, "-f", "turns") == SHOWN
    done = in_turn.aish("logs", "turns")
    assert (done.stdout.split("\n"), done.stderr.split("\n")) == ([*SHOWN[::2], ""], [*SHOWN[1::2], ""])
    assert [row["text"] for row in rows(in_turn, "turns")] == SHOWN


def test_the_last_lines_are_those_of_both_streams(in_turn: Home) -> None:
    assert together(in_turn, "-n", "3", "turns") == SHOWN[-3:]
    assert together(in_turn, "-n", "0", "turns") == []
    assert together(in_turn, "-n", "99", "turns") == SHOWN
    assert together(in_turn, "-n", "2", "--err", "turns") == ["err 2", "err 3"]
    assert together(in_turn, "-n", "2", "-f", "turns") == SHOWN[-2:]


def test_a_window_of_time_is_exact_to_one_interval(in_turn: Home) -> None:
    told = rows(in_turn, "turns")
    assert all(row["within_s"] <= 0.2 for row in told), "a quiet time before a line is no part of its interval"
    assert together(in_turn, "--since", told[2]["time"], "turns")[-4:] == SHOWN[2:]
    assert len(together(in_turn, "--since", told[2]["time"], "turns")) <= 5
    assert together(in_turn, "--until", told[1]["time"], "turns")[:2] == SHOWN[:2]
    assert len(together(in_turn, "--until", told[1]["time"], "turns")) <= 3
    assert together(in_turn, "--since", "1h ago", "turns") == SHOWN
    assert together(in_turn, "--until", "1h", "turns") == []
    assert together(in_turn, "--since", "10m", "--until", told[-1]["time"], "-n", "1", "turns") == SHOWN[-1:]


def test_only_what_matches(in_turn: Home) -> None:
    assert together(in_turn, "--grep", "[23]$", "turns") == SHOWN[2:]
    assert together(in_turn, "--grep", "err", "-n", "2", "turns") == ["err 2", "err 3"]
    assert [row["text"] for row in rows(in_turn, "--grep", "^out", "turns")] == SHOWN[::2]
    assert together(in_turn, "-f", "--grep", "1", "turns") == SHOWN[:2]


def test_figures(shared_home: Home) -> None:
    """Of the last minute: written now, and in two intervals."""
    lines = "echo out 1; echo err 1 >&2; sleep 0.25; for n in 2 3; do echo out $n; echo err $n >&2; done"
    shared_home.client.spawn(["sh", "-c", lines], name="turns").wait()
    (told,) = json.loads(shared_home.aish("logs", "--stats", "--json", "turns").stdout)
    assert told["stdout"] == {"bytes": 18, "lines": 3, "given_back_bytes": 0}
    assert told["stderr"] == {"bytes": 18, "lines": 3, "given_back_bytes": 0}
    assert told["bytes_per_s"] == pytest.approx(36 / 60)
    assert told["first"] < told["last"]
    shown = shared_home.aish("logs", "--stats", "turns").stdout
    assert re.search(r"^turns +18 +3 +18 +3 +1 +\S+ \S+ +\S+ \S+ +0$", shown, re.M), shown


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--since", "yesterday", "x"], "not a time: 'yesterday'"),
        (["--until", "25:00", "x"], "not a time: '25:00'"),
        (["--since", "1m", "--until", "2m", "x"], "is before --since"),
        (["--grep", "(", "x"], "--grep (: not a pattern"),
        (["--kind", "agnet"], "did you mean agent?"),
        (["-n", "-1", "x"], "must not be negative"),
        (["-f", "--until", "1m", "x"], "--until does not"),
        (["-f", "--stats", "x"], "--stats does not"),
    ],
)
def test_what_cannot_be_meant_is_refused(home: Home, words: list[str], said: str) -> None:
    done = home.aish("logs", *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr


def test_processes_are_chosen_by_kind_and_without_a_name(home: Home) -> None:
    for name, kind in (("one", "command"), ("two", "agent"), ("done", "agent")):
        ends = "" if name == "done" else "; exec sleep 100"
        home.client.spawn(["sh", "-c", f"echo {name}{ends}"], name=name, kind=kind)
    home.client.wait("done")
    names = lambda *words: {row["process"] for row in rows(home, *words)}  # noqa: E731
    deadline = time.monotonic() + 20
    while names() != {"one", "two"}:
        assert time.monotonic() < deadline
    assert names("--kind", "agent") == {"two", "done"}
    assert names("--kind", "agent", "one", "two") == {"two"}
    assert names("--kind", "command") == {"one"}
    refused = home.aish("logs", "--kind", "model")
    assert (refused.returncode, "no process of kind model" in refused.stderr) == (69, True)


def test_a_line_that_is_json_stands_in_it_as_it_was_written(shared_home: Home) -> None:
    lines = ['{"a": 1.50, "a": 12345678901234567890}', "[1]", '{"broken": ', '{"x": NaN}', " {} ", '{"n":"é"}']
    shared_home.client.spawn(["printf", "%s\\n", *lines], name="job").wait()
    done = shared_home.aish("logs", "--json", "job")
    shown = done.stdout.splitlines()
    assert shown[0].endswith(',"json":{"a": 1.50, "a": 12345678901234567890}}')
    told = [json.loads(line) for line in shown]
    assert [row.get("json") for row in told] == [{"a": 12345678901234567890}, None, None, None, {}, {"n": "é"}]
    assert [row.get("text") for row in told] == [None, "[1]", '{"broken": ', '{"x": NaN}', None, None]


def test_a_line_that_is_too_long_for_one_record_comes_in_pieces_that_say_so(shared_home: Home) -> None:
    """They were records as any other, cut at other places each time."""
    code = """print('{"a":"' + 'y' * 2_000_000 + '"}'); print('z' * 3_000_000); print('last')"""
    shared_home.client.spawn([sys.executable, "-c", code], name="job").wait()
    told = rows(shared_home, "job")
    assert [row.get("continued", False) for row in told] == [True, False, True, True, False, False]
    assert json.loads(told[0]["text"] + told[1]["text"]) == {"a": "y" * 2_000_000}
    assert "".join(row["text"] for row in told[2:5]) == "z" * 3_000_000
    for words in (["-n", "2"], ["-n", "2", "--grep", "."], ["-f", "-n", "2"]):
        assert [row["text"] for row in rows(shared_home, *words, "job")] == [row["text"] for row in told[2:]], words
    assert len(rows(shared_home, "--grep", '^."a"', "job")) == 2
    lines = list(shared_home.client.process("job").logs())
    assert [line.continued for line in lines] == [True, False, True, True, False, False]


def test_a_process_that_wrote_nothing(shared_home: Home) -> None:
    shared_home.client.spawn(["true"], name="mute").wait()
    for words in ([], ["--json"], ["-n", "3"], ["-f"], ["--since", "1h"], ["--grep", "x"]):
        done = shared_home.aish("logs", *words, "mute")
        assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), words
    (told,) = json.loads(shared_home.aish("logs", "--stats", "--json", "mute").stdout)
    assert (told["stdout"]["bytes"], told["first"], told["last"]) == (0, None, None)


def on_terminal(home: Home, *words: str, **environ: str) -> str:
    """What `aish logs` writes to a terminal."""
    master, slave = pty.openpty()
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", "aish", "logs", *words],
            env=home.environ | environ,
            stdin=subprocess.DEVNULL,
            stdout=slave,
            stderr=slave,
        )
        os.close(slave)
        shown = b""
        while select.select([master], [], [], 30)[0]:
            try:
                shown += os.read(master, 65536)
            except OSError:  # EIO: nobody has the terminal any more
                break
        assert process.wait(timeout=60) == 0
    finally:
        os.close(master)
    return shown.decode().replace("\r\n", "\n")


def test_on_a_terminal_each_line_has_the_name_of_its_process(shared_home: Home) -> None:
    for name in ("one", "second"):
        shared_home.client.spawn(["sh", "-c", f"echo from {name}; printf '\\033[1mbold\\033[0m'"], name=name)
    shared_home.client.wait_all("one", "second")
    plain = on_terminal(shared_home, "one", "second", NO_COLOR="1")
    assert sorted(plain.splitlines()) == [
        "one    | \x1b[1mbold\x1b[0m",
        "one    | from one",
        "second | \x1b[1mbold\x1b[0m",
        "second | from second",
    ]
    coloured = on_terminal(shared_home, "one", "second")
    assert "\x1b[36mone    | \x1b[0mfrom one\n" in coloured
    assert "\x1b[33msecond | \x1b[0mfrom second\n" in coloured
    assert on_terminal(shared_home, "one") == "from one\n\x1b[1mbold\x1b[0m"
    done = shared_home.aish("logs", "one", "second")
    assert sorted(re.findall("from \\w+", done.stdout)) == ["from one", "from second"]
    assert "|" not in done.stdout, "what is no terminal gets the bytes as they are"


def test_a_prompt_is_shown_while_it_waits(shared_home: Home) -> None:
    """A line without an end was held back for ever."""
    shared_home.client.spawn(["sh", "-c", "printf 'name? '; exec sleep 100"], name="asks")
    with shared_home.popen("logs", "-f", "asks", stdout=subprocess.PIPE) as following:
        assert following.stdout is not None
        assert select.select([following.stdout], [], [], 30)[0], "nothing was shown within 30 s"
        assert os.read(following.stdout.fileno(), 100) == b"name? "
        following.terminate()


def test_a_follower_who_came_before_the_first_line_knows_its_time(shared_home: Home) -> None:
    """The index of a silent process was no file yet."""
    os.mkfifo(shared_home.root / "go")
    words = ["sh", "-c", "read x < $0; echo now; sleep 100", shared_home.root / "go"]
    process = shared_home.client.spawn(words, name="late")
    with shared_home.popen("logs", "-f", "--json", "late", stdout=subprocess.PIPE) as following:
        assert following.stdout is not None
        deadline = time.monotonic() + 20
        while not list((shared_home.state / "logs").glob(f"{process.id}.idx")):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        (shared_home.root / "go").write_text("x\n")
        row = json.loads(following.stdout.readline())
        following.terminate()
    assert (row["text"], row["within_s"] < 1) == ("now", True)


def test_a_follower_sees_what_had_not_started_when_it_came(shared_home: Home) -> None:
    """It had descriptors of /dev/null, and ended with 0 without a line of it."""
    shared_home.client.spawn(["sh", "-c", "echo up; exec sleep 62"], name="runs")
    shared_home.client.spawn(["sh", "-c", "echo started; echo err >&2"], name="waits", needs=["gate"])
    with shared_home.popen(
        "logs", "-f", "runs", "waits", stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as following:
        assert following.stdout is not None
        assert following.stdout.readline() == b"up\n"  # it follows both now
        shared_home.client.spawn(["sleep", "62"], name="gate")
        shared_home.client.process("runs").stop(grace_s=0)
        assert following.communicate(timeout=60) == (b"started\n", b"err\n")
        assert following.returncode == 0


def test_where_the_index_has_a_gap_it_is_said(shared_home: Home) -> None:
    lines = "for n in 1 2 3; do echo out $n; echo err $n >&2; done"
    process = shared_home.client.spawn(["sh", "-c", lines], name="turns")
    process.wait()
    index = shared_home.state / "logs" / f"{process.id}.idx"
    now_ns = time.time_ns() - 3600 * 10**9
    index.write_bytes(pack(now_ns, 0, 0) + pack(now_ns + 20 * 10**9, 18, 18))
    done = shared_home.aish("logs", "--since", moment.iso(now_ns + 10 * 10**9), "turns")
    assert len(done.stdout.splitlines()) == 3
    assert re.search(
        r"^aish logs: turns: what was written between \S+ and \S+ is known only as a whole$", done.stderr, re.M
    )
    assert shared_home.aish("logs", "--json", "--since", moment.iso(now_ns + 10 * 10**9), "turns").stderr == ""
    assert {row["within_s"] for row in rows(shared_home, "turns")} <= {20.0, 20.001}


def test_one_stream_alone(shared_home: Home) -> None:
    shared_home.client.spawn(["sh", "-c", "echo out; echo err >&2"], name="plain").wait()
    assert shared_home.aish("logs", "--out", "plain").stdout == "out\n"
    assert shared_home.aish("logs", "--err", "plain").stderr == "err\n"


def test_sizes_and_ages_are_told_and_checked(shared_home: Home) -> None:
    assert (
        shared_home.aish("spawn", "--log-size", "1M", "--log-age", "7d", "--name", "a", "--", "true").returncode == 0
    )
    spec = json.loads(shared_home.aish("inspect", "--json", "a").stdout)["spec"]
    assert (spec["log_bytes"], spec["log_age_s"]) == (1 << 20, 604800)
    for option, value in (("--log-size", "much"), ("--log-age", "long"), ("--log-size", "1K"), ("--log-age", "0.1s")):
        done = shared_home.aish("spawn", option, value, "--", "true")
        assert done.returncode == 2, (option, value, done.stderr)


def test_ctrl_c_ends_a_follower_with_130(shared_home: Home) -> None:
    """docs/reference/errors.md says so."""
    shared_home.client.spawn(["sh", "-c", "echo up; sleep 300"], name="talks")
    for words in (("logs", "-f", "talks"), ("logs", "-f", "--json", "talks")):
        with shared_home.popen(*words, stdout=subprocess.PIPE) as following:
            assert following.stdout is not None
            assert b"up" in following.stdout.readline()
            following.send_signal(signal.SIGINT)
            assert following.wait(timeout=60) == 130


def test_an_ordered_log_has_no_streams(shared_home: Home) -> None:
    """Lines of both streams within one interval of the index: in the order of the file, and nobody claims more."""
    line = "for n in 1 2 3 4; do echo out $n; echo err $n >&2; done"
    assert shared_home.aish("spawn", "--name", "job", "--log", "ordered", "--", "sh", "-c", line).returncode == 0
    shared_home.client.wait("job")
    shown = [f"{word} {number}" for number in range(1, 5) for word in ("out", "err")]
    assert shared_home.aish("logs", "job").stdout.splitlines() == shown
    assert shared_home.aish("logs", "-f", "job").stdout.splitlines() == shown
    assert shared_home.aish("logs", "-n", "3", "job").stdout.splitlines() == shown[-3:]
    assert [(row["text"], row["stream"]) for row in rows(shared_home, "job")] == [(text, None) for text in shown]
    only = shared_home.aish("logs", "--err", "job")
    assert only.stdout.splitlines() == shown
    assert "which lines are of stderr is not known" in only.stderr
    assert "which lines are of stdout is not known" in shared_home.aish("logs", "--out", "job").stderr
    (stats,) = json.loads(shared_home.aish("logs", "--stats", "--json", "job").stdout)
    assert (stats["stdout"]["lines"], stats["stderr"]) == (8, None)
    assert shared_home.aish("logs", "--stats", "job").stdout.splitlines()[1].split()[:5] == [
        "job",
        "48",
        "8",
        "-",
        "-",
    ]
