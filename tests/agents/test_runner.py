"""The runner as a real process: what goes in, what comes out, how it ends; against a server with every fault."""

from __future__ import annotations

import json
import os
import pty
import shlex
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from .conftest import (
    DEADLINE_S,
    Bench,
    Exchange,
    Server,
    begins,
    cuts_after,
    hangs_up,
    never_ends,
    refuses,
    says,
    stalls_after,
)

if TYPE_CHECKING:
    from pathlib import Path

SUMMARISE = "---\nmodel: m\nprompt: '{input} Summary:'\n---\nBe brief."


# --- one answer -----------------------------------------------------------------------------------------------------


def test_text_in_answer_out(bench: Bench, server: Server) -> None:
    server.script = [says("\n", "It is", " short.", "\n\n")]
    done = bench.run(file=bench.agent(SUMMARISE), stdin="A long text.\n")
    assert (done.returncode, done.stdout, done.stderr) == (0, "It is short.\n", "")
    assert server.requests[0]["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "A long text. Summary:"},
    ]
    assert "Authorization: Bearer aish-test-key" in server.heads[0]
    assert server.counted == [], "a short text needs no question to the tokenizer"


def test_a_model_asked_directly(bench: Bench, server: Server) -> None:
    server.script = [says("Paris.")]
    done = bench.run("What is the", "capital?", direct="smollm2", stdin="France\n")
    assert (done.returncode, done.stdout) == (0, "Paris.\n")
    assert server.requests[0]["model"] == "smollm2"
    assert server.prompts() == ["What is the capital?\n\nFrance"]


def test_words_that_look_like_options_are_words(bench: Bench, server: Server) -> None:
    assert bench.run("--file", "-x", "--", direct="m").returncode == 0
    assert server.prompts() == ["--file -x --"]


def test_the_models_name_can_come_from_outside(bench: Bench, server: Server) -> None:
    """AISH_MODEL decides where the file leaves it open; who wrote a model into a file meant that one."""
    fixed, left_open = bench.agent(SUMMARISE, "fixed"), bench.agent("Be brief.", "open")
    bench.environ["AISH_MODEL"] = "big"
    bench.run("x", file=fixed)
    bench.run("x", file=left_open)
    bench.run("x", file=fixed, model="bigger")
    bench.run("x", direct="asked")
    assert [request["model"] for request in server.requests] == ["m", "big", "bigger", "asked"]


def test_every_token_is_out_as_it_comes(bench: Bench, server: Server) -> None:
    server.script = [stalls_after("One", " two")]
    process = bench.start("x", direct="m", stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
    assert process.stdout is not None
    got = b""
    while len(got) < len("One two"):
        got += os.read(process.stdout.fileno(), 100)
    assert got == b"One two"
    process.terminate()
    assert process.wait(DEADLINE_S) == -signal.SIGTERM
    process.stdout.close()
    assert server.aborted.wait(DEADLINE_S)


@pytest.mark.parametrize("words", [[], [" "]])
def test_nothing_to_answer_asks_no_model(bench: Bench, server: Server, words: list[str]) -> None:
    done = bench.run(*words, file=bench.agent(SUMMARISE), stdin=" \n\n")
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "@tester: there is nothing to answer: stdin is empty and no words follow",
        "  give it text: @tester < FILE, or words: @tester WORDS…",
    ]
    assert server.requests == []


def test_a_terminal_is_never_its_stdin(bench: Bench, server: Server) -> None:
    """An agent in the background would take the lines that are meant for the shell, or wait for ever."""
    master, slave = pty.openpty()
    try:
        process = bench.start("hello", direct="m", stdin=slave, stdout=subprocess.PIPE)
        out, _ = process.communicate(timeout=DEADLINE_S)
        assert (process.returncode, out) == (0, b"ok\n")
    finally:
        os.close(master)
        os.close(slave)


def test_a_closed_stdin_is_an_empty_one(bench: Bench) -> None:
    done = subprocess.run(
        ["sh", "-c", shlex.join(bench.words("hi", direct="m")) + " <&-"],
        env=bench.environ,
        capture_output=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, b"ok\n"), done.stderr


