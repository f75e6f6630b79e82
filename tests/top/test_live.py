"""`aish top` on a real pty, through the real client, against a daemon whose views the test writes."""

from __future__ import annotations

import os
import re
import shutil
import signal
from collections.abc import Callable
from types import ModuleType
from typing import Any

import msgspec
import pytest

from aish.wire.message import Cont, Pause, Snapshot, Stop
from aish.wire.reply import Failure, View

Views = dict[str, View]
Top = Callable[..., Any]

COLOUR = re.compile(rb"\x1b\[[0-9;]*\b(3[0-7]|4[0-7]|9[0-7]|10[0-7])\b[0-9;]*m")


def pids(daemon: Any) -> set[int]:
    return {number for number, request in daemon.requests if isinstance(request, Snapshot)}


def test_it_shows_the_view_follows_it_and_leaves_the_terminal_as_it_was(daemon: Any, top: Top) -> None:
    screen = top()
    text = screen.until("p12  qwen3-32b")
    assert "LIVE 1.0s" in text
    assert "GPU0 H100 80GB" in text
    assert "q quit" in text.splitlines()[-1]
    assert b"\x1b[?1049h" in screen.raw
    assert b"\x1b[?2026h" in screen.raw
    assert daemon.wait_for(Snapshot)[1] == Snapshot(every_s=1.0)
    view = daemon.view
    daemon.show(msgspec.structs.replace(view, time_s=view.time_s + 1, cpu_percent=77.0))
    screen.until("CPU 77%")
    screen.send("q")
    assert screen.end() == 0
    assert screen.restored()
    assert not screen.text().strip(), "the alternate screen is left, the shell's is back"


def test_keys_select_pause_and_continue_through_a_second_connection(daemon: Any, top: Top) -> None:
    screen = top()
    screen.until("p15  coder-1")
    screen.send("\x1b[B")
    screen.until(" coder-1  p15  generating")  # the detail of the selected one
    screen.send("p")
    number, request = daemon.wait_for(Pause)
    assert request == Pause(target="p15")
    assert number not in pids(daemon), "acting must not disturb the stream of views"
    screen.until("paused coder-1 (p15)")
    held = [
        msgspec.structs.replace(p, state="paused", holds=["user"]) if p.id == "p15" else p
        for p in daemon.view.processes
    ]
    daemon.show(msgspec.structs.replace(daemon.view, processes=held))
    screen.until(lambda text: " coder-1  p15  paused" in text and "held by user" in text)
    screen.send("p")
    assert daemon.wait_for(Cont)[1] == Cont(target="p15")
    screen.send("q")
    assert screen.end() == 0


def test_k_asks_and_stops_only_after_y(daemon: Any, top: Top) -> None:
    screen = top()
    screen.until("qwen3-32b")
    screen.send("k")
    screen.until("stop qwen3-32b (p12)?")
    screen.send("n")
    screen.until("qwen3-32b goes on")
    assert not [r for _, r in daemon.requests if isinstance(r, Stop)]
    screen.send("ky")
    assert daemon.wait_for(Stop)[1] == Stop(target="p12")
    screen.until("stopping qwen3-32b (p12)")
    screen.send("q")
    assert screen.end() == 0


def test_a_refusal_is_told_and_the_view_goes_on(daemon: Any, top: Top) -> None:
    daemon.replies[Pause] = Failure(code="refused", message="p12 is not below you")
    screen = top()
    screen.until("qwen3-32b")
    screen.send("p")
    screen.until("pause qwen3-32b: p12 is not below you")
    daemon.show(msgspec.structs.replace(daemon.view, cpu_percent=12.0))
    screen.until("CPU 12%")
    screen.send("q")
    assert screen.end() == 0


def test_a_daemon_that_dies_is_waited_for_and_found_again(daemon: Any, top: Top, home: Any) -> None:
    screen = top()
    screen.until("LIVE")
    daemon.stop()
    screen.until("RECONNECTING")
    assert "qwen3-32b" in screen.text(), "the last view stays, with its age"
    screen.send("\x1b[B")
    screen.until(" coder-1  p15  generating")
    screen.send("p")
    screen.until("pause coder-1: the daemon is not running")
    assert os.listdir(home.runtime) == [], "a daemon that was shut down is not started again by a view"
    daemon.view = msgspec.structs.replace(daemon.view, host="again")
    daemon.start()
    screen.until(lambda text: "again" in text and "LIVE" in text)
    screen.send("p")
    daemon.wait_for(Pause)
    screen.send("q")
    assert screen.end() == 0
    assert screen.restored()


