"""Standard descriptors that were closed by who started us: nothing of ours gets their numbers, nothing hangs."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from aish import streams

if TYPE_CHECKING:
    from conftest import Home


def sh(home: Home, line: str) -> subprocess.CompletedProcess[str]:
    """`line` in sh, where $aish is the program."""
    return subprocess.run(
        ["sh", "-c", line.replace("$aish", f"{sys.executable} -m aish")],
        env=home.environ,
        capture_output=True,
        stdin=subprocess.DEVNULL,
        text=True,
        timeout=60,
        check=False,
    )


def test_filled_descriptors_fail_as_closed_ones_and_are_not_inherited() -> None:
    code = (
        "import os, errno, sys\n"
        "from aish import streams\n"
        "assert streams.closed() == [0, 1]; streams.fill(); assert streams.closed() == []\n"
        "for act in (lambda: os.read(0, 1), lambda: os.write(1, b'x')):\n"
        "    try: act()\n"
        "    except OSError as error: assert error.errno == errno.EBADF\n"
        "    else: raise SystemExit('it worked')\n"
        "assert [streams.is_open(fd) for fd in range(3)] == [False, False, True]\n"
        "print('to stdout, not to stderr')\n"
        "look = 'import os, sys; from aish import streams; sys.stderr.write(str(streams.closed()))'\n"
        "os.execv(sys.executable, [sys.executable, '-c', look])\n"
    )
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" <&- >&-', "sh", sys.executable, "-u", "-c", code],
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == "[0, 1]"  # nothing that was printed, and closed for the next program
    assert streams.closed() == []


@pytest.mark.parametrize("words", ["ps", "events", "doctor --help"])
def test_a_verb_whose_stdout_is_closed_says_so(home: Home, words: str) -> None:
    """A traceback; in the shell, words of its own went into the connection to the daemon."""
    home.aish("run", "--", "true")
    for line in (f"$aish {words} >&-", f"$aish -c 'aish {words} >&-'", f"$aish -c 'aish {words}' >&-"):
        done = sh(home, line)
        assert (done.returncode, "write error: Bad file descriptor" in done.stderr) == (74, True), (line, done)
        assert "Traceback" not in done.stderr


def test_the_shell_whose_stdout_is_closed_says_so(home: Home) -> None:
    done = sh(home, "$aish -c 'echo hi; /bin/echo hi; :' >&-")
    assert done.returncode == 0
    assert done.stderr.count("Bad file descriptor") == 2
    assert "Traceback" not in done.stderr
    assert sh(home, "$aish -c 'cat; echo $?' <&-").stdout == "1\n"  # closed for programs, too
    assert sh(home, "$aish -c 'echo hi; nosuchcommand' 2>&-").stdout == "hi\n"


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&-", "<&- >&- 2>&-"])
def test_a_supervised_process_gets_none_of_our_descriptors_instead(home: Home, closed: str) -> None:
    """Descriptor 0 was the stage's own pipe for signals, which the process then read for ever."""
    look = (
        "import os, sys; sys.stdin.read(); "
        "open(sys.argv[1], 'w').write(' '.join(os.readlink(f'/proc/self/fd/{fd}') for fd in range(3)))"
    )
    line = f'$aish run -- {sys.executable} -c "{look}" {home.root}/told {closed}'
    assert sh(home, line).returncode == 0
    told = (home.root / "told").read_text().split()
    assert len(told) == 3
    assert told[0] == os.devnull
    for fd, place in (("1", 1), ("2", 2)):
        if (">&-" if fd == "1" else "2>&-") in closed.split():
            assert told[place].startswith(str(home.state / "logs")), told
