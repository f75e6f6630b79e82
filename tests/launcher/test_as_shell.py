"""aish as other programs start their shell: make, git, tmux, Python, a login."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from aish.shell.program import VERSION

if TYPE_CHECKING:
    from .conftest import Installed

DEADLINE_S = 60.0


def needs(program: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"{program} is not installed")


@needs("make")
@pytest.mark.parametrize("by", ["path", "name"])
def test_make(by: str, installed: Installed, tmp_path: Path) -> None:
    (tmp_path / "Makefile").write_text(
        'all: one\n\t@echo $$AISH_VERSION $(words a b)\n\t@[[ a == a* ]] && echo "quo\'ted"; echo x | tr x y\n'
        "\t@-false\none:\n\t@cd / && pwd\n\t@pwd\n"
    )
    env = installed.environ | {"PATH": f"{installed.place / 'bin'}:{os.defpath}", "AISH": str(installed.program)}
    # make looks for a shell's name in PATH; a path with a space is more than it can take
    shell = "aish"
    if by == "path":
        (tmp_path / "shell").symlink_to(installed.program)
        shell = str(tmp_path / "shell")
    done = installed.run("make", "-s", f"SHELL={shell}", cwd=tmp_path, env=env)
    assert done.stdout.splitlines() == ["/", str(tmp_path), f"{VERSION} 2", "quo'ted", "y"]
    assert done.returncode == 0


@needs("git")
def test_git(installed: Installed, tmp_path: Path) -> None:
    """An alias, an editor and a pager, which git gives to a shell as text."""
    (tmp_path / "sh").symlink_to(installed.program)
    env = installed.environ | {"PATH": f"{tmp_path}:{os.defpath}", "SHELL": str(installed.program)}
    env |= {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_PAGER": "sed s/^/paged:/", "GIT_PAGER_IN_USE": "1"}

    def git(*words: str) -> str:
        settings = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", 'alias.say=!f() { echo "said $1"; }; f')
        done = installed.run("git", *settings, *words, cwd=tmp_path, env=env)
        assert done.returncode == 0, done.stderr
        return done.stdout

    git("init", "-q")
    assert git("say", "it's").startswith("said it's")
    git("-c", "core.editor=printf 'a message\\n' >", "commit", "-q", "--allow-empty")
    assert git("log", "--format=%s") == "a message\n"


def test_subprocess_of_python(installed: Installed) -> None:
    done = subprocess.run(
        'echo "$AISH_VERSION" $((6 * 7))', shell=True, executable=installed.program, capture_output=True, text=True,
        env=installed.environ, timeout=60,
    )  # fmt: skip
    assert done.stdout == f"{VERSION} 42\n"


@pytest.mark.parametrize("words", [["-lc"], ["-l", "-c"], ["--login", "-c"]])
def test_command_of_a_login(words: list[str], installed: Installed) -> None:
    """As ssh and programs that want a user's surroundings start it."""
    (installed.home / ".profile").write_text("export OF_PROFILE=yes\n")
    try:
        assert installed.out(*words, "echo $OF_PROFILE $0 $1", "name", "a") == "yes name a\n"
    finally:
        (installed.home / ".profile").unlink()


@pytest.mark.parametrize(
    ("words", "script", "shows"),
    [
        (["-e"], "false; echo no", ""),
        (["-u"], "echo $none; echo no", ""),
        (["-s", "a", "b"], "echo $2", "b\n"),
        (["-c", "echo $1", "n", "x"], "", "x\n"),
        (["-ec", "false; echo no"], "", ""),
        (["-o", "errexit", "-c", "false; echo no"], "", ""),
        (["+e", "-c", "false; echo yes"], "", "yes\n"),
        (["-"], "echo $-", None),
    ],
)
def test_flags(words: list[str], script: str, shows: str | None, installed: Installed) -> None:
    done = installed.run(installed.program, *words, input=script)
    if shows is None:
        assert done.returncode == 0
    else:
        assert done.stdout == shows


@pytest.mark.parametrize(("words", "shows"), [(["-i"], "read\n"), ([], "\n")])
def test_env_is_read_by_an_interactive_shell(words: list[str], shows: str, installed: Installed) -> None:
    (installed.home / "rc").write_text("OF_ENV=read\n")
    env = installed.environ | {"ENV": "$HOME/rc"}
    done = installed.run(installed.program, *words, "-c", "echo $OF_ENV", env=env)
    assert done.stdout == shows


@needs("tmux")
def test_tmux(installed: Installed, tmp_path: Path) -> None:
    """A window of it is a shell at a prompt; tmux starts it as '-aish', which the kernel does not hand on."""
    told = tmp_path / "told"
    os.mkfifo(told)
    env = installed.environ | {"SHELL": str(installed.program), "TMUX_TMPDIR": str(tmp_path)}
    tmux = ("tmux", "-f", "/dev/null", "-L", "t")
    try:
        made = installed.run(*tmux, "new-session", "-d", "-x", "100", "-y", "20", env=env)
        assert made.returncode == 0, made.stderr
        installed.run(*tmux, "send-keys", f"echo $AISH_VERSION $- >{told}", "Enter", env=env)
        reader = subprocess.run(["timeout", str(DEADLINE_S), "cat", told], capture_output=True, text=True)
        assert reader.stdout.startswith(f"{VERSION} "), installed.run(*tmux, "capture-pane", "-p", env=env).stdout
        assert "m" in reader.stdout.split()[1], "job control"
        shown = installed.run(*tmux, "list-panes", "-F", "#{pane_current_command} #{pane_pid}", env=env).stdout
        name, pid = shown.split()
        assert name == "aish", "and not python"
        assert Path(f"/proc/{pid}/comm").read_text() == "aish\n"
    finally:
        installed.run(*tmux, "kill-server", env=env)


def test_another_shell_of_ours_gets_what_dash_would_drop(installed: Installed) -> None:
    """Exported functions: where /bin/sh is dash, it keeps what is no variable's name from the launcher."""
    script = 'f() { echo "in  f $1\n"; }; export -f f; "$0" -c \'f é; echo ${!AISH_FOREIGN*}\''
    assert installed.out("-c", script, installed.program) == "in  f é\n\n\n"


@pytest.mark.parametrize(
    "way", ["env {} -c 'f a'", "echo a | xargs -I@ {} -c 'f @'", "find a -exec {} -c 'f $0' @ \\;"]
)
def test_another_shell_of_ours_by_way_of_a_program(way: str, installed: Installed, tmp_path: Path) -> None:
    """`export -f f; … | xargs bash -c f`, where `bash` is ours: what is in between hands all on, dash does not."""
    (tmp_path / "a").touch()
    (tmp_path / "bash").symlink_to(installed.program)
    script = f"f() {{ echo f $1; }}; export -f f; {way.format('./bash').replace('@', '{}')}"
    assert installed.out("-c", script, cwd=tmp_path) == "f a\n"


def test_many_functions_reach_another_shell_of_ours(installed: Installed) -> None:
    """Linux takes 128 KiB of one variable; and as a second copy, they would be too much for the whole environment."""
    define = "for i in {1..240}; do eval \"f$i() { : '$(printf %5000s x)'; echo $i; }\"; export -f f$i; done; "
    script = define + '"$0" -c \'f1; f240; env | grep -c "^AISH_FOREIGN\\|BASH_FUNC_f.*%%="\''
    assert installed.out("-c", script, installed.program) == "1\n240\n240\n"
