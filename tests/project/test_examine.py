"""A project's files read and checked as a whole: all mistakes of an entry at once, each at its place."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from aish.errors import NotFoundError
from aish.project import profile
from aish.project.declared import Declared, examine
from aish.project.doubt import doubts

if TYPE_CHECKING:
    from pathlib import Path

MANY = """\
[services.n]
command = "x"
kept_fds = 1000
stop = { grace = "5000h" }
sockets = ["bad", "127.0.0.1:0", "127.0.0.1:80", "127.0.0.1:80"]
timeouts = { hook = "9999d", start = "soon" }
restart = { delay = "1h", longest = "1s" }
pty = true
log = "ordered"
limits = { pids = 0, cpus = 9999 }
ready = { tcp = "127.0.0.1:99999" }
needs = [{ name = "n", timeout = "0s" }, "n"]
"""


def told(path: Path, text: str) -> list[str]:
    """What is wrong with it, from the line on."""
    file = path / "aish.toml"
    file.write_text(text)
    found, problems = examine(str(file))
    assert (found is None) is bool(problems)
    return [str(problem).partition("aish.toml:")[2] for problem in problems]


def test_all_mistakes_of_an_entry_are_told_at_once(tmp_path: Path) -> None:
    """Fault: after the first mistake of an entry what only the daemon's check finds was not looked for, and that told
    one mistake a run."""
    assert [line.partition(": expected")[0] for line in told(tmp_path, MANY)] == [
        "3: services.n.kept_fds",
        "4: services.n.stop.grace",
        "5: services.n.sockets[0]",
        "5: services.n.sockets[1]",
        "5: services.n.sockets[3]: the same address twice",
        "6: services.n.timeouts.hook",
        "6: services.n.timeouts.start",
        "7: services.n.restart: the longest delay is shorter than the first",
        "9: services.n.log: what is written to a terminal is in one log and in order anyway",
        "10: services.n.limits.pids",
        "10: services.n.limits.cpus",
        "11: services.n.ready: not a port: 99999",
        "12: services.n.needs[0].timeout",
        "12: services.n.needs[0]: it cannot wait for itself",
        "12: services.n.needs[1]: it cannot wait for itself",
    ]


def test_a_variable_that_is_not_set_hides_no_other_mistake(tmp_path: Path) -> None:
    """Fault: a wrong schedule was told only once NOPE was set; and what is made of such a variable is no mistake of
    its own."""
    text = '[schedules.x]\ncron = "99 * * * *"\ntimezone = "Mars/X"\n'
    lines = told(tmp_path, text + 'command = ["${NOPE}", "${NOPE}"]\nvram = "${NOPE}"\n')
    assert [line.partition(" (")[0] for line in lines] == [
        "2: schedules.x.cron: not a schedule: '99 * * * *'",
        "3: schedules.x.timezone: no time zone is called 'Mars/X'",
        "4: schedules.x.command[0]: the variable NOPE is not set",
        "4: schedules.x.command[1]: the variable NOPE is not set",
        "5: schedules.x.vram: the variable NOPE is not set",
    ]


def test_what_is_made_of_a_wrong_variable_is_told_where_that_is_set(tmp_path: Path) -> None:
    lines = told(tmp_path, '[env]\nA = "${NOPE}"\n[services.s]\ncommand = "${A}"\nvram = "${A}"\n')
    assert lines == ["2: env.A: the variable NOPE is not set"]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('[schedules.s]\ncommand = "x"\ncron = "@daily"\n\ntimezone = "Mars/X"', "5: schedules.s.timezone"),
        ('[services.s]\nshell = "x\\u0000"\n', "2: services.s.shell"),
        ('[models.m]\nurl = "http://me:word@h/v1"\n', "2: models.m.url"),
        ('[models.m]\nurl = "http://h/v1"\nca_file = "c"\nproxy = "http://"\n', "4: models.m.proxy"),
        ('[services.s]\ncommand = "x"\nsecrets.AISH_ID = { file = "x" }\n', "3: services.s.secrets.AISH_ID"),
    ],
)
def test_each_mistake_stands_at_its_own_key(tmp_path: Path, text: str, place: str) -> None:
    """Fault: a wrong time zone was told at the line and key of `cron`."""
    (line,) = told(tmp_path, text)
    assert line.startswith(place)


def test_what_follows_from_a_mistake_is_none(tmp_path: Path) -> None:
    """A command that is wrong is not also missing, a limit that is wrong not also too little to hold it at."""
    text = '[services.s]\ncommand = 3\nready.tcp = 4\nsockets = ["127.0.0.1:80"]\n'
    text += 'limits = { memory = 8, on_oom = "hold" }\n'
    assert [line.partition(" expected")[0] for line in told(tmp_path, text)] == [
        "2: services.s.command:",
        "3: services.s.ready.tcp:",
        "5: services.s.limits.memory:",
    ]


@pytest.mark.parametrize(
    ("most", "more"),
    [
        ('stop.grace = "1h"', 'stop.grace = "3601s"'),
        ('stop.grace = "0s"', 'stop.grace = "-1s"'),
        ("tokens = 0", "tokens = -1"),
        ("budget.usd = 0", "budget.usd = -1"),
        ('timeouts.hook = "3660d"', 'timeouts.hook = "3661d"'),
        ('needs = [{ name = "o", timeout = "3660d" }]', 'needs = [{ name = "o", timeout = "3661d" }]'),
        ('live = { notify = true, every = "0.01s" }', 'live = { notify = true, every = "0.009s" }'),
        ('limits.memory = "64K"', 'limits.memory = "63K"'),
        ("limits.cpus = 0.01", "limits.cpus = 0.009"),
        ("limits.cpus = 4096", "limits.cpus = 4097"),
        ("limits.pids = 4194304", "limits.pids = 4194305"),
        ('log.size = "64K"', 'log.size = "65535"'),
        ('log.age = "1s"', 'log.age = "0.9s"'),
        ("budget.usd = 1000000", "budget.usd = 1000001"),
        ("budget.day.usd = 1000000", "budget.day.usd = 1000001"),
        ("kept_fds = 32", "kept_fds = 33"),
        ("restart.most = 1000", "restart.most = 1001"),
    ],
)
def test_the_bounds_of_the_file_are_those_of_the_daemon(tmp_path: Path, most: str, more: str) -> None:
    """Fault: 'expected a number of seconds above 0' for what is above the bound, which stood nowhere."""
    entry = '[services.o]\ncommand = "x"\n[services.s]\ncommand = "x"\n'
    assert told(tmp_path, entry + most) == []
    (line,) = told(tmp_path, entry + more)
    assert line.startswith("5: services.s.")
    assert "expected" in line


def test_what_is_doubtful_is_told_and_refuses_nothing(tmp_path: Path) -> None:
    """Fault: a folder that is not there, and a key that nobody has set, were accepted without a word."""
    file = tmp_path / "aish.toml"
    file.write_text(
        '[services.s]\ncommand = "x"\ncwd = "later"\nkeys = ["XAI_API_KEY", "OPENAI_API_KY", "XAI_API_KEY2"]\n'
        '[services.fine]\ncommand = "x"\ncwd = "."\nkeys = ["OPENAI_API_KEY"]\n'
    )
    found, problems = examine(str(file))
    assert problems == []
    assert isinstance(found, Declared)
    lines = [
        (str(doubt).partition("aish.toml:")[2], doubt.hint)
        for doubt in doubts(found, {"XAI_API_KEY": "k", "OPENAI_API_KEY": "k", "XAI_API_KEY2": "k"})
    ]
    assert lines == [
        (f"3: services.s.cwd: there is no folder {tmp_path}/later now", "it cannot be started before there is"),
        ("4: services.s.keys[1]: the variable OPENAI_API_KY is not set here", "did you mean OPENAI_API_KEY?"),
    ]


DEFINED = """\
[agents.fix]
instructions = "Mend ${what} it is."
tools = ["read"]
limits = { tokens = "9k", depth = 1 }

