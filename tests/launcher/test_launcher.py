"""The program that is installed as `aish`: however it is called, it finds its Python and its packages."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from aish.shell.program import VERSION
from tests.lang.test_startup import HEAVY

from .conftest import pip

if TYPE_CHECKING:
    from .conftest import Installed

SHOW = 'printf "%s|" "$AISH_VERSION" "$@"'
WORDS = ("-c", SHOW, "name", "a b", "", "*", "-n")
SHOWN = f"{VERSION}|a b||*|-n|"


def test_wheel_has_it_as_it_is(wheel: Path) -> None:
    """Fault: a console script beside it, which pip would write over it."""
    with zipfile.ZipFile(wheel) as file:
        (name,) = [name for name in file.namelist() if "/scripts/" in name]
        info = next(name for name in file.namelist() if name.endswith("entry_points.txt"))
        assert Path(name).name == "aish"
        assert file.read(name).startswith(b"#!/bin/sh\n")
        assert b"console_scripts" not in file.read(info)


@pytest.mark.parametrize("way", ["absolute", "relative", "here", "path", "relative path", "sh"])
def test_every_way_to_call_it(way: str, installed: Installed) -> None:
    bin = installed.place / "bin"
    match way:
        case "absolute":
            done = installed.run(bin / "aish", *WORDS)
        case "relative":
            done = installed.run("./an env/bin/aish", *WORDS, cwd=installed.place.parent)
        case "here":
            done = installed.run("./aish", *WORDS, cwd=bin)
        case "path":
            done = installed.run(
                "sh", "-c", 'exec aish "$@"', "sh", *WORDS, env=installed.environ | {"PATH": f"{bin}:/bin"}
            )
        case "relative path":
            env = installed.environ | {"PATH": "bin:/bin"}
            done = installed.run("sh", "-c", 'exec aish "$@"', "sh", *WORDS, env=env, cwd=installed.place)
        case _:
            done = installed.run("sh", "aish", *WORDS, cwd=bin)
    assert (done.stdout, done.stderr, done.returncode) == (SHOWN, "", 0)


@pytest.mark.parametrize("links", [["aish"], ["a", "b", "aish"], ["relative"]])
def test_links_to_it(links: list[str], installed: Installed, tmp_path: Path) -> None:
    """Fault: a Python that lies beside the link is taken for that of the environment."""
    (tmp_path / "python").write_text("#!/bin/sh\necho wrong\n")
    (tmp_path / "python").chmod(0o755)
    target: str | Path = installed.program
    for name in links:
        if name == "relative":
            target = os.path.relpath(target, tmp_path)
        (tmp_path / name).symlink_to(target)
        target = tmp_path / name
    done = installed.run(target, *WORDS)
    assert (done.stdout, done.stderr) == (SHOWN, "")


@pytest.mark.parametrize(
    "tools", [".local/share/uv/tools", ".local/share/pipx/venvs", ".local/pipx/venvs", "data/uv/tools", "tools"]
)
def test_links_of_installers_are_followed_without_a_process(tools: str, installed: Installed, tmp_path: Path) -> None:
    """No program at all is on PATH: only what sh does itself can find the environment."""
    (tmp_path / tools).mkdir(parents=True)
    (tmp_path / tools / "aish-shell").symlink_to(installed.place)
    (tmp_path / "aish").symlink_to(installed.program)
    env = {"PATH": "/nowhere", "HOME": str(tmp_path)}
    env |= {"XDG_DATA_HOME": str(tmp_path / "data")} if tools.startswith("data") else {}
    env |= {"UV_TOOL_DIR": str(tmp_path / "tools")} if tools == "tools" else {}
    done = installed.run(tmp_path / "aish", *WORDS, env=env)
    assert (done.stdout, done.stderr) == (SHOWN, "")


def test_without_a_home(installed: Installed, tmp_path: Path) -> None:
    (tmp_path / "aish").symlink_to(installed.program)
    assert installed.run(tmp_path / "aish", *WORDS, env={"PATH": os.defpath}).stdout == SHOWN


def test_for_all_users(wheel: Path, installed: Installed, tmp_path: Path) -> None:
    """Without an environment of its own: the Python is the one whose folder it lies in."""
    pip("install", "--no-deps", "--no-index", "--ignore-installed", "--prefix", str(tmp_path), str(wheel))
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    folder = tmp_path / "on path"
    folder.mkdir()
    (folder / version).symlink_to(os.path.realpath(sys.executable))
    env = installed.environ | {"PATH": f"{folder}:{os.defpath}"}
    assert installed.run(tmp_path / "bin" / "aish", *WORDS, env=env).stdout == SHOWN
    assert installed.run(tmp_path / "bin" / "aish", *WORDS, env=env).stdout == SHOWN, "with its image"


def test_copy_says_what_is_wrong_with_it(installed: Installed, tmp_path: Path) -> None:
    shutil.copy(installed.program, tmp_path / "aish")
    done = installed.run(tmp_path / "aish", *WORDS)
    assert done.returncode == 127
    assert "no Python found that it belongs to" in done.stderr
    assert "hint: " in done.stderr


@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_cut_off_it_is_an_error(shell: str, installed: Installed) -> None:
    """Fault: started while an installer writes it, it did nothing, said nothing and ended well."""
    if shutil.which(shell) is None:
        pytest.skip(f"needs {shell}")
    whole = installed.program.read_bytes()
    first, end = whole.index(b"\n") + 2, whole.index(b"finally:\n") + len("finally:\n")
    ends = [at for at, byte in enumerate(whole) if byte == 10 and first < at < end]
    copy = installed.program.with_name("cut")
    for at in sorted({first, *ends, *(at + 1 for at in ends), *range(first, end, 61), end - 1} - {end}):
        copy.write_bytes(whole[:at])
        done = installed.run(shell, copy, *WORDS)
        assert done.returncode != 0, whole[:at]
        assert done.stderr != ""
        assert done.stdout == ""
    copy.unlink()


def test_script_that_names_it(installed: Installed, tmp_path: Path) -> None:
    script = tmp_path / "a script"
    script.write_text(f"#!/usr/bin/env aish\n{SHOW}\n[[ $0 == */'a script' ]]\n")
    script.chmod(0o755)
    env = installed.environ | {"PATH": f"{installed.place / 'bin'}:{os.defpath}"}
    done = installed.run(script, *WORDS[3:], env=env)
    assert (done.stdout, done.returncode) == (SHOWN, 0)


def test_script_without_a_name_for_its_shell(installed: Installed, tmp_path: Path) -> None:
    """It is run by the same shell, started as this one was."""
    (tmp_path / "script").write_text('echo $AISH_VERSION; tr "\\0" "\\n" </proc/$$/cmdline\n')
    (tmp_path / "script").chmod(0o755)
    version, *words = installed.out("-c", "./script", cwd=tmp_path).splitlines()
    assert version == VERSION
    assert words == [str(installed.place / "bin" / "python"), "-IS", str(installed.program), "./script"]


def test_called_as_sh(installed: Installed, tmp_path: Path) -> None:
    """Fault: `sh run` in a Makefile is the verb, not the script `run` that lies there."""
    (tmp_path / "sh").symlink_to(installed.program)
    assert "posix          \ton" in installed.run(tmp_path / "sh", "-c", "set -o").stdout
    (tmp_path / "run").write_text("echo the script $0 $1")
    assert installed.run("./sh", "run", "it", cwd=tmp_path).stdout == "the script run it\n"


def test_a_script_finds_its_shell(installed: Installed, tmp_path: Path) -> None:
    """Fault: $BASH is Python, so that `exec "$BASH" "$0"` of a script that wants another start dies."""
    line = 'echo $0 $BASH; "$BASH" -c "echo $((1 + 1))"'
    for program in (installed.program, tmp_path / "sh"):
        if program != installed.program:
            program.symlink_to(installed.program)
        assert installed.run(program, "-c", line).stdout == f"{program} {program}\n2\n"


def test_words_are_bytes(installed: Installed) -> None:
    word = b"\x80\x81\x88\xff\xc3\xa4"
    done = installed.run(bytes(installed.program), b"-c", b'printf %s "$1"', b"n", word, text=False)
    assert (done.stdout, done.stderr) == (word, b"")


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- 2>&-"])
def test_closed_descriptors(closed: str, installed: Installed) -> None:
    """Fault: sh or Python opens this file as somebody's stdin."""
    line = f'"$0" -c \'echo a; ls -l /proc/$$/fd >"$1"\' n listed {closed}'
    done = installed.run("sh", "-c", line, str(installed.program), cwd=installed.home)
    assert done.stdout == ("" if closed == ">&-" else "a\n")
    assert "bin/aish" not in (installed.home / "listed").read_text()


