"""`set -e`: what ends the shell and what does not, in every position; and what errors of special built-ins end."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.lang.conftest import Aish

BASH, DASH = shutil.which("bash"), shutil.which("dash")
FAILING = [
    "false",
    "(exit 3)",
    "{ false; }",
    "f",
    "nosuch 2>/dev/null",
    "x=$(false)",
    "true | false",
    "eval false",
    "! true",
    "case x in x) false;; esac",
    "if true; then false; fi",
    "for i in 1; do false; done",
    "cat </nosuch",
    "{ :; } </nosuch",
    "(set +e; false)",
    "while true; do false; break; done",
    ". ./no",
]
FRAMES = [
    "{}",
    "{} || true",
    "{} && true",
    "true && {}",
    "if {}; then :; fi",
    "while {}; do break; done",
    "! {}",
    "({})",
    "{{ {}; }}",
    "until {}; do break; done",
    "g() {{ {}; echo in; }}; g",
    "g() {{ {}; echo in; }}; g || true",
    "x=$(echo; {})",
    "{} | cat",
    "({}) || true",
    "if ! {}; then :; fi",
    "eval '{}'",
    "case a in a) {};; esac",
]


def oracle(shell: str | None, text: str, aish: Aish) -> subprocess.CompletedProcess[bytes]:
    assert shell is not None
    where = {"cwd": aish.folder, "env": aish.environment}
    return subprocess.run([shell, "-c", text], capture_output=True, check=False, timeout=60, **where)


@pytest.mark.skipif(None in (BASH, DASH), reason="needs bash and dash, which are the oracles")
@pytest.mark.parametrize("frame", FRAMES)
def test_as_bash_and_dash(frame: str, aish: Aish) -> None:
    """Compared where the two agree: nearly everywhere."""
    compared = 0
    for command in FAILING:
        if "'" in command and "'" in frame:
            continue
        text = f"exec 2>/dev/null; f() {{ return 4; }}; set -e\n{frame.format(command)}\necho reached $?\n"
        both = [oracle(shell, text, aish) for shell in (BASH, DASH)]
        if (both[0].stdout, both[0].returncode) != (both[1].stdout, both[1].returncode):
            continue
        compared += 1
        found = aish(text)
        assert (found.out, found.status) == (both[0].stdout.decode(), both[0].returncode), text
    assert compared >= len(FAILING) * 2 // 3


@pytest.mark.parametrize(
    "command", ["((0))", "[[ a == b ]]", "let 0", "for ((;0;)); do :; done; ((0))", "coproc :; false", "time false"]
)
def test_commands_of_bash_end_it_too(command: str, aish: Aish) -> None:
    found = aish(f"set -e; {command}; echo reached")
    assert (found.out, found.status) == ("", 1)
    assert aish(f"set -e; if {command}; then :; fi; {command} || echo on").out == "on\n"


def test_substitutions_are_without_it_but_in_posix_mode(aish: Aish) -> None:
    script = 'set -e; x=$(false; echo z); echo "$x"'
    assert aish(script).out == "z\n"
    assert aish.run(["--posix", "-c", script]).out == ""


@pytest.mark.parametrize(
    "command",
    [
        ": >/nosuch/f",
        "set -o nosuch",
        ". ./nosuch",
        "exec 3</nosuch",
        "export -z",
        "unset -z",
        "trap -z",
        "eval fi",
        "readonly r=1; r=2",
        "readonly r=1; r=2 :",
        "return 5",
        "eval echo >/nosuch/f",
        "echo ${x?}",
        "echo $((1/0))",
    ],
)
def test_errors_of_special_builtins_end_a_posix_shell(command: str, aish: Aish) -> None:
    """And do not end one that is not in posix mode, except where an expansion failed."""
    strict = aish.run(["--posix", "-c", f"{command}; echo reached"])
    assert strict.out == ""
    assert strict.status
    assert strict.err


@pytest.mark.parametrize(
    "command",
    [
        "command : >/nosuch/f",
        "command set -o nosuch",
        "command . ./nosuch",
        "command exec 3</nosuch",
        "command eval fi",
        "{ :; } >/nosuch/f",
        "cd /nosuch",
        "test a b c",
        "f() { :; }; f >/nosuch/f",
        "read 1a </dev/null",
        "(: >/nosuch/f)",
        "trap x NOSUCH",
        "x=$(: >/nosuch/f)",
        "readonly r=1; (r=2)",
        "alias nosuch",
        "false >/nosuch/f",
    ],
)
def test_other_errors_do_not(command: str, aish: Aish) -> None:
    found = aish.run(["--posix", "-c", f"{command}; echo reached"])
    assert found.out == "reached\n"
    assert found.err


def test_noexec_reads_the_rest_and_runs_none_of_it(aish: Aish) -> None:
    assert aish("echo a; set -n; echo b\necho c").out == "a\n"
    found = aish("set -n\necho b\nfi")
    assert (found.out, found.status) == ("", 2)