[agents.nightly]
agent = "fix"
words = "the build"
"""


def test_an_agent_that_is_defined_here_is_run_by_its_name(tmp_path: Path) -> None:
    """The definition is no process, and a brace in its text no variable."""
    file = tmp_path / "other.toml"  # by --file: nobody else would find what it defines
    file.write_text(DEFINED)
    found, problems = examine(str(file))
    assert problems == []
    assert found is not None
    assert list(found.wanted) == ["nightly"]
    with pytest.raises(NotFoundError, match="fix is an agent, not one of the processes"):
        profile.chosen(found.project, [], ["fix"])
    spec = found.wanted["nightly"].spec
    assert f"{file}#agents.fix".encode() in spec.argv
    assert (spec.budget_tokens, spec.limits and spec.limits.depth) == (9000, 1)
    file.write_text(DEFINED.replace("Mend", "Make"))
    again, _ = examine(str(file))
    assert again is not None
    assert again.wanted["nightly"].spec.digest != spec.digest


def test_what_is_wrong_with_a_definition_is_told_with_the_rest(tmp_path: Path) -> None:
    text = DEFINED.replace("depth = 1", "depht = 1").replace('words = "the build"', "words = 5")
    problems = told(tmp_path, text)
    assert problems[0] == "4: agents.fix.limits.depht: unknown key"
    assert problems[-1].startswith("8: agents.nightly.words: expected words")
    tree = DEFINED.replace('tools = ["read"]', "worktree = true")
    assert "wants a git worktree of its own" in told(tmp_path, tree)[0]
    both = DEFINED + '[agents.y]\nagent = "nobody-here"\n'
    assert told(tmp_path, both) == ["10: agents.y.agent: no agent is called nobody-here"]


def test_devices_without_memory_on_them_are_told_for_an_agent_too(tmp_path: Path) -> None:
    """Who says how much may be the agent's file."""
    with_memory = DEFINED.replace("depth = 1", 'vram = "8G"') + "gpus = 2\n"
    assert told(tmp_path, with_memory) == []
    (problem,) = told(tmp_path, DEFINED + "gpus = 2\n")
    assert problem == "9: agents.nightly.gpus: says nothing without vram"
