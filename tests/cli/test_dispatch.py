"""Verbs: a closed list, errors without tracebacks, statuses as documented."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from aish import cli
from aish.cli import arguments, dispatch
from aish.errors import UsageError
from aish.model.signal_number import signal_number

if TYPE_CHECKING:
    from conftest import Home


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "aish", *words], capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize("verb", cli.VERBS)
def test_every_verb_has_a_module_and_help_that_begins_with_its_name(
    verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    importlib.import_module(cli._ELSEWHERE.get(verb, f"aish.cli.{verb}"))
    status = dispatch.run([verb, "--help"])
    done = capsys.readouterr()
    assert (status, done.err) == (0, "")
    assert f"aish {verb}" in done.out or f"{verb} " in done.out


def test_help_lists_every_verb() -> None:
    listed = run("--help").stdout
    assert all(f"  {verb} " in listed for verb in cli.VERBS)


def test_a_wrong_option_names_the_nearest_one() -> None:
    done = run("ps", "--jsn")
    assert done.returncode == 2
    assert "did you mean --json?" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_wrong_state_folder_is_told_without_a_traceback(home: Home) -> None:
    home.environ["XDG_RUNTIME_DIR"] = "/dev/null"
    done = home.aish("spawn", "--", "true")
    assert done.returncode == 74
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("words", [["ps"], ["ps", "--json"]])
def test_a_broken_configuration_is_told_by_every_verb_that_needs_the_daemon(home: Home, words: list[str]) -> None:
    """It was ignored, and only `top` and `doctor` said so."""
    assert home.aish(*words).stderr == ""
    home.config.mkdir(exist_ok=True)
    file = home.config / "config.toml"
    file.write_text('default_model = "smollm2"\n[gateway]\nport = "x"\n')
    done = home.aish(*words)
    told = f"{file}:3: port: expected a port number, 0 to 65535; the default settings are used"
    assert done.returncode == 0
    assert done.stderr == (json.dumps({"warning": told}) if "--json" in words else f"aish: {told}") + "\n"
    assert home.aish("agent", "ls").stderr == "", "it needs no daemon"
    file.write_text('default_model = "smollm2"\n')
    assert home.aish(*words).stderr == ""


def test_a_fault_of_ours_is_recorded_and_told_in_one_line(
    home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from aish.cli import ps

    def fail(argv: list[str]) -> int:
        raise ZeroDivisionError("boom")

    monkeypatch.setattr(ps, "main", fail)
    assert dispatch.run(["ps"]) == 70
    told = capsys.readouterr().err
    assert "a fault in aish" in told
    assert "Traceback" not in told
    assert "Traceback" in (home.state / "faults.log").read_text()


@pytest.mark.parametrize("buffered", ["", "1"])
def test_a_reader_that_left_is_no_error_to_tell(buffered: str) -> None:
    read, write = os.pipe()
    os.close(read)
    environ = os.environ | {"PYTHONUNBUFFERED": buffered}
    done = subprocess.run(
        [sys.executable, "-m", "aish", "--help"], stdout=write, stderr=subprocess.PIPE, env=environ, check=False
    )
    os.close(write)
    assert (done.stderr, done.returncode) == (b"", 141)


def test_options_end_where_the_command_begins() -> None:
    parser = arguments.Parser("x", "")
    parser.add_argument("--name")
    parser.add_argument("--flag", action="store_true")
    options, command = parser.command(["--name", "n", "--flag", "ls", "--flag", "-l"])
    assert (options.name, options.flag, command) == ("n", True, ["ls", "--flag", "-l"])
    assert parser.command(["--flag", "--", "--odd"])[1] == ["--odd"]


@pytest.mark.parametrize(
    ("text", "number"), [("9", 9), ("KILL", 9), ("SIGKILL", 9), ("int", 2), ("RTMIN+3", 37), ("sigrtmax-1", 63)]
)
def test_signals_by_name_and_number(text: str, number: int) -> None:
    assert signal_number(text) == number


@pytest.mark.parametrize("text", ["0", "65", "-1", "TREM", "²", "RTMIN+99", "RTMIN-1", "RTMAX+1"])
def test_no_such_signal(text: str) -> None:
    with pytest.raises(UsageError):
        signal_number(text)


@pytest.mark.parametrize("words", [("ps",), ("--help",), ("-c", "aish ps")])
def test_a_full_disk_is_the_storage_s_fault(home: Home, words: tuple[str, ...]) -> None:
    with open("/dev/full", "w") as full:
        done = home.aish(*words, stdout=full, stderr=subprocess.PIPE, capture_output=False)
    assert (done.returncode, "write error: No space left on device" in done.stderr) == (74, True), done.stderr
    assert "Traceback" not in done.stderr


def test_events_end_with_their_reader(home: Home) -> None:
    """`aish events -f | head -1` went on until the next event, hours later perhaps."""
    home.aish("run", "--", "true")
    read, write = os.pipe()
    following = home.popen("events", "-f", stdout=write)
    os.close(write)
    os.read(read, 1)
    os.close(read)
    assert following.wait(20) == 141