def test_bytes_that_are_no_text_are_told(bench: Bench, server: Server) -> None:
    done = bench.run(file=bench.agent(SUMMARISE), stdin=b"caf\xe9 and \xff\0 \xef\xbf\xbd")
    assert done.returncode == 0
    assert done.stderr == "@tester: stdin is not all UTF-8: 2 places were replaced by U+FFFD\n"
    assert server.prompts() == ["caf\ufffd and \ufffd\0 \ufffd Summary:"]


def test_an_answer_that_the_limit_cut_is_told(bench: Bench, server: Server) -> None:
    server.script = [says("Half a", finish="length")]
    file = bench.agent("---\nlimits: {max_output_tokens: 5}\n---\nBe brief.")
    done = bench.run("x", file=file)
    assert (done.returncode, done.stdout) == (0, "Half a\n")
    assert done.stderr == "@tester: the answer was cut off: max_output_tokens is 5\n"
    assert server.requests[0]["max_tokens"] == 5


@pytest.mark.parametrize("whole_sentences", [False, True])
def test_an_answer_that_a_budget_cut_is_no_success(bench: Bench, server: Server, whole_sentences: bool) -> None:
    """It was status 0 and 'the context is full'."""
    limited = b"x-aish-limited-by: budget\r\nx-aish-budget: 60\r\n"
    server.script = [says("Once. Half", finish="length", headers=limited)]
    file = bench.agent(f"---\nwhole_sentences: {str(whole_sentences).lower()}\n---\nBe brief.")
    done = bench.run("x", file=file)
    assert (done.returncode, done.stdout) == (75, "Once." if whole_sentences else "Once. Half")
    assert done.stderr.splitlines()[0] == "@tester: the answer was cut off: its budget of 60 tokens is spent"
    server.script = [says("Half", finish="length", headers=limited + b"x-aish-budget-of: p3\r\n")]
    done = bench.run("x", direct="m")
    assert done.returncode == 75
    assert done.stderr.splitlines() == [
        "@m: the answer was cut off: the budget of p3 of 60 tokens is spent",
        "  raise it, and start again: aish limit p3 tokens=+50k",
    ]
    server.script = [says("All of it.", headers=limited)]
    assert bench.run("x", direct="m").returncode == 0, "it ended by itself"


def test_a_part_that_a_budget_cut_is_no_success(bench: Bench, server: Server) -> None:
    server.script = [says("Half", finish="length", headers=b"x-aish-limited-by: budget\r\nx-aish-budget: 60\r\n")]
    server.tokens, server.context_tokens = lambda text: len(text.split()), 300
    done = bench.run(file=bench.agent(SUMMARISE), stdin="word " * 2000)
    assert (done.returncode, len(server.requests)) == (75, 1)


def test_whole_sentences(bench: Bench, server: Server) -> None:
    server.script = [says("One. ", "Two. Half", " a", finish="length")]
    done = bench.run("x", file=bench.agent("---\nwhole_sentences: true\n---\nBe brief."))
    assert (done.returncode, done.stdout, done.stderr) == (0, "One. Two.\n", "")


def test_an_empty_answer_is_empty(bench: Bench, server: Server) -> None:
    server.script = [says()]
    done = bench.run("x", direct="m")
    assert (done.returncode, done.stdout) == (0, "")


# --- faults of the server -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "error", "exit_status", "told"),
    [
        (401, {"message": "unknown key"}, 77, "unknown key"),
        (402, {"message": "its budget of 200 tokens is used up"}, 75, "its budget of 200 tokens is used up"),
        (404, {"message": "no model is called m"}, 69, "no model is called m"),
        (429, {"message": "slow down"}, 69, "too many requests: slow down"),
        (400, {"message": "bad stop"}, 65, "the model server refused the request: bad stop"),
        (500, {"message": "boom"}, 69, "the model server failed (500): boom"),
        (503, {"message": "not ready"}, 69, "not ready"),
    ],
)
def test_refusals(
    bench: Bench, server: Server, status: int, error: dict[str, str], exit_status: int, told: str
) -> None:
    server.script = [refuses(status, **error)]
    done = bench.run("x", direct="m")
    assert (done.returncode, done.stdout) == (exit_status, "")
    assert done.stderr.splitlines()[0] == f"@m: {told}"
    assert len(server.requests) == 1, "a refusal is not asked again: that is the gateway's business"