def test_a_folder_as_stdin(installed: Installed) -> None:
    """Fault: `aish <folder` died in Python's start, with its words."""
    done = installed.run("sh", "-c", '"$0" </; "$0" -c "read x; echo \\$?" </', installed.program)
    assert (done.returncode, done.stdout, done.stderr) == (0, "1\n", "")


@pytest.mark.parametrize("ignored", [[], ["PIPE"], ["XFSZ"], ["PIPE", "XFSZ"]])
def test_what_was_ignored_before_python_began_stays_so(ignored: list[str], installed: Installed) -> None:
    """Fault: Python ignores both itself, so that nobody could tell, and programs of a service that ignores SIGPIPE
    died of it."""
    code = """if True:
        import os, signal, sys
        for name in ("PIPE", "XFSZ"):
            ignore = name in sys.argv[1].split()
            signal.signal(getattr(signal, "SIG" + name), signal.SIG_IGN if ignore else signal.SIG_DFL)
        os.execv(sys.argv[2], sys.argv[2:])"""
    line = "trap; trap - PIPE XFSZ; grep SigIgn /proc/self/status; printf %200000s x 2>&- | :; echo $PIPESTATUS"
    done = installed.run(sys.executable, "-c", code, " ".join(ignored), installed.program, "-c", line)
    *traps, status, ended = done.stdout.splitlines()
    assert traps == [f"trap -- '' SIG{name}" for name in ignored]
    bits = sum(1 << (getattr(signal, f"SIG{name}") - 1) for name in ignored)
    assert int(status.split()[1], 16) & 0x7FFFFFFF == bits
    assert ended == "141" or "PIPE" in ignored


