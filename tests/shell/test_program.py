"""The shell's arguments, and where its commands come from."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.lang.conftest import SHELL

if TYPE_CHECKING:
    from tests.lang.conftest import Aish


@pytest.mark.parametrize(
    ("argv", "out"),
    [
        (["-c", "echo $0 $# $1", "name", "a", "b"], "name 2 a\n"),
        (["-c", "echo $0 $#"], "aish 0\n"),
        (["-ec", "false; echo no"], ""),
        (["-e", "-c", "false; echo no"], ""),
        (["-c", "-e", "false; echo no"], ""),
        (["+e", "-c", "false; echo yes"], "yes\n"),
        (["-o", "pipefail", "-c", "false | true; echo $?"], "1\n"),
        (["-eo", "pipefail", "-c", "false | true; echo no"], ""),
        (["-eu", "-o", "pipefail", "-c", "echo $-"], "ehuBc\n"),
        (["-c", "--", "echo $1", "n", "-x"], "-x\n"),
        (["-n", "-c", "echo no"], ""),
        (["--posix", "-c", "set -o | grep posix | tr -d ' \\t'"], "posixon\n"),
        (["-c", ""], ""),
        (["-c", "# nothing"], ""),
        (["-c", "\n\necho a\n\n"], "a\n"),
    ],
)
def test_arguments(argv: list[str], out: str, aish: Aish) -> None:
    found = aish.run(argv)
    assert (found.out, found.err) == (out, "")


@pytest.mark.parametrize("words", [[], ["--posix"]])
def test_what_a_shell_knows_without_an_environment(words: list[str], aish: Aish) -> None:
    """Start-up files ask for the text of -c; programs get neither."""
    script = "declare -p TERM BASH_EXECUTION_STRING; env | grep -e TERM -e EXEC"
    found = aish.run([*words, "-c", script], env={"PATH": aish.environment["PATH"]})
    assert found.out == f'declare -- TERM="dumb"\ndeclare -- BASH_EXECUTION_STRING="{script}"\n'


def test_missing_command_string(aish: Aish) -> None:
    found = aish.run(["-c"])
    assert (found.status, found.err) == (2, "aish: -c: a command expected\n")


def test_script_gets_its_arguments(aish: Aish) -> None:
    (aish.folder / "s").write_text('echo "$0" "$#" "$2"; exit 4\n')
    found = aish.run(["./s", "-e", "b c"])
    assert (found.out, found.status) == ("./s 2 b c\n", 4)


def test_script_is_looked_for_in_path(aish: Aish) -> None:
    (aish.folder / "bin").mkdir()
    (aish.folder / "bin" / "tool").write_text("echo tool\n")
    (aish.folder / "bin" / "tool").chmod(0o755)
    environment = aish.environment | {"PATH": f"{aish.folder}/bin:{aish.environment['PATH']}"}
    assert aish.run(["tool"], env=environment).out == "tool\n"


def test_shebang(aish: Aish) -> None:
    """#!/usr/bin/env aish, with arguments, stdin and a status of its own."""
    assert shutil.which("env") == "/usr/bin/env" or shutil.which("env")
    (aish.folder / "bin").mkdir()
    launcher = aish.folder / "bin" / "aish"
    quoted = " ".join("'" + word.replace("'", "'\\''") + "'" for word in SHELL)
    launcher.write_text(f'#!/bin/sh\nexec {quoted} "$@"\n')
    launcher.chmod(0o755)
    script = aish.folder / "s"
    script.write_text('#!/usr/bin/env aish\nread x\necho "$AISH_VERSION" | grep -c . ; echo "$1 $x"; exit 5\n')
    script.chmod(0o755)
    environment = aish.environment | {"PATH": f"{aish.folder}/bin:{aish.environment['PATH']}"}
    done = subprocess.run([str(script), "arg"], input=b"line\n", capture_output=True, env=environment, timeout=60)
    assert (done.stdout, done.stderr, done.returncode) == (b"1\narg line\n", b"", 5)