def test_resizing_lays_out_anew(daemon: Any, top: Top) -> None:
    screen = top()
    screen.until("GPU0 H100 80GB▕")
    screen.resize(140, 40)
    screen.until("┌─ GPU0 H100 80GB")
    screen.resize(20, 5)
    screen.until(lambda text: "aish top  LIVE" in text and "q quit" in text and "GPU0" not in text)
    screen.send("q")
    assert screen.end() == 0


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130), (signal.SIGQUIT, 131)]
)
def test_signals_restore_the_terminal(daemon: Any, top: Top, number: int, status: int) -> None:
    screen = top()
    screen.until("qwen3-32b")
    screen.child.kill(number)
    assert screen.end() == status
    assert screen.restored()


def test_ctrl_c_restores_the_terminal(daemon: Any, top: Top) -> None:
    screen = top()
    screen.until("qwen3-32b")
    screen.send("\x03")
    assert screen.end() == 130
    assert screen.restored()


def test_a_fault_in_drawing_restores_the_terminal_and_shows_no_traceback(daemon: Any, top: Top, home: Any) -> None:
    code = """
import sys, aish.top.live as live
frames = []
def broken(view, ui, width, height, right=live.frame):
    frames.append(view)
    if len(frames) > 1:
        raise ZeroDivisionError("drawn badly")
    return right(view, ui, width, height)
live.frame = broken
from aish.cli import main
sys.exit(main(["top"]))
"""
    screen = top(code=code)
    screen.until("qwen3-32b")
    screen.send("\x1b[B")
    assert screen.end() == 70
    assert screen.restored()
    assert "a fault in aish" in screen.text()
    assert "Traceback" not in screen.text()
    assert "drawn badly" in (home.state / "faults.log").read_text()


def test_ctrl_z_gives_the_terminal_back_and_fg_takes_it_again(daemon: Any, home: Any, stage: ModuleType) -> None:
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("bash is needed for its job control")
    environ = {**home.environ, "TERM": "xterm", "LC_ALL": "C.UTF-8", "PS1": "ready> ", "HISTFILE": "/dev/null"}
    screen = stage.Screen([bash, "--norc", "--noprofile", "-i"], environ)
    try:
        screen.until("ready>")
        program = " ".join(f"'{word}'" if " " in word else word for word in stage.python("CODE")).replace(
            "CODE", "'" + stage.TOP.replace("'", '"') + "'"
        )
        screen.send(program + "\n")
        screen.until("q quit")
        screen.send("\x1a")
        screen.until(lambda text: "Stopped" in text and text.rstrip().endswith("ready>"))
        assert screen.raw[screen.raw.rfind(b"\x1b[?1049") :].startswith(b"\x1b[?1049l")
        assert screen.raw.rfind(b"\x1b[?25h") > screen.raw.rfind(b"\x1b[?25l")
        screen.send("stty -a | grep -o ' -*icanon'; stty -a | grep -o ' -*echo '\n")
        screen.until(lambda text: " icanon" in text and " echo" in text)
        screen.send("fg\n")
        screen.until(lambda text: "qwen3-32b" in text and "q quit" in text)
        daemon.show(msgspec.structs.replace(daemon.view, cpu_percent=33.0))
        screen.until("CPU 33%")
        screen.send("q")
        screen.until(lambda text: text.rstrip().endswith("ready>"))
        screen.send("exit 7\n")
        assert screen.end() == 7
    finally:
        screen.close()


def test_stopped_by_kill_and_continued_it_draws_everything_again(daemon: Any, top: Top) -> None:
    screen = top()
    screen.until("qwen3-32b")
    screen.child.kill(signal.SIGSTOP)
    os.waitid(os.P_PID, screen.child.pid, os.WSTOPPED)
    screen.emulator.reset()
    screen.child.kill(signal.SIGCONT)
    screen.until(lambda text: "qwen3-32b" in text and "q quit" in text)
    screen.send("q")
    assert screen.end() == 0
    assert screen.restored()


def test_space_freezes_the_display_and_not_the_data(daemon: Any, top: Top) -> None:
    screen = top()
    screen.until("CPU 41%")
    screen.send(" ")
    screen.until("FROZEN")
    daemon.show(msgspec.structs.replace(daemon.view, cpu_percent=99.0))
    screen.send("\x1b[B")
    screen.until(" coder-1  p15")
    assert "CPU 41%" in screen.text()
    screen.send(" ")
    screen.until("CPU 99%")
    screen.send("q")
    assert screen.end() == 0


