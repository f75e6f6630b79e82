"""What people read when something is wrong: place, line, caret, hint, exit status; never a traceback."""

from __future__ import annotations

import os
import random
import subprocess
from typing import TYPE_CHECKING

import pytest

from aish.lang.diagnose import excerpt
from tests.lang.conftest import SHELL

if TYPE_CHECKING:
    from tests.lang.conftest import Aish


def test_syntax_error_is_shown_with_its_line(aish: Aish) -> None:
    (aish.folder / "build").write_text("echo one\nif true; then\n  echo two\ndone\n")
    found = aish.run(["build"])
    assert found.out == "one\n"
    assert found.status == 2
    assert found.err == (
        "build:4:1: unexpected 'done', 'fi' expected\n  done\n  ^~~~\n  hint: inside 'if' of line 2\n"
    )


@pytest.mark.parametrize("words", [["-n", "s"], ["-n"], ["-n", "-c"]])
def test_who_only_looks_is_told_every_error(words: list[str], aish: Aish) -> None:
    """Fault: the parser had a list of them, and `aish -n` showed the first."""
    text = "echo a )\nif true; then\n  echo two\ndone\necho fine\necho b | | c\n"
    (aish.folder / "s").write_text(text)
    found = aish.run([*words, text] if "-c" in words else words, stdin=(aish.folder / "s").open())
    places = [line.split(": ")[0].split(":", 1)[1] for line in found.err.splitlines() if line[:1] != " "]
    assert (found.out, found.status, places) == ("", 2, ["1:8", "4:1", "6:10"])
    assert found.err.count("^") == 3


def test_an_endless_list_of_errors_ends(aish: Aish) -> None:
    found = aish.run(["-n", "-c", "fi\n" * 5000])
    assert (found.status, found.err.count("-c:")) == (2, 100)


def test_command_not_found_is_shown_with_its_line(aish: Aish) -> None:
    (aish.folder / "run").write_text("true\n  nosuch --flag x\n")
    found = aish.run(["run"])
    assert found.status == 127
    assert found.err == "run:2:3: nosuch: command not found\n    nosuch --flag x\n    ^~~~~~~~~~~~~~~\n"


def test_unset_parameter_points_at_the_expansion(aish: Aish) -> None:
    found = aish('set -u\necho "a $nosuch"')
    assert found.status == 127  # as in bash, for the end of -c
    assert found.err.split("\n")[:3] == [
        "-c:2:9: nosuch: parameter not set",
        '  echo "a $nosuch"',
        "          ^~~~~~~",
    ]


@pytest.mark.parametrize(
    ("script", "status", "message"),
    [
        ("/", 126, "/: is a directory"),
        ("./plain", 126, "./plain: Permission denied"),
        ("./nosuch", 127, "./nosuch: No such file or directory"),
        ("./orphan", 127, "./orphan: its interpreter is missing: /nosuch/interpreter\n"),
        ("./windows", 127, "/bin/sh\n  ./windows\n  ^~~~~~~~~\n  hint: its lines end as on Windows"),
        ("plain/x", 126, "plain/x: Not a directory"),
        ("./binary", 126, ": ./binary: cannot execute a binary file"),
        ("true\r", 127, ": true?: command not found\n  true?\n  ^~~~~\n  hint: its lines end as on Windows"),
        ("if true\r\nthen\r\necho\r\nfi\r\n", 2, "hint: its lines end as on Windows"),
        ("plain", 127, "plain: command not found"),
        ("''", 127, ": command not found"),
        ("cd /nosuch", 1, "cd: /nosuch: No such file or directory"),
        ("cd a b", 1, "cd: too many arguments"),
        ("set -o nosuch", 2, "set: nosuch: no such option"),
        ("set -Z", 2, "set: -Z: no such option"),
        ("readonly x=1; x=2", 1, "x: readonly variable"),
        ("export 1x=2", 1, "export: 1x=2: not a variable's name"),
        (". ./nosuch", 1, ".: ./nosuch: No such file or directory"),
        ("exit a", 2, "exit: a: a number expected"),
        ("echo ${x?missing it}", 127, "x: missing it"),
        ("echo ${x@Z}", 1, "bad substitution"),
        ("echo hi > /nosuch/f", 1, "/nosuch/f: No such file or directory"),
        ("echo hi >&9", 1, "9: Bad file descriptor"),
        ("[ 1 -eq x ]", 2, "x: a whole number expected"),
        ("fg", 1, "no job control here"),
        ("wait abc", 1, "abc: a process id or %job expected"),
        ("printf %y", 1, "%y: not a conversion"),
        ("echo hi > /dev/full", 1, "echo: write error: No space left on device"),
        ("eval 'echo (a'", 2, "eval:1:6: unexpected '('"),
    ],
)
def test_messages(script: str, status: int, message: str, aish: Aish) -> None:
    (aish.folder / "plain").write_text("echo no\n")
    texts = {"orphan": "#!/nosuch/interpreter -x\n", "windows": "#!/bin/sh\r\n", "binary": "\x7fBIN\0\0\n"}
    for name, text in texts.items():
        (aish.folder / name).write_bytes(text.encode())
        (aish.folder / name).chmod(0o755)
    found = aish(script)
    assert message in found.err
    assert found.status == status
    assert "Traceback" not in found.err


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("local a=(1) b=(2)", "local: no function is running"),
        ("declare -A m; declare -a m=(1) b=(2)", "cannot become an indexed one"),
        ("declare -Z c=(1) d=(2)", "unknown option"),
        ("declare a=(1) -x b=(2)", "-x: not a variable's name"),
    ],
)
def test_lists_that_are_declared_fail_once(script: str, message: str, aish: Aish) -> None:
    """Each is assigned in its turn, and then the built-in runs: the fault was told by all of them."""
    assert aish(script).err.count(message) == 1


