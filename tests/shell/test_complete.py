"""What completion is asked for and what it offers."""

from __future__ import annotations

import errno
import os
import signal
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document

from aish.lang.evaluate import run_source
from aish.lang.host import NoHost
from aish.lang.job import Job
from aish.lang.runtime import Runtime
from aish.lang.source import Source
from aish.shell.companion.answers import Answers
from aish.shell.companion.link import Link
from aish.shell.companion.work import serve
from aish.shell.complete import COMMAND, FILE, VARIABLE, VERB, candidates, questions, situation, written_as
from aish.shell.completer import ShellCompleter, _offers
from aish.shell.specified import specified

if TYPE_CHECKING:
    from pathlib import Path

    from aish.shell.companion.answers import After, Names
    from aish.shell.complete import Situation


@pytest.mark.parametrize(
    ("line", "kind", "written"),
    [
        ("", COMMAND, ""),
        ("ec", COMMAND, "ec"),
        ("echo a; l", COMMAND, "l"),
        ("a | b", COMMAND, "b"),
        ("a |= te", COMMAND, "te"),
        ("if tr", COMMAND, "tr"),
        ("x=1 c", COMMAND, "c"),
        ("$(l", COMMAND, "l"),
        ("ls ", FILE, ""),
        ("ls a", FILE, "a"),
        ("ls a\\ b", FILE, "a b"),
        ("cat 'a b", FILE, "a b"),
        ('cat "a b/c', FILE, "a b/c"),
        ("cat < in", FILE, "in"),
        ("cat 2> err", FILE, "err"),
        ("./scr", COMMAND, "./scr"),
        ("echo $HO", VARIABLE, "HO"),
        ('echo "${PA', VARIABLE, "PA"),
        ("aish ", VERB, ""),
        ("aish sp", VERB, "sp"),
        ("aish ./s", FILE, "./s"),
        ("aish spawn x", FILE, "x"),
        ("@sum", COMMAND, "@sum"),
        ("aish kill @s", FILE, "@s"),
    ],
)
def test_situation(line: str, kind: str, written: str) -> None:
    found = situation(line)
    assert (found.kind, found.written) == (kind, written)
    assert 0 <= found.start <= len(line)


@given(st.text("ab $'\"\\(){}|;&<>=~@/\n", max_size=30))
@settings(max_examples=400, deadline=None)
def test_any_line_has_a_situation(line: str) -> None:
    """Tab must never raise into the prompt."""
    found = situation(line)
    assert 0 <= found.start <= len(line)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("notes.txt", "no way", ".hidden", "tool"):
        (tmp_path / name).write_text("")
    (tmp_path / "tool").chmod(0o755)
    (tmp_path / "nested").mkdir()
    (tmp_path / "nested" / "inner.txt").write_text("")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def answers(
    rt: Runtime, wanted: Situation, verbs: list[str], names: Names = list, after: After = lambda w, p: None
) -> dict[str, object]:
    """What the companion would say, asked directly."""
    table = Answers(names, after).table()
    here = os.getcwd()
    try:
        return {what: table[what](**fields) for what, fields in questions(rt, wanted, verbs)}
    finally:
        os.chdir(here)


def offered(line: str, **variables: str) -> list[str]:
    rt = Runtime(NoHost(), {"PATH": os.getcwd(), "PWD": os.getcwd(), **variables})
    verbs = ["spawn", "ps", "stop"]
    wanted = situation(line)
    found = candidates(rt, wanted, verbs, answers(rt, wanted, verbs, lambda: ["summarise", "@model"]))
    return [word for word, _ in found]


def test_files(folder: Path) -> None:
    assert offered("cat n") == ["nested/", "no way", "notes.txt"]
    assert offered("cat nested/") == ["nested/inner.txt"]
    assert offered("cat .h") == [".hidden"]
    assert offered("cat nosuch/") == []
    assert offered(f"cat {folder}/not") == [f"{folder}/notes.txt"]


def test_the_folder_above(folder: Path) -> None:
    assert offered("cd ..") == ["../"]
    assert offered("cd nested/..") == ["nested/../"]


@pytest.mark.parametrize(
    ("line", "completed"),
    [
        ("cat $MY/nested/in", "cat $MY/nested/inner.txt"),
        ("cat ${MY}/no\\ ", "cat ${MY}/no\\ way"),
        ('cat "$MY"/not', 'cat "$MY"/notes.txt'),
        ('cat "$MY/no w', 'cat "$MY/no way'),
        ("cat < $MY/nest", "cat < $MY/nested/"),
        ("$MY/too", "$MY/tool"),
        ("cat \\$MY/not", None),
        ("cat '$MY/not", None),
        ("cat $NONE/not", None),
        ("cat $1/not", None),
    ],
)
def test_a_path_behind_a_variable(folder: Path, line: str, completed: str | None) -> None:
    """It was looked for in a folder named $MY. The variable stays in the line."""
    rt = Runtime(NoHost(), {"PATH": os.getcwd(), "PWD": os.getcwd(), "MY": str(folder)})
    wanted = situation(line)
    found = candidates(rt, wanted, [], answers(rt, wanted, []))
    assert [line[: wanted.start] + written_as(word, wanted) for word, _ in found] == (
        [completed] if completed else []
    )


