"""An agent program in its host, on the whole way: a scripted adapter (a real plugin, found by its entry point), the
daemon, the person, the transcript."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from aish.client import connect

if TYPE_CHECKING:
    from conftest import Home

DEADLINE_S = 60.0
ADAPTER = """
import asyncio, os, sys
from aish.errors import LimitError
from aish.spi.agent_adapter import Command, ProgramError
from aish.wire.question import OptionPart
OPTIONS = (OptionPart(id="once", label="Allow once", meaning="allow"),
           OptionPart(id="session", label="Allow always", meaning="allow-always"),
           OptionPart(id="no", label="Reject", meaning="deny"))
class Adapter:
    name, program, own_login, confined = "scripted", "sh", "none", True
    def missing(self):
        return "sh comes with every system"
    def attached(self, task, gateway, folder):
        return Command(argv=("sh", "-c", 'echo "$1 at $GATEWAY"; cat', "sh", *task.arguments),
                       environ={"GATEWAY": gateway.origin, "OPENAI_API_KEY": None})
    async def run(self, task, host):
        for word in task.prompt.split():
            verb, _, value = word.partition("=")
            match verb:
                case "say": host.text(value + " ")
                case "progress": host.progress(value)
                case "tool": host.activity("tool", value); host.record("tool", name=value)
                case "idle": host.activity("idle")
                case "session": host.session(value)
                case "which": host.text(f"of {task.session} ")
                case "ask":
                    answer = await host.ask(value, body="$ " + value, form="command", options=OPTIONS, token=value)
                    host.text(f"{value}:{answer.option} ")
                case "wish": await host.ask(value, options=OPTIONS)
                case "fail": raise LimitError("its budget is spent")
                case "status": raise ProgramError("it failed", ended=int(value))
                case "bug": raise RuntimeError("a bug")
                case "run":
                    program = await host.start(Command(argv=("sh", "-c", SCRIPTS[value])))
                    async for line in program.lines():
                        host.text(line[:20] + "\\n")
                    host.text(f"ended {await program.ended()} ")
                case "wait":
                    try:
                        await asyncio.sleep(3600)
                    except asyncio.CancelledError:
                        host.text("told ")
                        raise
        host.text(f"model={task.model} permissions={task.permissions}") if "about" in task.prompt else None
SCRIPTS = {
    "lines": "echo one; echo two; printf three",
    "long": "head -c 20000000 /dev/zero | tr '\\\\0' x; echo; echo after",
    "bytes": "printf '\\\\377\\\\n'",
    "killed": "kill -9 $$",
    "left": "trap '' TERM; echo $$ > left.pid; exec sleep 3600",
    "gone": "exit 3",
    "outside": "touch $OUTSIDE/it 2>/dev/null; test -e $OUTSIDE/it",
    "held": "echo last; sleep 3600 & exit 4",
}
def adapter():
    return Adapter()