def test_unknown_option_of_the_shell(aish: Aish) -> None:
    found = aish.run(["-Q"])
    assert found.status == 2
    assert found.err == "aish: -Q: unknown option\n  hint: aish --help lists them\n"


def test_runaway_recursion_is_an_error(aish: Aish) -> None:
    found = aish("f() { f; }; f; echo no", timeout=60)
    assert (found.out, found.status) == ("", 1)
    assert "more than 2000 calls within each other" in found.err


@pytest.mark.parametrize("script", ["f() { if true; then { ( : ); g; } fi; }; g() { case x in x) f;; esac; }; f"])
def test_recursion_through_compound_commands(script: str, aish: Aish) -> None:
    assert "more than 2000 calls" in aish(script.replace("( : ); ", ""), timeout=60).err


def test_runaway_eval_and_source(aish: Aish) -> None:
    (aish.folder / "self").write_text(". ./self\n")
    for script in ('x=\'eval "$x"\'; eval "$x"', ". ./self"):
        found = aish(script, timeout=60)
        assert "more than 2000 calls within each other" in found.err
        assert found.status == 1


def test_deep_recursion_that_ends_works(aish: Aish) -> None:
    assert aish("f() { [ $1 -gt 0 ] && f $(($1 - 1)) || echo bottom; }; f 900", timeout=60).out == "bottom\n"


def test_binary_file_is_refused(aish: Aish) -> None:
    (aish.folder / "b").write_bytes(b"\x7fELF\2\1\1\0\0\0" + random.Random(1).randbytes(2000))
    found = aish.run(["b"])
    assert found.status == 126
    assert "a binary file, not a script" in found.err


def test_nul_in_a_word_is_refused(aish: Aish) -> None:
    (aish.folder / "n").write_bytes(b"echo ok\necho a\0b\n")
    found = aish.run(["n"])
    assert (found.out, found.status) == ("ok\n", 2)
    assert "n:2:6: a NUL byte in a word" in found.err


@pytest.mark.parametrize("seed", range(6))
def test_junk_on_stdin_is_told(seed: int, aish: Aish) -> None:
    junk = random.Random(seed).randbytes(3000).replace(b"\n", b"").replace(b">", b"")
    found = aish.run([], input=b"(" + junk)
    assert found.status != 0
    assert "Traceback" not in found.err
    assert "a fault in aish" not in found.err


def test_script_may_carry_an_archive(aish: Aish) -> None:
    """What stands behind `exit` is not read, whatever it is and however much."""
    (aish.folder / "s").write_bytes(b"echo before\nexit 0\n" + os.urandom(1 << 20))
    found = aish.run(["s"])
    assert (found.out, found.err, found.status) == ("before\n", "", 0)


@pytest.mark.parametrize(
    "script",
    [
        "echo a | cat | cat",
        "x=$(cat /dev/null)",
        "echo no > f",
        "echo <<< no",
        "{ echo no; } > f",
        ": | @x",
        "true |= true",
    ],
)
def test_no_descriptors_left(script: str, aish: Aish) -> None:
    """A script that used them up is told so, fails, and goes on."""
    text = f"echo start\nexec 3<&0\n{script}\necho status $?"
    done = subprocess.run(
        ["sh", "-c", 'ulimit -n 4; exec "$@"', "sh", *SHELL, "-c", text],
        capture_output=True, text=True, env=aish.environment, cwd=aish.folder, timeout=60,
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    assert "a fault in aish" not in done.stderr
    assert "Too many open files" in done.stderr or "no descriptor" in done.stderr or "cannot" in done.stderr
    assert done.stdout.startswith("start\nstatus ")
    assert done.stdout != "start\nstatus 0\n"


def test_missing_script(aish: Aish) -> None:
    found = aish.run(["./nosuch.aish"])
    assert found.status == 127
    assert "./nosuch.aish: No such file or directory" in found.err
    found = aish.run(["nosuch.aish"])
    assert found.status == 127
    assert "nosuch.aish: neither a verb nor a script" in found.err


def test_long_lines_are_cut_around_the_place() -> None:
    shown, caret = excerpt("x" * 500 + "HERE" + "y" * 500, 501, 4)
    assert len(shown) < 200
    at = caret.index("^")
    assert shown[at : at + 4] == "HERE"
    assert caret[at:] == "^~~~"


def test_excerpt_keeps_tabs_and_hides_control_characters() -> None:
    assert excerpt("\t\x1b[31mfi", 7, 2) == ["  \t?[31mfi", "  \t     ^~"]


@pytest.mark.parametrize("text", ["a\xc3\xa9", "\udcff\udcfe", "日本語"])
def test_any_text_can_be_shown(text: str, aish: Aish) -> None:
    found = aish(f"fi {text}".encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape"))
    assert found.status == 2
    assert "unexpected 'fi'" in found.err