def test_fish_is_asked_for_the_word_as_it_is_quoted(folder: Path) -> None:
    """Behind `no\\ ` it saw an empty word, and offered every file."""
    rt = Runtime(NoHost(), {"PATH": os.getcwd(), "PWD": os.getcwd()})
    assert dict(questions(rt, situation("cat no\\ "), []))["fish"]["line"] == "cat no\\ "


@pytest.mark.parametrize(
    ("alias", "line"),
    [
        ("git status -s", "git status -s --sh"),
        ("ls --color=auto", "ls --color=auto --sh"),
        ("cd x; ls", "a --sh"),
        ("", "a --sh"),
        (" ", "a --sh"),
    ],
)
def test_options_behind_an_alias_are_those_of_its_command(folder: Path, alias: str, line: str) -> None:
    rt = Runtime(NoHost(), {"PATH": os.getcwd(), "PWD": os.getcwd()})
    rt.aliases["a"] = alias
    asked = dict(questions(rt, situation("a --sh"), []))
    assert asked["fish"]["line"] == line
    assert asked["options"]["words"] == line.split()[:-1]


def test_names_are_shown_whole_but_for_the_folder_that_is_written(folder: Path) -> None:
    """Of the branch feature/x, which fish knows, only x was to be seen."""
    for written, word, shown in [
        ("", "feature/x", "feature/x"),
        ("feature/", "feature/x", "x"),
        ("~/a/", "~/a/b/", "b/"),
        ("ne", "nested/", "nested/"),
    ]:
        (found,) = _offers([word], [word], 0, written, " ")
        assert found.display_text == shown


def test_commands(folder: Path) -> None:
    assert offered("too") == ["tool"]
    assert "notes.txt" not in offered("no")
    assert {"echo", "exit", "export"} <= set(offered("e"))
    assert "while" in offered("wh")
    assert offered("./t") == ["./tool"]
    assert offered("./n") == ["./nested/"]


def test_names_verbs_variables(folder: Path) -> None:
    assert offered("@") == ["@model", "@summarise"]
    assert offered("aish stop @s") == ["@summarise"]
    assert offered("aish s") == ["spawn", "stop"]
    assert offered("echo $MY", MY_ONE="", MY_TWO="") == ["MY_ONE", "MY_TWO"]


def after(words: list[str], written: str) -> list[tuple[str, str]] | None:
    """What the command line above would say."""
    return [(" ".join(words), written)] if words[0] == "stop" else None


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("aish stop ", [("stop", "")]),
        ("echo x; aish stop a --", [("stop a", "--")]),
        ("stop x", [("stop", "x")]),  # the short form
        ("aish stop x > n", [("nested/", ""), ("no way", ""), ("notes.txt", "")]),
        ("aish spawn no", [("no way", ""), ("notes.txt", "")]),
        ("other no", [("no way", ""), ("notes.txt", "")]),
    ],
)
def test_behind_a_verb(folder: Path, line: str, found: list[tuple[str, str]]) -> None:
    """It offered files, whatever the verb was for."""
    rt = Runtime(NoHost(), {"PWD": str(folder)})
    run_source(rt, Source("short forms", "stop() { aish stop; }; other() { :; }"))
    wanted, verbs = situation(line), ["spawn", "stop"]
    assert candidates(rt, wanted, verbs, answers(rt, wanted, verbs, after=after)) == found


def test_a_verb_s_options_are_asked_for_once(folder: Path) -> None:
    asked = folder / "asked"

    def told(words: list[str], written: str) -> list[tuple[str, str]]:
        asked.write_text((asked.read_text() if asked.exists() else "") + f"{words} {written}\n")
        return [("--budget", "tokens"), ("--name", "")]

    link = Link(lambda fd: serve(fd, Answers(list, told).table()))
    completer = ShellCompleter(Runtime(NoHost(), {}), link, ["spawn"])
    for _ in range(2):
        found = list(completer.get_completions(Document("aish spawn --bu"), CompleteEvent()))
        assert [(it.text, it.display_meta_text) for it in found] == [("--budget ", "tokens")]
    assert asked.read_text() == "['spawn'] -\n"
    link.close()


def test_jobs_by_their_numbers() -> None:
    rt = Runtime(NoHost(), {})
    job = Job("sleep 100")
    job.add(os.getpid())
    rt.jobs.register(job)
    wanted = situation("fg %")
    assert questions(rt, wanted, []) == []
    assert candidates(rt, wanted, [], {}) == [("%1", "Running: sleep 100")]


def test_options_of_a_program(folder: Path) -> None:
    rt = Runtime(NoHost(), {"PATH": "/usr/bin:/bin", "PWD": str(folder)})
    wanted = situation("sleep --h")
    assert ("--help", "display this help and exit") in candidates(rt, wanted, [], answers(rt, wanted, []))