def test_a_page_of_html_instead_of_an_answer(bench: Bench, server: Server) -> None:
    server.script = [lambda exchange: exchange.json(502, b"<html>\x1b[31mbad gateway</html>")]
    done = bench.run("x", direct="m")
    assert done.returncode == 69
    assert done.stderr.startswith("@m: the model server failed (502): <html> [31mbad gateway</html>\n")


def test_nobody_listens(bench: Bench) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    bench.environ["OPENAI_BASE_URL"] = f"http://127.0.0.1:{port}/v1"
    done = bench.run("x", direct="m")
    assert done.returncode == 69
    assert done.stderr.startswith(f"@m: no gateway at 127.0.0.1:{port}: Connection refused\n  `aish doctor`")


@pytest.mark.parametrize(
    "url", ["https://127.0.0.1/v1", "127.0.0.1:80/v1", "http://", "http://h:99999/v1", "http://u:p@h/", "http://h:x/"]
)
def test_an_address_that_is_none(bench: Bench, url: str) -> None:
    bench.environ["OPENAI_BASE_URL"] = url
    done = bench.run("x", direct="m")
    assert done.returncode == 2
    assert "expected http://HOST:PORT/v1" in done.stderr


def test_no_address(bench: Bench) -> None:
    del bench.environ["OPENAI_BASE_URL"]
    done = bench.run("x", direct="m")
    assert done.returncode == 69
    assert "OPENAI_BASE_URL is not set" in done.stderr


def test_a_connection_that_is_cut_before_the_answer_is_made_again_once(bench: Bench, server: Server) -> None:
    """A gateway that is restarted drops what it held; nothing was shown yet, so asking again is safe."""
    server.script = [hangs_up, says("ok")]
    done = bench.run("x", direct="m")
    assert (done.returncode, done.stdout) == (0, "ok\n")
    assert len(server.requests) == 2


def test_a_stream_that_is_cut_before_its_first_chunk_is_asked_again_once(bench: Bench, server: Server) -> None:
    server.script = [cuts_after(), says("ok")]
    assert bench.run("x", direct="m").stdout == "ok\n"
    assert len(server.requests) == 2


def test_twice_cut_is_told(bench: Bench, server: Server) -> None:
    server.script = [hangs_up]
    done = bench.run("x", direct="m")
    assert (done.returncode, len(server.requests)) == (69, 2)
    assert "hung up twice without an answer" in done.stderr


def test_an_answer_that_is_cut_is_no_success(bench: Bench, server: Server) -> None:
    """Half an answer with status 0 would be taken for a whole one by the script around it."""
    server.script = [cuts_after("Half", " an")]
    done = bench.run("x", direct="m")
    assert (done.returncode, done.stdout, len(server.requests)) == (69, "Half an", 1)
    assert done.stderr.startswith("@m: the answer was cut off: the gateway went away (")


def test_a_stream_that_is_cut_before_its_first_word_is_asked_again_once(bench: Bench, server: Server) -> None:
    """Its first chunk says who speaks; nothing was written of it."""
    server.script = [begins, says("ok")]
    done = bench.run("x", direct="m")
    assert (done.returncode, done.stdout, len(server.requests)) == (0, "ok\n", 2)


