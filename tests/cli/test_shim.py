"""Shims: who starts a program by its name sees no difference, and is never kept from it."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from aish.cli import rc_block, shim, shims
from aish.errors import SourceError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Home

    from .conftest import Bash, OpenBash

pytestmark = pytest.mark.slow
"""Many processes each: some half a minute together. `./dev soak` runs them."""

PROBE = f"""#!{sys.executable} -IS
import json, os, resource, signal, sys
told = {{
    "args": sys.argv[1:], "cwd": os.getcwd(), "umask": os.umask(0),
    "environ": {{name: value for name, value in os.environ.items() if not name.startswith("AISH_")}},
    "fds": sorted(int(name) for name in os.listdir("/proc/self/fd"))[:-1],
    "files": resource.getrlimit(resource.RLIMIT_NOFILE), "nice": os.nice(0),
    "pipe": signal.getsignal(signal.SIGPIPE) == signal.SIG_IGN, "tty": [os.isatty(fd) for fd in (0, 1, 2)],
}}
print(json.dumps(told), flush=True)
if sys.argv[1:2] == ["exit"]:
    sys.exit(int(sys.argv[2]))
"""


class Shimmed:
    """A home with a folder of programs on PATH, and the shims' folder before it."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.programs = home.root / "programs"
        self.programs.mkdir()
        self.program("probe", PROBE)
        shutil.copy("/bin/sh", self.programs / "mysh")  # one whose argv[0] can be seen
        self.path = f"{self.programs}:{Path(sys.executable).parent}:{home.environ['PATH']}"
        home.environ["PATH"] = f"{home.data}/shims:{self.path}"

    def program(self, name: str, text: str) -> None:
        (self.programs / name).write_text(text)
        (self.programs / name).chmod(0o755)

    def make(self, *words: str) -> None:
        done = self.home.aish("shim", *words)
        assert done.returncode == 0, done.stderr

    def run(self, *words: str, supervised: bool = True, **options: Any) -> subprocess.CompletedProcess[bytes]:
        """As an editor does it: by name, PATH decides. Not `supervised`: without the shims on PATH."""
        environ = options.pop("env", self.home.environ)
        if not supervised:
            environ = environ | {"PATH": self.path}
        found = shutil.which(words[0], path=environ["PATH"])
        assert found is not None
        options = {"stdin": subprocess.DEVNULL} | options if "input" not in options else options
        return subprocess.run(
            list(words), executable=found, env=environ, capture_output=True, timeout=60, check=False, **options
        )

    def rows(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = json.loads(self.home.aish("ps", "--all", "--json").stdout)
        return rows


@pytest.fixture
def at(home: Home) -> Shimmed:
    return Shimmed(home)


def test_the_program_is_started_as_it_would_be_without(at: Shimmed, tmp_path: Path) -> None:
    """Arguments, folder, environment with its keys, umask, limits, niceness, descriptors: only PATH differs."""
    at.make("probe")
    words = ["probe", "a b", "", "*", "-x", "--", "\n", "ü\udcff"]
    environ = at.home.environ | {"OPENAI_API_KEY": "sk-mine", "ANTHROPIC_API_KEY": "sk-too", "EDITOR_SAYS": "1"}
    environ["PWD"] = str(tmp_path)  # sh sets it where it is missing or wrong
    told = []
    for supervised in (True, False):
        done = at.run(*words, supervised=supervised, env=environ, cwd=tmp_path, umask=0o027)
        assert (done.returncode, done.stderr) == (0, b"")
        told.append(json.loads(done.stdout))
    for each in told:
        each["environ"].pop("PATH")
    assert told[0] == told[1]
    assert told[0]["environ"]["OPENAI_API_KEY"] == "sk-mine"
    (row,) = at.rows()
    assert (row["name"], row["argv"][1:3]) == ("probe", ["a b", ""])


def test_an_adapter_leads_it_to_the_gateway(at: Shimmed) -> None:
    """Its own words stand behind those of the adapter, and its key is none of the caller's."""
    at.program("claude", PROBE)
    at.make("claude", "--gateway", "--model", "small", "--budget", "200k")
    environ = at.home.environ | {"ANTHROPIC_API_KEY": "sk-mine"}
    done = at.run("claude", "-p", "a b", env=environ, input=b"")
    told = json.loads(done.stdout)
    assert told["args"] == ["--model", "small", "-p", "a b"]
    assert told["environ"]["ANTHROPIC_BASE_URL"].startswith("http://127.0.0.1:")
    assert told["environ"]["ANTHROPIC_AUTH_TOKEN"].startswith("aish-")
    assert "ANTHROPIC_API_KEY" not in told["environ"]
    (row,) = [each for each in at.rows() if each["name"] == "claude"]
    assert (row["kind"], row["model"], row["budget_tokens"]) == ("agent", "small", 200_000)


@pytest.mark.parametrize(
    ("words", "status", "told"),
    [
        (("probe", "--gateway"), 69, "no adapter is called probe"),
        (("probe", "--model", "small"), 2, "--model is not for a shim"),
        (("claude", "--gateway", "--observe", "codex"), 2, "--observe is for what does not pass the gateway"),
    ],
)
def test_what_no_adapter_knows(at: Shimmed, words: tuple[str, ...], status: int, told: str) -> None:
    at.program("claude", PROBE)
    done = at.home.aish("shim", *words)
    assert (done.returncode, told in done.stderr) == (status, True), done.stderr


def test_argv_0_is_the_name(at: Shimmed) -> None:
    """By its full path a program of several names would not know which it is."""
    at.make("mysh")
    for supervised in (True, False):
        done = at.run("mysh", "-c", "echo $0", supervised=supervised)
        assert done.stdout == b"mysh\n"
    assert len(at.rows()) == 1


def test_bytes_status_and_stderr_are_the_programs(at: Shimmed) -> None:
    at.program("filter", "#!/bin/sh\ncat; echo err >&2; exit 7\n")
    at.make("filter")
    data = random.Random(1).randbytes(3 << 20)
    done = at.run("filter", input=data)
    assert (done.stdout == data, done.stderr, done.returncode) == (True, b"err\n", 7)


def test_a_reader_that_leaves_ends_it_by_sigpipe(at: Shimmed) -> None:
    at.make("mysh")
    script = "mysh -c 'exec yes' | head -1; echo ${PIPESTATUS[0]}"
    done = subprocess.run(["bash", "-c", script], env=at.home.environ, capture_output=True, timeout=60, check=False)
    assert done.stdout == b"y\n141\n"


def test_signals_and_their_status(at: Shimmed) -> None:
    """An editor ends its helper with SIGTERM and looks how it ended."""
    at.make("mysh")
    with subprocess.Popen(
        ["mysh", "-c", "echo up; exec sleep 300"],
        executable=at.home.data / "shims" / "mysh",
        env=at.home.environ,
        stdout=subprocess.PIPE,
    ) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == b"up\n"
        running.send_signal(signal.SIGTERM)
        assert running.wait(timeout=60) == -signal.SIGTERM


def test_what_is_behind_other_descriptors_is_there(at: Shimmed) -> None:
    """`<(…)` of bash is a descriptor above 2: without it the file was not there."""
    at.make("mysh")
    script = "mysh -c 'cat $1; echo out >$2' mysh <(echo in) >(cat)"
    done = subprocess.run(["bash", "-c", script], env=at.home.environ, capture_output=True, timeout=60, check=False)
    assert sorted(done.stdout.split()) == [b"in", b"out"]


# --- at a terminal --------------------------------------------------------------------------------------------------


@pytest.fixture
def bash(at: Shimmed, open_bash: OpenBash) -> Bash:
    return open_bash(at.home.environ, at.home.root)


def test_at_a_terminal_it_has_one(at: Shimmed, bash: Bash) -> None:
    """Size, Ctrl-C, Ctrl-Z, exit status: as if it were a child of the shell."""
    at.make("mysh")
    assert "24 200" in bash.typed("mysh -c 'stty size; exit 4'")
    assert "status 4" in bash.typed("echo status $?")
    bash.start("mysh -c 'echo up; exec sleep 300'")
    bash.shows("up")
    bash.terminal.sendcontrol("z")
    bash.prompt()
    assert [row["state"] for row in at.rows() if row["lifecycle"] == "running"] == ["paused"]
    bash.foreground()
    bash.terminal.expect_exact("mysh -c")
    bash.terminal.sendcontrol("c")
    bash.prompt()
    assert "status 130" in bash.typed("echo status $?")


def test_what_asks_the_terminal_and_writes_elsewhere_runs_as_it_is(at: Shimmed, bash: Bash) -> None:
    """As a stage it would have found an empty stdin."""
    at.make("mysh")
    bash.start("mysh -c 'read x; echo got $x' | cat")
    bash.start("word")
    bash.terminal.expect_exact("got word")
    bash.prompt()
    bash.start("mysh -c 'read x; echo got $x >&2' 2>err.log")
    bash.start("more")
    bash.prompt()
    assert (at.home.root / "err.log").read_text() == "got more\n"
    assert at.rows() == []


# --- nobody is kept from his program --------------------------------------------------------------------------------


def test_without_a_supervisor_it_runs_and_says_so_once(at: Shimmed) -> None:
    at.make("probe", "mysh")
    (at.home.root / "state").rmdir()
    (at.home.root / "state").write_text("no folder")
    done = at.run("mysh", "-c", "echo $0; cat; exit 5", input=b"in")
    assert (done.stdout, done.returncode) == (b"mysh\nin", 5)
    assert done.stderr.count(b"\n") == 1
    assert done.stderr.startswith(b"aish: mysh runs unsupervised: ")
    environ = at.home.environ | {"PWD": os.getcwd()}
    told = [json.loads(at.run("probe", supervised=supervised, env=environ).stdout) for supervised in (True, False)]
    for each in told:
        each["environ"].pop("PATH")
    assert told[0] == told[1], "SIGPIPE as Python has it, or a descriptor, was left behind"


@pytest.mark.parametrize(
    ("options", "why"),
    [(["--vram", "900G"], b"no GPU"), (["--before", "false"], b"hook"), (["--secret", "GONE_LATER"], b"not set")],
)
def test_what_is_refused_runs_all_the_same(at: Shimmed, options: list[str], why: bytes) -> None:
    at.home.environ["GONE_LATER"] = "x"
    at.make("mysh", *options)
    del at.home.environ["GONE_LATER"]
    done = at.run("mysh", "-c", "cat; exit 5", input=b"in")
    assert (done.stdout, done.returncode) == (b"in", 5)
    assert why in done.stderr
    assert b"runs unsupervised" in done.stderr


@contextmanager
def stopped_holder(home: Home) -> Iterator[None]:
    """In SIGSTOP."""
    holder = int(home.aish("doctor").stdout.partition(", holder ")[2].partition(",")[0])
    os.kill(holder, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(holder, signal.SIGCONT)


def test_with_a_stopped_holder_it_runs_once_and_without_it(at: Shimmed) -> None:
    """It hung until somebody let the holder go on, and ran then."""
    at.home.aish("spawn", "--name", "first", "--", "true")
    at.program("once", '#!/bin/sh\necho ran >>"$HOME/ran"; cat\n')
    at.make("once")
    with stopped_holder(at.home):
        done = at.run("once", input=b"in")
        assert (done.stdout, done.returncode) == (b"in", 0)
        assert b"runs unsupervised: the holder" in done.stderr
    assert at.home.aish("wait", "first").returncode == 0
    assert at.home.aish("run", "--", "true").returncode == 0  # the holder has done all that it was asked
    assert (at.home.root / "ran").read_text() == "ran\n"


def test_a_signal_that_came_while_a_stopped_holder_was_asked_is_obeyed(at: Shimmed) -> None:
    """SIGTERM had no effect: nobody was there to get it."""
    at.home.aish("spawn", "--name", "first", "--", "true")
    at.make("mysh")
    with stopped_holder(at.home):
        found = shutil.which("mysh", path=at.home.environ["PATH"])
        assert found is not None
        shimmed = subprocess.Popen([found, "-c", "echo ran"], env=at.home.environ, stdout=subprocess.PIPE)
        end_s = time.monotonic() + 20
        while '"starting"' not in at.home.aish("ps", "--json").stdout:
            assert time.monotonic() < end_s
        shimmed.send_signal(signal.SIGTERM)
        assert shimmed.communicate(timeout=60)[0] == b""
        assert shimmed.returncode == -signal.SIGTERM


def test_without_aish_it_runs(at: Shimmed) -> None:
    """It was removed, or its environment was: the shim stays."""
    at.make("mysh")
    own = at.home.data / "shims" / "mysh"
    own.write_text(own.read_text().replace(sys.executable, "/no/python"))
    done = at.run("mysh", "-c", "exit 5")
    assert (done.returncode, done.stderr) == (5, b"aish: mysh runs unsupervised: aish is not where it was\n")


def test_a_script_without_an_interpreter_runs_as_in_a_shell(at: Shimmed) -> None:
    at.program("bare", "echo bare $1\n")
    at.make("bare")
    assert at.run("bare", "x").stdout == b"bare x\n"
    (at.home.root / "state").rename(at.home.root / "moved")
    (at.home.root / "state").write_text("no folder")
    assert at.run("bare", "x").stdout == b"bare x\n"
    (at.home.root / "state").unlink()
    (at.home.root / "moved").rename(at.home.root / "state")


def test_nothing_of_that_name_is_127(at: Shimmed) -> None:
    at.program("gone", "#!/bin/sh\n")
    at.make("gone")
    (at.programs / "gone").unlink()
    done = at.run("gone")
    assert (done.returncode, done.stderr) == (127, b"aish: gone: no other program of that name is on PATH\n")


def test_two_folders_of_shims_do_not_call_each_other_for_ever(at: Shimmed) -> None:
    at.make("mysh")
    other = at.home.root / "other" / "aish" / "shims"
    other.mkdir(parents=True)
    shutil.copy(at.home.data / "shims" / "mysh", other)
    linked = at.home.root / "linked"
    linked.symlink_to(at.home.data / "shims")
    environ = at.home.environ | {"PATH": f"{linked}:{other}:{at.home.environ['PATH']}", "AISH_ID": "p9"}
    assert at.run("mysh", "-c", "exit 5", env=environ).returncode == 5


def test_below_a_supervised_process_it_only_passes_on(at: Shimmed) -> None:
    at.make("mysh")
    at.home.aish("run", "--", "mysh", "-c", "mysh -c 'exit 3'")
    assert [row["name"] for row in at.rows()] == ["mysh"]
    at.make("mysh", "--nested")
    at.home.aish("run", "--name", "outer", "--", "sh", "-c", "mysh -c 'exit 3'")
    inner = at.rows()[-1]
    assert (inner["name"], inner["exit"]["code"]) == ("mysh", 3)
    assert inner["parent"] == next(row["id"] for row in at.rows() if row["name"] == "outer")


def test_a_budget_leads_it_to_the_gateway(at: Shimmed) -> None:
    """Else it would count nothing."""
    at.make("probe", "--tokens", "2M")
    environ = json.loads(at.run("probe", env=at.home.environ | {"OPENAI_API_KEY": "sk-mine"}).stdout)["environ"]
    assert environ["OPENAI_API_KEY"].startswith("aish-")
    assert environ["OPENAI_BASE_URL"].endswith("/v1")
    assert at.rows()[0]["budget_tokens"] == 2_000_000


# --- the verb -------------------------------------------------------------------------------------------------------


def test_its_sessions_are_observed(at: Shimmed) -> None:
    at.make("probe", "--observe", "codex")
    assert at.run("probe").returncode == 0
    (row,) = [row for row in at.rows() if row["name"] == "probe"]  # the gateway runs, too
    assert row["observe"] == "codex"


def test_list_change_and_off(at: Shimmed) -> None:
    assert "no shims" in at.home.aish("shim").stdout
    at.make("probe", "mysh", "--memory", "1G")
    at.make("--nested", "--pids=50", "probe", "--grace", "3")
    rows = json.loads(at.home.aish("shim", "--json").stdout)
    assert [(row["name"], row["options"], row["nested"], row["active"]) for row in rows] == [
        ("mysh", ["--memory", "1G"], False, True),
        ("probe", ["--pids=50", "--grace", "3"], True, True),
    ]
    own = at.home.data / "shims"
    assert (own.stat().st_mode & 0o777, (own / "probe").stat().st_mode & 0o777) == (0o700, 0o755)
    assert at.home.aish("shim", "--off", "probe").stdout == "probe\n"
    assert at.home.aish("shim", "--off", "prob").returncode == 69
    assert json.loads(at.home.aish("shim", "--off", "--json").stdout) == {"removed": ["mysh"], "files": []}
    assert not own.exists()


def test_who_has_it_not_first_on_path_is_told_the_line(at: Shimmed) -> None:
    at.home.environ |= {"PATH": at.path, "SHELL": "/bin/bash"}
    done = at.home.aish("shim", "mysh")
    assert "not first on PATH" in done.stdout
    line = done.stderr.splitlines()[-1]
    for shell in ("sh", "bash"):
        told = subprocess.run(
            [shell, "-c", f"{line}; {line}; echo $PATH; command -v mysh"],
            env=at.home.environ,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.splitlines()
        assert told == [f"{at.home.data}/shims:{at.path}", f"{at.home.data}/shims/mysh"]


def test_install_is_done_once_and_undone(at: Shimmed) -> None:
    at.home.environ["PATH"] = at.path
    kept = at.home.root / "dotfiles"
    kept.write_text("echo first\nexport X=1")  # no end of line: the block must not be glued to it
    kept.chmod(0o600)
    (at.home.root / ".bashrc").symlink_to(kept)
    at.make("mysh", "--install", "bash")
    once = kept.read_text()
    at.make("mysh", "--install", "bash")
    assert (kept.read_text(), kept.stat().st_mode & 0o777) == (once, 0o600)
    assert (at.home.root / ".bashrc").is_symlink()
    done = subprocess.run(
        ["bash", "-ic", "command -v mysh"], env=at.home.environ, capture_output=True, text=True, check=False
    )
    assert done.stdout.splitlines() == ["first", f"{at.home.data}/shims/mysh"]
    at.home.aish("shim", "--off")
    assert kept.read_text() == "echo first\nexport X=1\n"
    assert not (at.home.data / "shims").exists()


def test_another_s_file_is_left_alone(at: Shimmed) -> None:
    at.make("mysh")
    (at.home.data / "shims" / "probe").write_text("#!/bin/sh\necho mine\n")
    done = at.home.aish("shim", "probe")
    assert (done.returncode, "not one of our shims" in done.stderr) == (69, True)
    at.home.aish("shim", "--off")
    assert (at.home.data / "shims" / "probe").exists()
    shutil.rmtree(at.home.data / "shims")


@pytest.mark.parametrize(
    ("words", "status", "text"),
    [
        (["sh"], 2, "left alone"),
        (["bash"], 2, "left alone"),
        (["aish"], 2, "left alone"),
        (["sudo"], 2, "left alone"),
        (["env"], 2, "left alone"),
        (["echo"], 2, "built-in"),
        (["/bin/cat"], 2, "not the name of a program"),
        (["a b"], 2, "not the name of a program"),
        (["no-such-program"], 69, "no program"),
        (["mysh", "--restart", "always"], 2, "--restart is not for a shim"),
        (["mysh", "--cwd", "/"], 2, "--cwd is not for a shim"),
        (["mysh", "--name", "x"], 2, "--name is not for a shim"),
        (["mysh", "--memroy", "1G"], 2, "did you mean --memory"),
        (["mysh", "--memory", "x"], 2, "size"),
        (["--memory", "1G"], 2, "whose options"),
        (["mysh", "--install", "bsh"], 2, "did you mean bash"),
        (["--off", "--memory", "1G"], 2, "no options"),
    ],
)
def test_what_is_refused(at: Shimmed, words: list[str], status: int, text: str) -> None:
    done = at.home.aish("shim", *words)
    assert (done.returncode, text in done.stderr) == (status, True), done.stderr
    assert not (at.home.data / "shims").exists()


# --- pure -----------------------------------------------------------------------------------------------------------


def test_text_is_sh_and_reads_back() -> None:
    made = shims.Shim("a.b+c", ("--before", "echo 'x y' \"$HOME\" `z`; #", "--memory=1G"), nested=True)
    text = shims.text(made, "/odd folder/it's/a.b+c", "/py thon", "/pack'age")
    assert shims.parse("a.b+c", text) == made
    for shell in ("sh", "bash"):
        assert subprocess.run([shell, "-n"], input=text.encode(), check=False).returncode == 0
    assert shims.parse("x", "#!/bin/sh\nexec x\n") is None
    assert shims.parse("x", text.replace("# options: ", "# options: '")) is None


def test_blocks_are_put_in_and_taken_out() -> None:
    for before in ("", "a\n", "a", "a\n\nb\n"):
        once = rc_block.within(before, "shims", "PATH=x")
        assert rc_block.within(once, "shims", "PATH=x") == once
        assert "PATH=y" in rc_block.within(once, "shims", "PATH=y")
        assert "PATH=x" not in rc_block.within(once, "shims", "PATH=y")
        assert rc_block.without(once, "shims").rstrip("\n") == before.rstrip("\n")
        assert rc_block.without(once, "prompt") == once
    half = rc_block.within("", "shims", "x").splitlines()[0]
    with pytest.raises(SourceError, match="marks"):
        rc_block.without(f"a\n{half}\n", "shims", file="rc")


def test_reserved_words_are_refused_in_words() -> None:
    for name in (*shim.RESERVED, "cd", "export", "", "-x", "../x"):
        with pytest.raises(UsageError):
            shim._check_name(name)


def test_lines_for_shells() -> None:
    assert os.path.expanduser("~") not in shim.line_for("fish", "/it's")
    assert shim.line_for("fish", "/a").startswith("fish_add_path ")
