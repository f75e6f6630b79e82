"""What a shell loads, inherits and hands on before it has done anything."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tomllib
from typing import TYPE_CHECKING

import pytest

from aish.lang.inherited import PACKED, handed_on, packed, unpack
from aish.shell.program import VERSION
from tests.lang.conftest import ROOT, SHELL

if TYPE_CHECKING:
    from tests.lang.conftest import Aish

HEAVY = {
    "re", "typing", "dataclasses", "enum", "subprocess", "pathlib", "asyncio", "msgspec", "prompt_toolkit", "json",
    "argparse", "signal", "collections", "functools", "contextlib", "importlib", "shutil", "tempfile", "threading",
    "locale", "traceback", "logging", "inspect", "select", "termios", "pwd", "ctypes", "random", "datetime",
}  # fmt: skip


def loaded(argv: list[str], tmp_path: object) -> set[str]:
    """The modules of a fresh interpreter that ran a shell with `argv`."""
    code = (
        f"import sys, os; sys.path.insert(0, {str(ROOT)!r}); from aish.shell import main; "
        "main(sys.argv[1:]); sys.stderr.write(' '.join(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code, *argv], capture_output=True, text=True, cwd=str(tmp_path), timeout=30
    )
    assert done.returncode == 0, done.stderr
    return set(done.stderr.split("\n")[-1].split())


@pytest.mark.parametrize(
    "script", ["true", "x=1; f() { echo $x ${x%1} $((x+1)); }; f a; case x in x) ;; esac", "y=$(printf a); echo $y"]
)
def test_a_command_loads_nothing_heavy(script: str, tmp_path: object) -> None:
    names = loaded(["-c", script], tmp_path)
    assert sorted(names & HEAVY) == []
    assert sorted(name for name in names if name.startswith("aish.")) != []


def test_true_loads_only_what_every_script_needs(tmp_path: object) -> None:
    """Topics that a script does not touch are not loaded: each costs a quarter of a millisecond."""
    names = {name for name in loaded(["-c", "true"], tmp_path) if name.startswith("aish.lang.")}
    lazy = {
        "compile_pipeline",
        "compile_substitution",
        "compile_compound",
        "compile_redirect",
        "arithmetic",
        "glob",
        "diagnose",
        "terminal",
    }
    assert {name.rpartition(".")[2] for name in names} & lazy == set()
    assert {name for name in names if name.startswith("aish.lang.builtins.")} == {"aish.lang.builtins.simple"}


def test_language_knows_nothing_above_it() -> None:
    """Layers: lang imports the root of the errors and itself."""
    for path in (ROOT / "aish" / "lang").rglob("*.py"):
        for line in path.read_text().split("\n"):
            words = line.split()
            if words[:1] in (["from"], ["import"]) and words[1].startswith("aish"):
                assert words[1].startswith(("aish.lang", "aish.error")), f"{path}: {line}"


def test_version_is_the_project_s() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == VERSION


def test_version_is_a_variable_and_not_exported(aish: Aish) -> None:
    assert aish('[ -n "$AISH_VERSION" ] && echo $AISH_VERSION; env | grep AISH_VERSION').out == f"{VERSION}\n"


# ---------------------------------------------------------------------------------- what is inherited


def test_programs_get_no_stray_descriptors(aish: Aish) -> None:
    """From a script file, a pipeline, a substitution, a redirected group and a here-document."""
    script = aish.folder / "s"
    script.write_text(
        "count() { ls /proc/self/fd | tr '\\n' ' '; }\n"
        "ls /proc/self/fd | tr '\\n' ' '\n"
        "echo $(ls /proc/self/fd)\n"
        "{ ls /proc/self/fd; } > f; cat f | tr '\\n' ' '\n"
        "{ ls /proc/self/fd <<E\nx\nE\n} | tr '\\n' ' '\n"
        "exec 7>&1 7>&-; (ls /proc/self/fd) | tr '\\n' ' '\n"
    )
    out = aish.run(["s"]).out.replace("\n", " ")
    assert set(out.split()) == {"0", "1", "2", "3"}  # 3 is the folder that ls reads


def test_user_s_descriptors_are_inherited(aish: Aish) -> None:
    assert aish("exec 5>&1; sh -c 'echo to five >&5'").out == "to five\n"


def test_a_function_of_the_environment_is_shown_alike_before_and_after_its_first_call(aish: Aish) -> None:
    """As bash says it, which counts its lines from 0."""
    environment = aish.environment | {"BASH_FUNC_f%%": "() {  if true\nthen echo $LINENO\nfi\n}"}
    shown = "f () \n{ \n    if true; then\n        echo $LINENO;\n    fi\n}\nf 0 environment\n"
    found = aish("shopt -s extdebug; declare -f f; declare -F f; f; declare -f f; declare -F f", env=environment)
    assert (found.out, found.err) == (f"{shown}1\n{shown}", "")


@pytest.mark.parametrize(
    "handed",
    [
        f"{1:05000} 1 a",  # more digits than Python reads
        "9999999999 1 a",
        "1 99 a",
        "-1 2 ab",
        "0 1 a",
        "\u0661 1 ab",
        "\u00b2 1 ab",
        "a",
        " ",
    ],
)
def test_what_is_not_ours_in_the_variable_of_names_is_left(handed: str, aish: Aish) -> None:
    """Anybody may set it: it was a traceback."""
    found = aish("echo x", env=aish.environment | {PACKED: handed})
    assert (found.out, found.err, found.status) == ("x\n", "", 0)


def test_what_came_by_its_own_name_is_newer() -> None:
    """A shell in between has changed the function: it knows nothing of the second copy."""
    name = "BASH_FUNC_f%%"
    environment = handed_on({name: "() { :; }"}, {name: "() { :; }"}, "/usr/bin/xargs", "/bin/aish")
    assert set(environment) == {name, PACKED}
    environment[name] = "() { changed; }"
    unpack(environment)
    assert environment == {name: "() { changed; }"}


def test_no_second_copy_for_shells_of_others() -> None:
    """Fault: what bash had unset, or made anew, came back as it was (where /bin/sh, the launcher's, is dash)."""
    found = {"BASH_FUNC_f%%": "() { :; }"}
    assert handed_on(found, found, "/bin/bash", "/bin/aish") == found


@pytest.mark.parametrize("name", ["#a", "if", "!", "{", "a;b"])
def test_a_function_of_the_environment_has_a_name_that_is_a_word(name: str, aish: Aish) -> None:
    value = "() { :; }"
    name = f"BASH_FUNC_{name}%%"
    found = aish("declare -F", env=aish.environment | {PACKED: f"{len(name)} {len(value)} {name}{value}"})
    assert (found.out, found.err) == ("", "")


def test_no_second_copy_of_many_functions() -> None:
    """There is a limit to a whole environment; nor is there one of what is no function."""
    for found in ({f"BASH_FUNC_f{n}%%": "x" * 1000 for n in range(150)}, {"a.b": "c"}):
        assert handed_on(found, found, "/usr/bin/xargs", "/bin/aish") == found


def test_names_that_are_handed_on_come_back(aish: Aish) -> None:
    """Under the name that the program looks for, from as many variables as it takes; the rest is not lost."""
    foreign = {f"BASH_FUNC_f{n}%%": f"() {{ echo {n} é; }} # {'é' * 40_000}" for n in range(4)} | {"a.b": "c\nd "}
    long = {"too.long": "x" * 110_000}
    for ours in (False, True):
        environment = packed(foreign | long | {"A": "b"}, foreign | long, ours=ours)
        assert max(len(value.encode()) for value in environment.values()) <= 110_000
        assert ("a.b" in environment) is not ours
        assert environment.items() >= long.items()
        unpack(environment)
        assert environment == foreign | long | {"A": "b"}
    environment = aish.environment | packed(foreign, foreign, ours=True)
    found = aish("f0; f3; echo ${!AISH_FOREIGN*}", env=environment)
    assert (found.out, found.err) == ("0 é\n3 é\n\n", "")


@pytest.mark.parametrize("name", ["PATH", "PATH=/evil:", "LD_PRELOAD", "_x1"])
def test_what_is_handed_on_is_no_variable(name: str, aish: Aish) -> None:
    """Fault: who looked only at the names in an environment, as sudo does, had let any variable pass."""
    environment = aish.environment | {"AISH_FOREIGN": f"{len(name)} 5 {name}/evil3 1 a.bc"}
    found = aish("env", env=environment)
    assert "evil" not in found.out
    assert "a.b=c\n" in found.out


@pytest.mark.parametrize("name", ["g;echo PWN;h", "a b", "a$(b)", "a\nb", "a'b"])
def test_a_function_of_the_environment_has_a_word_for_a_name(name: str, aish: Aish) -> None:
    """Fault: what `declare -F` shows was not what it said."""
    environment = aish.environment | {
        f"BASH_FUNC_{name}%%": "() { echo no; }",
        "BASH_FUNC_a-b.c%%": "() { echo yes; }",
    }
    found = aish("declare -F; a-b.c", env=environment)
    assert (found.out, found.err) == ("declare -fx a-b.c\nyes\n", "")


def _ignored(status: str) -> int:
    line = next(line for line in status.split("\n") if line.startswith("SigIgn"))
    return int(line.split()[1], 16) & 0x7FFFFFFF


@pytest.mark.parametrize("tail", ["", "; :", " | cat"])
def test_programs_get_default_signals(tail: str, aish: Aish) -> None:
    """Python ignores SIGPIPE and SIGXFSZ when it starts; a program that inherited that would never end."""
    assert _ignored(aish(f"cat /proc/self/status{tail}").out) == 0


def test_built_in_dies_of_sigpipe(aish: Aish) -> None:
    running = aish.popen("while :; do echo y; done")
    assert running.stdout is not None
    running.stdout.readline()
    running.stdout.close()
    assert running.wait(20) == -signal.SIGPIPE
    assert running.stderr is not None
    assert running.stderr.read() == b""
    running.stderr.close()


@pytest.mark.parametrize(
    "script", ["grep SigIgn /proc/self/status; :", "(trap 'echo no' INT; trap); kill -INT $$; echo on"]
)
def test_ignored_on_entry_stays_ignored(script: str, aish: Aish) -> None:
    code = "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_IGN); os.execv(sys.argv[1], sys.argv[1:])"
    done = subprocess.run(
        [sys.executable, "-c", code, *SHELL, "-c", script],
        capture_output=True, text=True, env=aish.environment, timeout=60, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    if "SigIgn" in script:
        assert _ignored(done.stdout) == 1 << (signal.SIGINT - 1)
    else:
        assert done.stdout == "trap -- '' SIGINT\non\n"


@pytest.mark.parametrize(
    ("given", "seen"),
    [
        ({}, ""),
        ({"LANG": "C"}, "LANG=C\n"),
        ({"LC_CTYPE": "C.UTF-8"}, "LC_CTYPE=C.UTF-8\n"),
        ({"LC_CTYPE": "C"}, "LC_CTYPE=C\n"),
        ({"LC_CTYPE": "POSIX", "LANG": "C.UTF-8"}, "LANG=C.UTF-8\nLC_CTYPE=POSIX\n"),
        ({"LC_ALL": "C"}, "LC_ALL=C\n"),
    ],
)
def test_locale_that_python_added_is_taken_out(given: dict[str, str], seen: str, aish: Aish) -> None:
    environment = {"PATH": os.environ["PATH"], **given}
    assert aish("env | grep -E '^(LC_|LANG)' | LC_ALL=C sort", env=environment).out == seen


def test_environment_is_handed_on(aish: Aish) -> None:
    """Names that no variable can have included."""
    environment = aish.environment | {"A_B": "x y", "EMPTY": "", "no.name": "z"}
    out = aish('env | grep -E "^(A_B|EMPTY|PWD|no.name)=" | LC_ALL=C sort', env=environment).out
    assert out == f"A_B=x y\nEMPTY=\nPWD={aish.folder}\nno.name=z\n"


def test_false_pwd_is_not_believed(aish: Aish) -> None:
    assert aish('echo "$PWD"', env=aish.environment | {"PWD": "/"}).out == f"{aish.folder}\n"


def test_an_option_of_shopt_without_a_name_lists_them(aish: Aish) -> None:
    """-O and +O, which were an error: then what is on stdin is run."""
    shown = aish.run(["-O"], input=b"echo here\n")
    assert shown.out.startswith("autocd         \toff\n")
    assert shown.out.endswith("\nhere\n")
    assert aish.run(["+O"]).out == aish("shopt -p").out
    assert aish.run(["-O", "nosuch", "-c", ":"]).status == 2