@pytest.mark.parametrize("words", ["waiting for m: its server answers 500: boom", "m is paused: aish cont m"])
def test_why_a_request_waits_is_told_once(bench: Bench, server: Server, words: str) -> None:
    """It waited ten minutes without a word."""
    server.waits = words
    server.script = [stalls_after()]
    process = bench.start("x", direct="m", stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stderr is not None
    assert process.stderr.readline().decode() == f"@m: {words}\n"
    server.waits = words.replace("boom", "another").replace("aish", "Aish")
    assert process.stderr.readline().decode() == f"@m: {server.waits}\n", "and another reason, too"
    process.terminate()
    process.wait(DEADLINE_S)
    process.stderr.close()


def test_a_failure_that_the_gateway_explains_is_told_in_its_words(bench: Bench, server: Server) -> None:
    words = "the server of m refuses aish's key (401) (check the key file of that model)"
    server.script = [refuses(502, message=words, type="upstream_error")]
    done = bench.run("x", direct="m")
    assert (done.returncode, done.stderr) == (69, f"@m: {words}\n")


def test_a_content_length_that_is_too_long_is_a_cut_too(bench: Bench, server: Server) -> None:
    def step(exchange: Exchange) -> None:
        exchange.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 9999\r\n\r\n")
        exchange.send(b'data: {"choices": [{"delta": {"content": "Half"}}]}\n\n')

    server.script = [step]
    done = bench.run("x", direct="m")
    assert (done.returncode, done.stdout) == (69, "Half")


def test_a_stream_without_its_end_mark_is_whole_if_the_model_had_finished(bench: Bench, server: Server) -> None:
    def step(exchange: Exchange) -> None:
        exchange.begin()
        exchange.text("Whole.", finish="stop")

    server.script = [step]
    done = bench.run("x", direct="m")
    assert (done.returncode, done.stdout) == (0, "Whole.\n")


def test_an_error_in_the_stream(bench: Bench, server: Server) -> None:
    def step(exchange: Exchange) -> None:
        exchange.begin()
        exchange.text("Half")
        exchange.event({"error": {"message": "the slot was lost", "code": 500}})

    server.script = [step]
    done = bench.run("x", direct="m")
    assert (done.returncode, done.stdout) == (69, "Half")
    assert done.stderr.startswith("@m: the model server broke off: the slot was lost\n")


def test_a_malformed_stream(bench: Bench, server: Server) -> None:
    def step(exchange: Exchange) -> None:
        exchange.begin()
        exchange.raw(b"data: {not json\n\n")

    server.script = [step]
    done = bench.run("x", direct="m")
    assert done.returncode == 69
    assert "something that is not a chat chunk: {not json" in done.stderr


def test_a_malformed_http_answer(bench: Bench, server: Server) -> None:
    server.script = [lambda exchange: exchange.send(b"SSH-2.0-OpenSSH\r\n\r\n")]
    done = bench.run("x", direct="m")
    assert done.returncode == 69
    assert "Traceback" not in done.stderr


def test_a_server_that_does_not_stream(bench: Bench, server: Server) -> None:
    answer = {"choices": [{"message": {"content": "All at once."}, "finish_reason": "stop"}]}
    server.script = [lambda exchange: exchange.json(200, answer)]
    done = bench.run("x", direct="m")
    assert (done.returncode, done.stdout) == (0, "All at once.\n")


def test_a_server_that_never_ends_is_stopped_at_the_limit(bench: Bench, server: Server) -> None:
    server.script = [never_ends("la ")]
    done = bench.run("x", file=bench.agent("---\nlimits: {max_output_tokens: 10}\n---\nSing."))
    assert done.returncode == 0
    assert 10 <= done.stdout.count("la") <= 200
    assert "ignores max_tokens" in done.stderr
    assert server.aborted.wait(DEADLINE_S)


# --- signals and pipes ----------------------------------------------------------------------------------------------


def test_interrupt_stops_the_model_and_ends_by_the_signal(bench: Bench, server: Server) -> None:
    server.script = [stalls_after("One")]
    process = bench.start("x", direct="m", stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
    assert process.stdout is not None
    assert os.read(process.stdout.fileno(), 3) == b"One"
    process.send_signal(signal.SIGINT)
    out, told = process.communicate(timeout=DEADLINE_S)
    assert (process.returncode, out, told) == (-signal.SIGINT, b"", b"")
    assert server.aborted.wait(DEADLINE_S)


def test_a_reader_that_leaves_ends_a_silent_generation_at_once(bench: Bench, server: Server) -> None:
    """`@agent | head -1`: waiting for the next token before noticing would keep the model busy for nobody."""
    server.script = [stalls_after("One\n")]
    process = bench.start("x", direct="m", stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
    assert process.stdout is not None
    assert process.stderr is not None
    assert os.read(process.stdout.fileno(), 3) == b"One"
    process.stdout.close()
    assert process.wait(DEADLINE_S) == -signal.SIGPIPE
    assert process.stderr.read() == b""
    process.stderr.close()
    assert server.aborted.wait(DEADLINE_S)


def test_a_reader_that_left_ends_the_reading_of_stdin(bench: Bench, server: Server) -> None:
    reading, writing = os.pipe()
    process = bench.start(file=bench.agent(SUMMARISE), stdin=reading, stdout=subprocess.PIPE)
    os.close(reading)
    assert process.stdout is not None
    process.stdout.close()
    assert process.wait(DEADLINE_S) == -signal.SIGPIPE
    os.close(writing)
    assert server.requests == []


def test_a_pipeline_in_a_shell(bench: Bench, server: Server) -> None:
    """printf | @agent | head -1: head's line, 141 for the agent, and the upstream request is aborted."""
    server.script = [never_ends("line\n")]
    line = (
        f"printf 'some text' | {shlex.join(bench.words(file=bench.agent(SUMMARISE)))} | head -1; "
        'echo "${PIPESTATUS[@]}"'
    )
    done = subprocess.run(
        ["bash", "-c", line], env=bench.environ, capture_output=True, text=True, timeout=DEADLINE_S, check=False
    )
    assert done.stdout.splitlines() == ["line", "0 141 0"]
    assert done.stderr == ""
    assert server.aborted.wait(DEADLINE_S)


def test_a_full_disk(bench: Bench) -> None:
    with open("/dev/full", "wb") as full:
        process = bench.start("x", direct="m", stdin=subprocess.DEVNULL, stdout=full, stderr=subprocess.PIPE)
        _, told = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 74
    assert told.startswith(b"@m: the answer cannot be written: No space left on device\n  free some space")


def test_nobody_reads_stderr(bench: Bench, server: Server) -> None:
    """A note that cannot be told must not end the work."""
    server.script = [says("Half a", finish="length")]
    reading, writing = os.pipe()
    os.close(reading)
    process = bench.start("x", direct="m", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=writing)
    os.close(writing)
    out, _ = process.communicate(timeout=DEADLINE_S)
    assert (process.returncode, out) == (0, b"Half a\n")


# --- input that is too long -----------------------------------------------------------------------------------------

LONG = "\n\n".join(f"Paragraph {number} tells of the thing number {number}." for number in range(400))


def by_words(text: str) -> int:
    return len(text.split())


def test_a_long_input_is_split_answered_and_joined(bench: Bench, server: Server) -> None:
    server.tokens, server.context_tokens = by_words, 1000
    server.script = [says(f"answer {number}") for number in range(1, 6)] + [says("All", " in one.")]
    file = bench.agent("---\nmodel: smollm2\nlimits: {max_output_tokens: 50}\nprompt: 'Q {input} A'\n---\nBe brief.")
    done = bench.run(file=file, stdin=LONG)
    assert (done.returncode, done.stdout) == (0, "All in one.\n")
    parts = len(server.requests) - 1
    assert done.stderr == (
        f"@tester: input is 3,204 tokens, the context of smollm2 is 1,000: split into {parts} parts, then joined\n"
    )
    seen = "\n\n".join(prompt.removeprefix("Q ").removesuffix(" A") for prompt in server.prompts()[:-1])
    assert seen.split() == LONG.split(), "every word, once, in order"
    assert all(by_words(prompt) + 50 <= 1000 for prompt in server.prompts())
    assert server.prompts()[-1].startswith("\n\n".join(f"answer {number}" for number in range(1, parts + 1)))
    assert server.requests[0]["max_tokens"] == 50


def test_many_parts_are_joined_in_rounds(bench: Bench, server: Server) -> None:
    server.tokens, server.context_tokens = by_words, 300
    server.script = [says(*["word "] * 40)]
    done = bench.run(file=bench.agent("---\nlimits: {max_output_tokens: 40}\n---\nBe brief."), stdin=LONG)
    assert done.returncode == 0
    assert done.stdout == ("word " * 40).strip() + "\n", "only the last answer is shown"
    assert all(by_words(prompt) + 40 <= 300 for prompt in server.prompts())


def test_parts_can_simply_follow_each_other(bench: Bench, server: Server) -> None:
    """A translation of a long text is the translations of its parts."""
    server.tokens, server.context_tokens = by_words, 1000
    server.script = [says("Eins. "), says("Zwei. "), says("Drei. "), says("Weiter.")]
    done = bench.run(file=bench.agent("---\nmap_reduce: {reduce: join}\n---\nTranslate."), stdin=LONG)
    assert done.returncode == 0
    assert done.stdout.startswith("Eins.\n\nZwei.\n\nDrei.\n\nWeiter.")
    assert done.stderr.endswith("parts, one after the other\n")
    seen = "\n\n".join(server.prompts())
    assert seen.split() == LONG.split()


def test_a_fitting_input_is_asked_at_once(bench: Bench, server: Server) -> None:
    server.tokens, server.context_tokens = by_words, 100_000
    done = bench.run(file=bench.agent("Be brief."), stdin=LONG)
    assert (done.stdout, done.stderr, len(server.requests)) == ("ok\n", "", 1)
    assert len(server.counted) == 1


def test_a_server_that_cannot_count_tells_its_context_by_refusing(bench: Bench, server: Server) -> None:
    """No tokenizer behind the address: estimated, tried, and split when the server says how long it may be."""

    def step(exchange: Exchange) -> None:
        tokens = 2 * by_words(exchange.body["messages"][-1]["content"])  # more than the estimate
        if tokens > 1000:
            error = {"message": "too long", "type": "exceed_context_size_error", "n_ctx": 1000}
            exchange.json(400, {"error": error})
        else:
            says("part")(exchange)

    server.script = [step]
    done = bench.run(file=bench.agent("Be brief."), stdin=LONG)
    assert (done.returncode, done.stdout) == (0, "part\n")
    assert "input is about 6," in done.stderr
    accepted = [p for p in server.prompts() if p.startswith("Paragraph") and 2 * by_words(p) <= 1000]
    assert "\n\n".join(accepted).split() == LONG.split()


def test_a_long_prompt_without_stdin_is_split_too(bench: Bench, server: Server) -> None:
    server.tokens, server.context_tokens = by_words, 1000
    assert bench.run(LONG, direct="m").returncode == 0
    assert len(server.requests) > 2


def test_a_context_that_the_instructions_fill(bench: Bench, server: Server) -> None:
    server.tokens, server.context_tokens = by_words, 500
    done = bench.run(file=bench.agent("Be brief. " * 400), stdin=LONG)
    assert done.returncode == 75
    assert "leave no room for text in a context of 500" in done.stderr
    assert server.requests == []


def test_an_input_without_end_is_refused(bench: Bench, server: Server) -> None:
    with open("/dev/zero", "rb") as zeros:
        process = bench.start(direct="m", stdin=zeros, stderr=subprocess.PIPE)
        _, told = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 75
    assert told.startswith(b"@m: the input is longer than 16 MiB\n  split it first")
    assert server.requests == []


# --- events and the command line ------------------------------------------------------------------------------------


def events_of(bench: Bench, server: Server, *words: str, **options: str) -> list[dict[str, object]]:
    reading, writing = os.pipe()
    bench.environ["AISH_EVENTS_FD"] = str(writing)
    process = bench.start(
        *words,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        pass_fds=(writing,),
        **options,
    )
    os.close(writing)
    with os.fdopen(reading) as stream:
        lines = stream.read().splitlines()
    process.wait(DEADLINE_S)
    return [json.loads(line) for line in lines]


def test_events_tell_what_happened_and_no_text(bench: Bench, server: Server) -> None:
    server.script = [says("secret answer", usage=(11, 5))]
    events = events_of(bench, server, "secret question", direct="m")
    assert [event["kind"] for event in events] == ["started", "first-token", "answered", "usage", "finished"] or [
        event["kind"] for event in events
    ] == ["started", "first-token", "usage", "answered", "finished"]
    finished = events[-1]
    assert (finished["input_tokens"], finished["output_tokens"]) == (11, 5)
    assert finished["output_bytes"] == len("secret answer\n")
    assert "secret" not in json.dumps(events)


def test_events_tell_a_failure(bench: Bench, server: Server) -> None:
    server.script = [refuses(402, message="used up")]
    events = events_of(bench, server, "x", direct="m")
    assert events[-1]["kind"] == "failed"
    assert (events[-1]["code"], events[-1]["status"], events[-1]["message"]) == ("budget", 75, "used up")


@pytest.mark.parametrize("word", ["1", "2", "99", "x", "-1", "3.5", "9" * 30])
def test_an_event_descriptor_that_is_none(bench: Bench, word: str) -> None:
    """Events must never land in the answer, whatever the environment says."""
    bench.environ["AISH_EVENTS_FD"] = word
    done = bench.run("x", direct="m")
    assert (done.returncode, done.stdout, done.stderr) == (0, "ok\n", "")


def test_an_event_reader_that_leaves_does_not_end_the_agent(bench: Bench) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    bench.environ["AISH_EVENTS_FD"] = str(writing)
    process = bench.start("x", direct="m", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, pass_fds=(writing,))
    os.close(writing)
    out, _ = process.communicate(timeout=DEADLINE_S)
    assert (process.returncode, out) == (0, b"ok\n")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "give --file PATH or --model-direct MODEL"),
        (["--file", "a", "--model-direct", "b"], "give --file PATH or --model-direct MODEL"),
        (["--flie", "a"], "unknown option --flie\n  did you mean --file?"),
        (["--file"], "--file needs a value"),
        (["--file", "--"], "--file needs a value"),
        (["--file", "gone.md"], "no agent file gone.md"),
    ],
)
def test_wrong_words(bench: Bench, words: list[str], told: str) -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "aish.agents", *words],
        env=bench.environ,
        cwd=bench.folder,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode in (2, 69)
    assert told in done.stderr