def test_states_stand_beside_names(folder: Path) -> None:
    rt = Runtime(NoHost(), {"PWD": str(folder)})
    wanted = situation("kill @s")
    found = answers(rt, wanted, [], lambda: ["@sum"], lambda words, written: [("@sum", "running")])
    assert candidates(rt, wanted, [], found) == [("@sum", "running")]


@pytest.mark.parametrize(
    ("line", "word", "written"),
    [
        ("cat n", "no way", "no\\ way"),
        ("cat 'n", "it's", "it'\\''s"),
        ('cat "n', 'a"$b', 'a\\"\\$b'),
        ("cat ~", "~/a b", "~/a\\ b"),
        ("cat n", "a\nb", "$'a\\nb'"),
        ("echo $n", "name", "name"),
    ],
)
def test_what_is_inserted_reads_back_as_the_word(line: str, word: str, written: str) -> None:
    assert written_as(word, situation(line)) == written


@pytest.mark.parametrize(
    ("line", "behind", "added"),
    [
        ("cat notes", "", ".txt "),
        ("cat 'no w", "", "ay' "),
        ('cat "no w', "", 'ay" '),
        ("cat 'no w", "' x", "ay"),
        ("cat 'nes", "", "ted/"),
        ("echo ${MY_", "", "ONE} "),
        ("echo ${MY_", "}", "ONE"),
        ('echo "$MY_', "", 'ONE" '),
        ('echo "${MY_', "", 'ONE}" '),
        ("echo ${A:-$MY_", "", "ONE"),
        ("echo $MY_", "", "ONE "),
    ],
)
def test_a_word_ends_behind_its_quotes(folder: Path, line: str, behind: str, added: str) -> None:
    """The blank was put into the name."""
    link = Link(lambda fd: serve(fd, Answers(list, lambda words, written: None).table()))
    completer = ShellCompleter(Runtime(NoHost(), {"PWD": str(folder), "PATH": "", "MY_ONE": ""}), link, ["spawn"])
    (found,) = completer.get_completions(Document(line + behind, len(line)), CompleteEvent())
    link.close()
    assert line[: len(line) + found.start_position] + found.text == line + added


@pytest.mark.parametrize(
    ("setup", "line", "words"),
    [
        ("complete -W 'one two' p", "p ", ["one", "two"]),
        ("complete -W 'one two' -D", "p t", ["two"]),
        ("complete -W 'one two' -D", "aish st", None),
        ("complete -W 'one two' -D", "aish stop t", None),
        ("complete -W 'one two' -D; complete -W three aish", "aish t", ["three"]),
        ("complete -W one -E", "", ["one"]),
        ("complete -W one -E", "o", None),
        ("complete -W one -I", "x; o", ["one"]),
        (
            'f() { COMPREPLY=("$1:$2:$3:${#COMP_WORDS[@]}:$COMP_CWORD"); }; complete -F f -E',
            "",
            ["_EmptycmD_:::0:-1"],
        ),
        ("f() { exec 3> x 4> x 5> x 6> x 7> x 8> x 9> x; COMPREPLY=(right); }; complete -F f p", "p ", ["right"]),
    ],
)
def test_what_is_specified(folder: Path, setup: str, line: str, words: list[str] | None) -> None:
    """Whatever a function leaves behind or opens."""
    rt = Runtime(NoHost(), {"PWD": str(folder), "PATH": "/usr/bin:/bin"})
    run_source(rt, Source("setup", setup))
    completer = ShellCompleter(rt, Link(lambda fd: None), ["stop"])
    found = completer._specified(Document(line), situation(line))
    assert (None if found is None else [one.text.rstrip() for one in found]) == words


def test_a_copy_that_a_function_leaves_behind_is_not_waited_for(folder: Path) -> None:
    """Fault: it holds the pipe of the answer open, and Tab takes until the deadline, or gives nothing."""
    rt = Runtime(NoHost(), {"PWD": str(folder), "PATH": "/usr/bin:/bin"})
    os.mkfifo(folder / "gate")
    run_source(rt, Source("setup", f"cd {folder}; f() {{ {{ : <gate; }} & COMPREPLY=(now); }}; complete -F f p"))
    found = specified(rt, situation("p "), "p ", 60.0)
    with open(folder / "gate", "w"):
        """It goes on, and ends."""
    assert found is not None
    assert found.words == ["now"]


def test_no_room_for_what_is_specified(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tab says nothing then, and leaves nothing open; nor does it where the system takes children's ends itself."""
    rt = Runtime(NoHost(), {})
    run_source(rt, Source("setup", "complete -W one p"))
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        found = specified(rt, situation("p "), "p ", 1.0)
    finally:
        signal.signal(signal.SIGCHLD, before)
    assert found is not None
    assert found.words == ["one"]
    opened = os.listdir("/proc/self/fd")

    def full() -> int:
        raise OSError(errno.EAGAIN, "no room")

    monkeypatch.setattr(os, "fork", full)
    assert specified(rt, situation("p "), "p ", 1.0) is None
    assert os.listdir("/proc/self/fd") == opened