@pytest.mark.parametrize("seekable", [True, False])
def test_script_on_stdin_is_also_the_input_of_its_commands(seekable: bool, aish: Aish) -> None:
    text = b'read x\nfirst\necho "got $x"\nhead -n 1\nsecond\nf() {\necho "in f"\n}\nf; cat\nrest 1\nrest 2'
    if seekable:
        (aish.folder / "script").write_bytes(text)
        with (aish.folder / "script").open("rb") as stream:
            found = aish.run([], stdin=stream)
    else:
        found = aish.run([], input=text.replace(b"head -n 1\nsecond\n", b"read y\nsecond\necho $y\n"))
    assert found.out == "got first\nsecond\nin f\nrest 1\nrest 2"


def test_s_takes_positional_parameters(aish: Aish) -> None:
    assert aish.run(["-s", "a", "b"], input=b"echo $# $2\n").out == "2 b\n"


def test_closed_stdin_is_a_script_without_commands(aish: Aish) -> None:
    assert aish('for how in "" -s -; do "$BASH" $how <&-; echo $?; done').out == "0\n0\n0\n"


def test_lines_before_an_error_have_run(aish: Aish) -> None:
    found = aish.run([], input=b"echo one\nfi\necho two\n")
    assert (found.out, found.status) == ("one\n", 2)
    assert found.err.startswith("stdin:2:1: unexpected 'fi'")


def test_login_reads_the_profile(aish: Aish) -> None:
    (aish.folder / ".profile").write_text("from_profile=yes\n")
    assert aish.run(["-lc", "echo $from_profile"]).out.split()[-1:] == ["yes"]
    assert aish.run(["-c", "echo [$from_profile]"]).out == "[]\n"
    assert aish.run(["--noprofile", "-lc", "echo [$from_profile]"]).out == "[]\n"


def test_return_ends_a_start_file(aish: Aish) -> None:
    """`case $- in *i*) ;; *) return ;; esac` stands at the top of many."""
    (aish.folder / ".profile").write_text("echo read\nreturn 3\necho not read\n")
    found = aish.run(["-lc", "echo $?"])
    assert (found.out.split()[-2:], found.err) == (["read", "0"], "")


def test_called_as_sh_it_is_posix(aish: Aish) -> None:
    """|= is our operator only where nobody can expect another shell."""
    (aish.folder / "sh").write_text("")
    code = SHELL[-1].replace("import main", "import main; sys.argv[0] = '/bin/sh'")
    done = subprocess.run(
        [*SHELL[:-1], code, "-c", "echo a |= b"], capture_output=True, text=True, env=aish.environment
    )
    assert "=: command not found" in done.stderr


def test_interactive_by_request_without_a_terminal(aish: Aish) -> None:
    """-i over pipes: prompts on stderr, the configuration is read, the end of the input ends it."""
    config = aish.folder / "config" / "aish"
    config.mkdir(parents=True)
    (config / "config.aish").write_text("PS1='> '; greeting=hello\n")
    environment = aish.environment | {"XDG_CONFIG_HOME": str(aish.folder / "config")}
    found = aish.run(["-i"], input=b"echo $greeting\nfi\nif true\nthen echo two; fi\nexit 3\n", env=environment)
    assert (found.out, found.status) == ("hello\ntwo\n", 3)
    assert found.err.startswith("> aish:1:1: unexpected 'fi'") or "unexpected 'fi'" in found.err


def test_error_in_the_configuration_does_not_keep_the_shell_away(aish: Aish) -> None:
    config = aish.folder / "config" / "aish"
    config.mkdir(parents=True)
    (config / "config.aish").write_text("x=1\nfi\n")
    environment = aish.environment | {"XDG_CONFIG_HOME": str(aish.folder / "config")}
    found = aish.run(["-i"], input=b"echo $x\n", env=environment)
    assert found.out == "1\n"
    assert "config.aish:2:1: unexpected 'fi'" in found.err


def test_errors_in_the_configuration_have_their_places(aish: Aish) -> None:
    """`aish: nosuch: command not found`, and nobody knew in which of four files."""
    config = aish.folder / "config" / "aish"
    config.mkdir(parents=True)
    (config / "config.aish").write_text("x=1\nnosuch\n\ncd /nosuch\n")
    environment = aish.environment | {"XDG_CONFIG_HOME": str(aish.folder / "config")}
    found = aish.run(["-i"], input=b"alsonot\n", env=environment)
    assert "config.aish:2:1: nosuch: command not found\n  nosuch\n  ^~~~~~\n" in found.err
    assert "config.aish:4:1: cd: /nosuch: No such file" in found.err
    assert "aish: alsonot: command not found" in found.err


