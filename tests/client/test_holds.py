"""A process in the foreground that is held says so: over its budget it stands still, and its caller saw nothing."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pexpect
import pytest

from aish.client.holds import now, told
from aish.wire.part import EventPart, ProcessPart
from aish.wire.reply import Inspected
from aish.wire.spec import LaunchNote, SpecPart

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Home


class Answers(BaseHTTPRequestHandler):
    """A model that says "A title": as a stream to the agent, as one object to the gateway's probe."""

    def do_GET(self) -> None:
        self._send("application/json", b"{}", status=404)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
        if not body.get("stream"):
            message = {"role": "assistant", "content": "A"}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            self._send("application/json", json.dumps({"choices": [choice], "usage": usage}).encode())
            return
        delta = {"index": 0, "delta": {"content": "A title"}, "finish_reason": "stop"}
        events = [json.dumps({"choices": [delta]}), json.dumps({"choices": [], "usage": usage}), "[DONE]"]
        self._send("text/event-stream", "".join(f"data: {event}\n\n" for event in events).encode())

    def _send(self, kind: str, body: bytes, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def url() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
        server.shutdown()
        thread.join()


def line_with(stream: object, word: bytes, deadline_s: float = 30.0) -> bytes:
    """Read lines until one has `word`."""
    end = time.monotonic() + deadline_s
    fd = stream.fileno()  # type: ignore[attr-defined]
    text = b""
    while word not in text:
        assert select.select([fd], [], [], max(0.0, end - time.monotonic()))[0], text
        data = os.read(fd, 4096)
        assert data, text
        text += data
    return text


def test_a_stage_over_its_budget_says_what_lets_it_go_on(shared_home: Home, url: str) -> None:
    done = shared_home.aish("model", "serve", "stand", "--url", url, "--context", "4k", "--timeout", "20")
    assert done.returncode == 0, done.stderr
    with shared_home.popen(
        "run", "--budget", "5", "--model", "stand", "@title", "hello", stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        told_so = line_with(running.stderr, b"lets it go on")
        assert b"title is held: its budget has too little left for its next request; `aish limit p" in told_so
        shared_home.client.limit("title", tokens="none")
        assert running.wait(timeout=60) == 0
        assert b"A title" in running.stdout.read()


def test_a_stage_over_another_budget_than_that_of_tokens_names_it_and_what_helps(shared_home: Home, url: str) -> None:
    done = shared_home.aish("model", "serve", "stand", "--url", url, "--context", "4k", "--timeout", "20")
    assert done.returncode == 0, done.stderr
    words = ["run", "--budget", "requests=0", "--model", "stand", "@title", "hello"]
    with shared_home.popen(*words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        told_so = line_with(running.stderr, b"lets it go on").decode()
        assert "title is held: its budget of requests is spent; `aish limit p" in told_so
        assert " requests=+100` lets it go on" in told_so
        limit = told_so.partition("`aish ")[2].partition("`")[0]
        assert shared_home.aish(*limit.split()).returncode == 0
        assert running.wait(timeout=60) == 0


def test_a_held_stage_outlives_the_daemon(home: Home, url: str) -> None:
    assert home.aish("model", "serve", "stand", "--url", url, "--timeout", "20").returncode == 0
    words = ["run", "--budget", "5", "--model", "stand", "@title", "hello"]
    with home.popen(*words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as running:
        assert running.stderr is not None
        line_with(running.stderr, b"lets it go on")
        daemon = os.pidfd_open(home.client.view().daemon_pid)
        signal.pidfd_send_signal(daemon, signal.SIGKILL)
        assert select.select([daemon], [], [], 30)[0]  # a limit is not asked for twice: the next one is to be asked
        os.close(daemon)
        home.client.limit("title", tokens="none")
        assert running.wait(timeout=60) == 0
        assert b"is held" not in running.stderr.read()  # told once


def test_other_events_are_not_for_the_foreground() -> None:
    released = EventPart(number=1, time_s=0.0, kind="released", process="p1", name="x", text="its budget was raised")
    assert told(released) == "x goes on: its budget was raised"
    given_up = EventPart(number=1, time_s=0.0, kind="released", process="p1", name="x", text="", detail={"raised": 0})
    assert told(given_up) is None, "nothing goes on"
    assert told(EventPart(number=1, time_s=0.0, kind="started", process="p1", name="x")) is None


def test_who_comes_later_is_told_what_holds_it_now() -> None:
    def inspected(holds: list[str], *events: EventPart) -> Inspected:
        process = ProcessPart(
            id="p1",
            name="x",
            kind="command",
            state="running",
            lifecycle="running",
            holds=holds,
            doing="over budget",
            created_s=0.0,
        )
        note = LaunchNote(umask=0, nice=0)
        return Inspected(process=process, spec=SpecPart(argv=[b"x"], cwd=b"/"), launch=note, events=list(events))

    held = EventPart(number=1, time_s=0.0, kind="held", process="p1", name="x", text="its budget is spent")
    assert now(inspected([], held)) == []
    assert now(inspected(["budget"], held)) == [
        "x is held: its budget is spent; `aish limit p1 tokens=+50k` lets it go on"
    ]
    money = EventPart(
        number=2,
        time_s=0.0,
        kind="held",
        process="p1",
        name="x",
        text="its budget of money is spent",
        detail={"what": "usd"},
    )
    assert now(inspected(["budget"], held, money)) == [
        "x is held: its budget of money is spent; `aish limit p1 usd=+1` lets it go on"
    ], "more tokens would not help"
    assert now(inspected(["budget"])) == ["it is held: over budget"], "its event is among the oldest"
    assert now(inspected(["user"], held)) == ["it is paused: `aish cont x` lets it go on"]


def test_a_stage_that_somebody_pauses_says_so(shared_home: Home) -> None:
    """It stood still without a word."""
    words = ["run", "--name", "sleep", "--", "sh", "-c", "echo up; exec sleep 60"]
    with shared_home.popen(*words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        assert running.stdout.readline() == b"up\n"
        sleep = shared_home.client.process("sleep")
        assert sleep.pause()
        line_with(
            running.stderr, b"aish: sleep is paused by the user; `aish cont %s` lets it go on" % sleep.id.encode()
        )
        sleep.cont()
        line_with(running.stderr, b"aish: sleep goes on")
        sleep.signal(signal.SIGTERM)
        assert running.wait(timeout=60) == -signal.SIGTERM


def test_at_a_terminal_too(shared_home: Home) -> None:
    """There it told nothing at all: neither a budget, nor a pause."""
    child = pexpect.spawn(
        sys.executable, ["-m", "aish", "run", "--", "cat"], env=shared_home.environ, encoding="utf-8", timeout=30
    )
    try:
        child.sendline("hello")
        child.expect("hello\r\nhello\r\n")
        cat = shared_home.client.process("cat")
        assert cat.pause()
        child.expect(f"\r\naish: cat is paused by the user; `aish cont {cat.id}` lets it go on\r\n")
        cat.cont()
        child.expect("aish: cat goes on")
        child.sendline("still here")
        child.expect("still here\r\nstill here\r\n")
        child.send("\x04")
        child.expect(pexpect.EOF)
    finally:
        child.close(force=True)