def test_hostile_names_cannot_steer_the_terminal(daemon: Any, top: Top, views: Views) -> None:
    daemon.view = views["hostile"]
    screen = top(columns=140, lines=40)
    screen.until("leading mark")
    screen.send("\x1b[B")
    screen.until(" p2  running")
    screen.send("q")
    assert screen.end() == 0
    for sequence in (b"\x1b]0;", b"\x1b[31m\x1b]", b"\xe2\x80\xae", b"\x07", b"\x9b1m"):
        assert sequence not in screen.raw


def test_no_color(daemon: Any, top: Top) -> None:
    screen = top(NO_COLOR="1")
    screen.until("p51  vllm-70b")
    screen.send("q")
    assert screen.end() == 0
    assert not COLOUR.search(screen.raw)


def test_colours_are_there_otherwise(daemon: Any, top: Top) -> None:
    screen = top()
    screen.until("p51  vllm-70b")
    screen.send("q")
    assert screen.end() == 0
    assert COLOUR.search(screen.raw)


def test_a_locale_without_unicode_gets_ascii(daemon: Any, top: Top, views: Views) -> None:
    daemon.view = msgspec.structs.replace(
        views["usual"], processes=[*views["usual"].processes, *views["hostile"].processes[1:4]]
    )
    screen = top(columns=140, lines=40, LC_ALL="C")
    screen.until("+- GPU0 H100 80GB")
    screen.until("p21  `pytest")
    screen.send("q")
    assert screen.end() == 0
    assert screen.raw.isascii()


def test_a_dumb_terminal_gets_plain_frames(daemon: Any, top: Top) -> None:
    screen = top(TERM="dumb", lines=50)
    screen.until("p12  qwen3-32b")
    daemon.show(msgspec.structs.replace(daemon.view, cpu_percent=55.0))
    screen.until("CPU 55%")
    screen.send("\x03")
    assert screen.end() == 130
    assert b"\x1b" not in screen.raw


def test_keys_come_from_the_terminal_when_stdin_is_something_else(daemon: Any, home: Any, stage: ModuleType) -> None:
    environ = {**home.environ, "TERM": "xterm", "LC_ALL": "C.UTF-8"}
    screen = stage.Screen(["sh", "-c", '"$@" </dev/null', "sh", *stage.python(stage.TOP)], environ)
    try:
        screen.until("qwen3-32b")
        screen.send("\x1b[B")
        screen.until(" coder-1  p15")
        screen.send("q")
        assert screen.end() == 0
        assert screen.restored()
    finally:
        screen.close()


def test_two_arrows_in_one_read_and_a_quick_quit(daemon: Any, top: Top) -> None:
    screen = top()
    screen.until("qwen3-32b")
    screen.send("\x1b[B\x1b[B")
    screen.until(" coder-2  p16  tool")
    screen.send("\x1b[Aq")
    assert screen.end() == 0
    assert screen.restored()


def test_quitting_before_anything_came(home: Any, stage: ModuleType, top: Top, views: Views) -> None:
    """A daemon that accepts and says nothing must not hold the screen."""
    silent = stage.PaperDaemon(home.runtime / "daemon.sock", views["usual"])
    silent.start()
    with silent._lock:  # whoever serves now waits here
        screen = top()
        screen.until("waiting for the daemon")
        screen.send("q")
        assert screen.end() == 0
        assert screen.restored()
    silent.stop()


def test_a_daemon_of_another_version_is_told_after_the_terminal_is_back(daemon: Any, top: Top) -> None:
    daemon.version = 99
    screen = top()
    assert screen.end() == 69
    assert "version 99" in screen.text()
    assert screen.restored() or b"\x1b[?1049h" not in screen.raw


def test_words_that_make_no_sense_are_refused(daemon: Any, top: Top) -> None:
    for words, hint in [
        (["--sort", "cp"], "did you mean cpu?"),
        (["--every", "0"], "expected 0.1 to 3600 seconds"),
        (["--json"], "--once"),
        (["--nce"], "--nce"),
    ]:
        screen = top(*words)
        assert screen.end() == 2
        assert hint in screen.text()
        assert b"\x1b[?1049h" not in screen.raw