def test_last_command_takes_the_process_over(aish: Aish) -> None:
    """`aish -c program` costs no second process; but traps and what follows keep the shell."""
    assert aish("sh -c 'echo $PPID' > a; exec sh -c 'echo $$' >> a; :").status == 0
    found = aish('sh -c "[ \\$\\$ = $$ ] && echo same || echo other"')
    assert found.out == "same\n"
    found = aish('trap "echo end" EXIT; sh -c "[ \\$\\$ = $$ ] && echo same || echo other"')
    assert found.out == "other\nend\n"


def test_start_up_files(aish: Aish) -> None:
    """--rcfile in place of config.aish; before it the file that ENV names, expanded, as POSIX has it."""
    (aish.folder / "rc").write_text("echo from rc\n")
    (aish.folder / "env").write_text("echo from env\n")
    assert aish.run(["--rcfile", "rc", "-i", "-c", "echo x"]).out == "from rc\nx\n"
    assert aish.run(["--rcfile"]).status == 2
    environment = {**aish.environment, "ENV": "$HOME/env"}
    assert aish.run(["--posix", "-i", "-c", "echo x"], env=environment).out == "from env\nx\n"
    assert aish.run(["--posix", "-c", "echo x"], env=environment).out == "x\n"
    assert aish.run(["-i", "-c", "echo x"], env=environment).out == "from env\nx\n"
    assert aish.run(["--rcfile", "rc", "-i", "-c", "echo x"], env=environment).out == "from rc\nx\n"


def test_file_for_every_script(aish: Aish) -> None:
    """Images have it bring PATH and functions for `-c`; it is for no shell at a prompt."""
    (aish.folder / "env").write_text("f() { echo from env $1; }\n")
    (aish.folder / "s").write_text("f script\n")
    environment = {**aish.environment, "BASH_ENV": "${HOME}/env"}
    assert aish.run(["-c", "f c"], env=environment).out == "from env c\n"
    assert aish.run(["s"], env=environment).out == "from env script\n"
    assert aish.run([], env=environment, input=b"f stdin\n").out == "from env stdin\n"
    for options in (["--posix"], ["-p"], ["-i", "--norc"]):
        assert aish.run([*options, "-c", "f || echo none"], env=environment).out == "none\n", options
    found = aish.run(["-c", "echo on"], env={**environment, "BASH_ENV": "/nosuch"})
    assert (found.out, found.err) == ("on\n", "")


def test_aliases_are_an_option_at_a_prompt_as_well(aish: Aish) -> None:
    script = "alias a='echo x'; eval a; shopt -q expand_aliases; shopt -u expand_aliases; eval a || echo $?"
    assert aish.run(["-i", "--norc", "-c", script]).out == "x\n127\n"
    assert aish.run(["+O", "expand_aliases", "-i", "--norc", "-c", "shopt expand_aliases"]).out.split()[-1] == "off"


def test_interactive_without_a_terminal(aish: Aish) -> None:
    """The prompt goes to stderr, and nobody who stays behind holds the output open."""
    found = aish.run(["-i", "--norc"], input=b"echo one\n!!\n")
    assert found.out == "one\none\n"
    assert "$ " in found.err or "# " in found.err


@pytest.mark.parametrize(
    ("argv", "off"),
    [
        ([], []),
        (["+o", "history"], ["history"]),
        (["+H"], ["histexpand"]),
        (["+o", "histexpand", "+o", "history"], ["histexpand", "history"]),
    ],
)
def test_interactive_with_options_turned_off(argv: list[str], off: list[str], aish: Aish) -> None:
    """What a shell at a prompt has on came over what the arguments said."""
    for words, options in ((["-c", "set -o"], {}), ([], {"input": b"set -o\n"})):
        lines = [line.split() for line in aish.run([*argv, "-i", "--norc", *words], **options).out.splitlines()]
        found = [line[0] for line in lines if line[0] in ("histexpand", "history") and line[1] == "off"]
        assert found == off