def test_environment_of_python_is_for_programs(installed: Installed) -> None:
    """Fault: a PYTHONHOME for somebody else's Python keeps the shell from starting."""
    env = installed.environ | {"PYTHONHOME": "/nowhere", "PYTHONPATH": "/nowhere", "PYTHONINSPECT": "1"}
    assert installed.out("-c", "env | grep ^PYTHON | LC_ALL=C sort", env=env).split() == [
        "PYTHONHOME=/nowhere",
        "PYTHONINSPECT=1",
        "PYTHONPATH=/nowhere",
    ]


def test_variables_of_its_own_stay_inside(installed: Installed) -> None:
    before = set(installed.environ) | {"PWD", "_", "OLDPWD", "SHLVL"}
    names = {line.partition("=")[0] for line in installed.out("-c", "env").splitlines()}
    assert names - before == set()


def test_shell_loads_nothing_of_others(installed: Installed) -> None:
    installed.out("-c", "true")
    names = installed.modules("-c", "x=1; f() { case $x in 1) echo $((x + 1));; esac; }; y=$(printf a); f >/dev/null")
    assert sorted(names & (HEAVY | {"site"})) == []


def test_verbs_find_what_others_installed(installed: Installed, tmp_path: Path) -> None:
    """An agent of a plugin that only a .pth file leads to; so do msgspec and all else that verbs need."""
    package = tmp_path / "some_agents"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "poet.md").write_text("Write a poem.")
    info = tmp_path / "some_agents-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: some-agents\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[aish.agents]\nsome = some_agents\n")
    (installed.packages / "plugin.pth").write_text(f"{tmp_path}\n")
    try:
        assert "poet" in installed.out("agent", "ls")
        assert "poet" in installed.out("-c", "aish agent ls")
        assert "poet" in installed.run(installed.place / "bin" / "python", "-m", "aish", "agent", "ls").stdout
    finally:
        (installed.packages / "plugin.pth").unlink()


def test_editable_install(installed: Installed) -> None:
    """./dev's own: the launcher that lies beside this Python."""
    program = Path(sys.executable).parent / "aish"
    if not program.exists():
        pytest.skip("this Python has no aish installed beside it")
    done = subprocess.run([program, *WORDS], capture_output=True, text=True, env=installed.environ, timeout=60)
    assert (done.stdout, done.stderr) == (SHOWN, "")