def test_a_wrong_agent_file_is_told_with_its_line(bench: Bench, server: Server) -> None:
    file = bench.agent("---\nmodel: m\ntemprature: 0\n---\nBe brief.")
    done = bench.run("x", file=file)
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        f"@tester: {file}:3: temprature: unknown key",
        "    temprature: 0",
        "  did you mean temperature?",
    ]
    assert server.requests == []


def test_a_module_in_the_users_folder_is_not_imported(bench: Bench, tmp_path: Path) -> None:
    """An agent runs where the user works: a json.py there must be a file like any other."""
    for name in ("json", "yaml", "http", "socket", "aish"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('imported from the folder')")
    done = bench.run("x", file=bench.agent("Be brief."))
    assert (done.returncode, done.stdout, done.stderr) == (0, "ok\n", "")


def test_the_start_loads_nothing_heavy(bench: Bench) -> None:
    """Every `@agent` in a pipeline pays for what the runner imports."""
    code = (
        "import sys; from aish.agents import __main__, invocation, find; import json; "
        "print(json.dumps(sorted(m for m in sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    loaded = set(json.loads(done.stdout))
    heavy = {"asyncio", "msgspec", "numpy", "aiohttp", "argparse", "subprocess", "dataclasses", "yaml", "tomllib"}
    assert not loaded & heavy