"""


@pytest.fixture
def plugin(shared_home: Home, monkeypatch: pytest.MonkeyPatch) -> Home:
    """The adapter, installed as plugins are, and a model that nothing is asked of."""
    site = shared_home.root / "site"
    metadata = site / "scripted_adapter-1.dist-info"
    metadata.mkdir(parents=True)
    (site / "scripted_adapter.py").write_text(ADAPTER)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: scripted-adapter\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text("[aish.agent_adapter]\nscripted = scripted_adapter:adapter\n")
    shared_home.environ["PYTHONPATH"] = str(site)
    shared_home.environ["AISH_MODEL"] = "some-model"
    return shared_home


def run(home: Home, *words: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return home.aish("run", *words, **{"cwd": home.root, "input": ""} | options)


def entries(home: Home, name: str = "scripted") -> list[dict[str, Any]]:
    """The transcript of the last run of that name."""
    (row,) = [row for row in home.client.processes(all=True) if row.name == name][-1:]
    (path,) = (home.state / "agents").glob(f"*-{row.id}/transcript.jsonl")
    assert path.stat().st_mode & 0o777 == 0o600
    return [json.loads(line) for line in path.read_text().splitlines()]


def agent_file(home: Home, name: str, head: str, body: str = "") -> None:
    folder = home.root / ".aish" / "agents"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.md").write_text(f"---\n{textwrap.dedent(head)}---\n{body}")


def test_its_name_is_enough_and_stdout_has_the_answer_alone(plugin: Home) -> None:
    done = run(plugin, "@scripted", "progress=looks say=all say=well about")
    assert done.stdout == "all well model=some-model permissions=ask\n"
    assert done.stderr == "@scripted: looks\n"
    assert done.returncode == 0
    kinds = [entry["kind"] for entry in entries(plugin)]
    assert kinds == ["prompt", "text", "end"]


def test_stdin_is_the_prompt_and_words_follow(plugin: Home) -> None:
    assert run(plugin, "@scripted", input="say=from-stdin").stdout == "from-stdin\n"
    assert run(plugin, "@scripted", "say=first", input="say=second").stdout == "first second\n"
    done = run(plugin, "@scripted")
    assert (done.returncode, "nothing to do" in done.stderr) == (2, True)


def test_an_agent_file_says_how(plugin: Home) -> None:
    agent_file(plugin, "careful", "adapter: scripted\npermissions: deny\nmodel: other\nprompt: say=hello {input}\n")
    done = run(plugin, "@careful", "ask=push about")
    assert done.stdout == "hello push:no model=other permissions=deny\n"
    answer = entries(plugin, "careful")[-3]
    assert (answer["answer"], answer["by"]) == ("Reject", "permissions: deny")
    agent_file(plugin, "free", "adapter: scripted\npermissions: allow\n")
    assert run(plugin, "@free", "ask=push").stdout == "push:once\n", "never always, unless there is no once"


@pytest.mark.parametrize(
    ("head", "place", "told"),
    [
        ("adapter: scripted\ntemperature: 1\n", ":3:", "temperature: does nothing here"),
        ("program: x\n", ":2:", "program: does nothing here"),
        ("adapter: scripted\npermissions: perhaps\n", ":3:", "expected ask or allow or deny"),
        ("adapter: scripted\nlogin: mine\n", ":3:", "expected gateway or own or client"),
    ],
)
def test_a_wrong_file_is_refused_with_the_place(plugin: Home, head: str, place: str, told: str) -> None:
    agent_file(plugin, "wrong", head, "x")
    done = run(plugin, "@wrong", "say=x")
    assert done.returncode == 2
    assert place in done.stderr
    assert told in done.stderr


def test_an_adapter_that_there_is_not(plugin: Home) -> None:
    agent_file(plugin, "lost", "adapter: scriptd\n")
    done = run(plugin, "@lost", "say=x")
    assert (done.returncode, "did you mean scripted?" in done.stderr) == (69, True)


@pytest.mark.parametrize(
    ("words", "status", "told"),
    [
        ("say=half fail", 75, "its budget is spent"),
        ("status=7", 7, "it failed"),
        ("bug", 70, "a fault in aish: RuntimeError: a bug"),
    ],
)
def test_how_it_fails(plugin: Home, words: str, status: int, told: str) -> None:
    done = run(plugin, "@scripted", words)
    assert done.returncode == status
    assert told in done.stderr
    assert "ended by the supervisor" not in done.stderr, "it has said why itself"
    assert "Traceback" not in done.stderr
    assert entries(plugin)[-1] == entries(plugin)[-1] | {"kind": "end", "status": "failed"}


def test_words_that_are_not_utf_8_are_a_prompt_all_the_same(plugin: Home) -> None:
    """A request with such a word in it ended the turn with a fault of aish."""
    done = run(plugin, "@scripted", "say=\udcff")
    assert done.returncode == 0, done.stderr
    assert entries(plugin)[0]["text"] == "say=\ufffd"


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("lines", "one\ntwo\nthree\nended 0\n"),
        ("long", "x" * 20 + "\nafter\nended 0\n"),
        ("bytes", "\ufffd\nended 0\n"),
        ("killed", "ended 137\n"),
        ("gone", "ended 3\n"),
        ("held", "last\nended 4\n"),  # what it leaves behind has its stdout
    ],
)
def test_programs(plugin: Home, script: str, said: str) -> None:
    assert run(plugin, "@scripted", f"run={script}").stdout == said


def spawned(home: Home, *words: str) -> Any:
    done = home.aish("spawn", "--json", "--", "@scripted", *words, cwd=home.root)
    assert done.returncode == 0, done.stderr
    return home.client.process(json.loads(done.stdout)["id"])


def until_event(home: Home, id_: str, kind: str) -> None:
    for event in home.client.events(follow=True, names=[id_]):
        if event.kind == kind:
            return
        assert event.kind not in ("exited", "failed", "lost"), f"it ended before it was {kind}"


def test_it_is_seen_asks_and_goes_on(plugin: Home) -> None:
    process = spawned(plugin, "tool=pytest ask=push say=done")
    until_event(plugin, process.id, "asked")
    row = process.row()
    assert (row.kind, row.state, row.doing) == ("agent", "needs-input", "wants: push")
    assert plugin.aish("answer", process.id, "allow", "--always").returncode == 0
    assert process.wait(timeout_s=DEADLINE_S).code == 0
    text = "".join(line.text for line in plugin.client.logs(process, streams=("stdout",)))
    assert "push:session done" in text
    found = entries(plugin)
    assert [entry["kind"] for entry in found] == ["prompt", "tool", "question", "answer", "text", "end"]
    assert (found[3]["answer"], found[3]["by"]) == ("Allow always", "the person")


def test_what_it_is_doing_is_told_to_the_next_daemon_too(plugin: Home) -> None:
    """A tool may go on for an hour: it was seen as `running` until the next word of its agent."""
    process = spawned(plugin, "tool=pytest wait")
    for daemon_dies in (True, False):
        deadline_s = time.monotonic() + DEADLINE_S
        while (row := process.row()).state != "tool":
            assert row.ended_s is None
            assert time.monotonic() < deadline_s, row.state
        assert row.doing == "pytest"
        if daemon_dies:
            with connect(start=False, program="test") as client:
                os.kill(client.welcome.pid, signal.SIGKILL)
            while not process.row().pid:
                pass
    process.signal("INT")
    assert process.wait(timeout_s=DEADLINE_S).signal == signal.SIGINT


def test_what_is_denied_and_followed_by_nothing_is_no_success(plugin: Home) -> None:
    """Whichever adapter it is: Claude Code and Codex end such a turn as any other."""
    agent_file(plugin, "careful", "adapter: scripted\npermissions: deny\n")
    done = run(plugin, "@careful", "say=well wish=push")
    assert (done.returncode, done.stdout) == (77, "well\n")
    assert "it did nothing more: it was not allowed to push" in done.stderr
    assert run(plugin, "@careful", "wish=push say=without").returncode == 0


def test_ctrl_c_cancels_the_turn_and_the_program_is_told(plugin: Home) -> None:
    process = spawned(plugin, "ask=push wait")
    until_event(plugin, process.id, "asked")
    process.signal("INT")
    end = process.wait(timeout_s=DEADLINE_S)
    assert end.signal == signal.SIGINT
    assert plugin.client.questions() == []
    kinds = [event.kind for event in plugin.client.events(names=[process.id])]
    assert "withdrawn" in kinds, "a person would answer what nobody waits for"
    second = spawned(plugin, "tool=x wait")
    while second.row().state != "tool":
        pass
    second.signal("INT")
    assert second.wait(timeout_s=DEADLINE_S).signal == signal.SIGINT
    text = "".join(line.text for line in plugin.client.logs(second, streams=("stdout",)))
    assert "told" in text
    assert entries(plugin)[-1]["status"] == "cancelled"


def test_what_the_turn_leaves_behind_is_ended_with_it(plugin: Home) -> None:
    process = spawned(plugin, "run=left")
    pid_file = plugin.root / "left.pid"
    while not (pid_file.exists() and pid_file.read_text().strip()):
        assert process.row().state != "exited"
    pid = int(pid_file.read_text())
    process.signal("INT")
    process.wait(timeout_s=DEADLINE_S)
    assert not Path(f"/proc/{pid}").exists()


def test_without_a_prompt_it_goes_on_and_each_message_is_a_turn(plugin: Home) -> None:
    process = spawned(plugin)
    assert plugin.aish("ask", "@scripted", "say=one", "session=s1").stdout == "one\n"
    assert process.row().state in ("idle", "running")
    done = plugin.aish("ask", process.id, "say=half", "fail")
    assert (done.returncode, done.stdout) == (75, "half\n\n@scripted: its budget is spent\n")
    assert plugin.aish("ask", process.id, "status=7").returncode == 7
    number = plugin.aish("send", process.id, "say=three", "about").stdout.strip()
    assert plugin.aish("mail", number).stdout == "three model=some-model permissions=ask\n"
    assert plugin.aish("send", process.id, "-w", "say=four").stdout == "four\n"
    rows = plugin.aish("mail", process.id).stdout.splitlines()
    assert [row.split()[4:6] for row in rows[1:]] == [
        ["answered", "say=one"],
        ["answered", "75"],
        ["answered", "7"],
        ["answered", "say=three"],
        ["answered", "say=four"],
    ]
    process.stop()
    kinds = [entry["kind"] for entry in entries(plugin)]
    assert kinds.count("prompt") == kinds.count("end") == 5


def test_every_turn_of_a_session_is_in_the_sandbox(plugin: Home) -> None:
    """What says so is taken out of the environment: the second turn found nothing of it."""
    outside = Path(tempfile.mkdtemp(dir=plugin.root.parent))
    plugin.environ["OUTSIDE"] = str(outside)
    agent_file(plugin, "boxed", "adapter: scripted\nsandbox: closed\n")
    done = plugin.aish("spawn", "--json", "--", "@boxed", cwd=plugin.root)
    assert done.returncode == 0, done.stderr
    process = plugin.client.process(json.loads(done.stdout)["id"])
    for _ in range(3):
        assert plugin.aish("ask", process.id, "run=outside").stdout == "ended 1\n"
    assert list(outside.iterdir()) == []
    process.stop()


def test_ctrl_c_ends_its_turn_and_not_the_session_and_a_kill_loses_no_message(plugin: Home) -> None:
    done = plugin.aish("spawn", "--json", "--restart", "on-failure", "--", "@scripted", cwd=plugin.root)
    process = plugin.client.process(json.loads(done.stdout)["id"])
    number = plugin.client.send(process, "session=s9 tool=x wait")
    while process.row().state != "tool":
        pass
    process.signal("INT")
    mail = plugin.client.response(number, timeout_s=DEADLINE_S)
    assert (mail.answer, mail.status) == ("told", 130)
    second = plugin.client.send(process, "ask=push say=after")
    until_event(plugin, process.id, "asked")
    pid = process.row().pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    while not plugin.client.questions(process) or process.row().pid in (pid, None):
        pass
    assert plugin.aish("answer", process.id, "allow").returncode == 0
    mail = plugin.client.response(second, timeout_s=DEADLINE_S)
    assert (mail.answer, mail.status, mail.deliveries) == ("push:once after", 0, 2)
    (position,) = (plugin.state / "agents").glob(f"*-{process.id}/position.json")
    assert json.loads(position.read_text())["session"] == "s9"
    process.stop()


def test_an_agent_that_does_not_run_is_run_for_the_question(plugin: Home) -> None:
    done = plugin.aish("ask", "scripted", "say=hello", cwd=plugin.root)
    assert (done.returncode, done.stdout) == (0, "hello\n")
    done = plugin.aish("ask", "scripted", input="say=from-stdin", cwd=plugin.root)
    assert done.stdout == "from-stdin\n"
    done = plugin.aish("ask", "nobody-there", "hello", cwd=plugin.root)
    assert (done.returncode, "nobody-there" in done.stderr) == (69, True)


def test_the_last_conversation_of_an_agent_in_a_folder_is_gone_on_with(plugin: Home) -> None:
    """Only mail, and who knew the program's own word, could go on with one."""
    agent_file(plugin, "talker", "adapter: scripted\n")
    none = run(plugin, "--session", "last", "--", "@talker", "which")
    assert (none.returncode, "@talker has had no conversation in" in none.stderr) == (2, True)
    assert run(plugin, "@talker", "session=s1 which").stdout == "of None\n"
    assert run(plugin, "@talker", "session=s2 which").stdout == "of None\n", "nobody has asked for the last one"
    assert run(plugin, "--continue", "--", "@talker", "which").stdout == "of s2\n"
    assert plugin.aish("ask", "--continue", "talker", "which", cwd=plugin.root).stdout == "of s2\n"
    done = plugin.aish("-c", "@talker --continue which", cwd=plugin.root)
    assert done.stdout == "of s2\n", done.stderr
    other = plugin.root / "other"
    other.mkdir()
    assert run(plugin, "--continue", "--", "@talker", "which", cwd=other).returncode == 2, "another folder, too"
    for row in plugin.client.processes(all=True):
        if row.name == "talker":
            plugin.client.forget(row.id)
    assert run(plugin, "--continue", "--", "@talker", "which").stdout == "of s2\n", "it goes with no row"


