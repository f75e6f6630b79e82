"""What completion is asked for and what it offers."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document

from aish.lang.evaluate import run_source
from aish.lang.host import NoHost
from aish.lang.runtime import Runtime
from aish.lang.source import Source
from aish.shell.complete import COMMAND, FILE, VARIABLE, VERB, candidates, described, situation, written_as
from aish.shell.prompt import ShellCompleter

if TYPE_CHECKING:
    from pathlib import Path


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


def offered(line: str, **variables: str) -> list[str]:
    rt = Runtime(NoHost(), {"PATH": os.getcwd(), **variables})
    return candidates(rt, situation(line), ["spawn", "ps", "stop"], lambda: ["summarise", "@model"])


def test_files(folder: Path) -> None:
    assert offered("cat n") == ["nested/", "no way", "notes.txt"]
    assert offered("cat nested/") == ["nested/inner.txt"]
    assert offered("cat .h") == [".hidden"]
    assert offered("cat nosuch/") == []
    assert offered(f"cat {folder}/not") == [f"{folder}/notes.txt"]


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
    rt = Runtime(NoHost(), {})
    run_source(rt, Source("short forms", "stop() { aish stop; }; other() { :; }"))
    assert described(rt, situation(line), ["spawn", "stop"], list, after) == found


def test_a_verb_s_options_are_asked_for_once(folder: Path) -> None:
    asked = folder / "asked"

    def told(words: list[str], written: str) -> list[tuple[str, str]]:
        asked.write_text((asked.read_text() if asked.exists() else "") + f"{words} {written}\n")
        return [("--budget", "tokens"), ("--name", "")]

    completer = ShellCompleter(Runtime(NoHost(), {}), None, ["spawn"], told)
    for _ in range(2):
        found = list(completer.get_completions(Document("aish spawn --bu"), CompleteEvent()))
        assert [(it.text, it.display_meta_text) for it in found] == [("--budget", "tokens")]
    assert asked.read_text() == "['spawn'] -\n"


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