def test_a_reader_that_leaves_stops_the_turn(plugin: Home) -> None:
    """`@agent | head -1` would work on for an hour, and cost."""
    done = subprocess.run(
        [
            "bash",
            "-c",
            f"{sys.executable} -m aish run @scripted 'say=one run=lines wait' | head -1; echo ${{PIPESTATUS[0]}}",
        ],
        env=plugin.environ,
        cwd=plugin.root,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert done.stdout.splitlines()[0].startswith("one")
    assert done.stdout.splitlines()[-1] == "141", done.stderr


def test_attached_it_becomes_the_program(plugin: Home) -> None:
    from aish.agents import hosted
    from aish.agents.agent import Agent

    os.environ["PYTHONPATH"] = plugin.environ["PYTHONPATH"]
    sys.path.insert(0, plugin.environ["PYTHONPATH"])
    try:
        part = hosted.spec(Agent("scripted", adapter="scripted"), ["hello"], str(plugin.root), attached=True)
        process = plugin.client.spawn(part, env=dict(os.environ))
        process.wait(timeout_s=DEADLINE_S)
    finally:
        sys.path.remove(plugin.environ["PYTHONPATH"])
        del os.environ["PYTHONPATH"]
    text = "".join(line.text for line in plugin.client.logs(process, streams=("stdout",)))
    assert text.startswith("hello at http://127.0.0.1:")


def test_nothing_of_it_stays_in_the_runtime_folder_nor_beyond_its_row(plugin: Home) -> None:
    run(plugin, "@scripted", "say=x")
    assert list((plugin.runtime / "agents").iterdir()) == []
    row = plugin.client.processes(all=True)[-1]
    assert list((plugin.state / "agents").glob(f"*-{row.id}"))
    plugin.client.forget(row.id)
    assert not list((plugin.state / "agents").glob(f"*-{row.id}"))
