"""The short way of `read` gives what the long way gives, and takes no byte more."""

from __future__ import annotations

import os
import signal
import termios
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aish.lang.builtins.line_reading import _assign
from aish.lang.builtins.read_fields import split_read
from aish.lang.fields import DEFAULT_IFS
from tests.deadline import DEADLINE_S, until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.lang.conftest import Aish


@given(st.text("ab \\", max_size=12), st.integers(1, 4))
def test_fields_are_those_of_the_long_way(line: str, count: int) -> None:
    names = [f"v{i}" for i in range(count)]
    rt = SimpleNamespace(values={}, vars=SimpleNamespace(guarded=frozenset()))
    _assign(rt, names, line.strip(" "))  # type: ignore[arg-type]
    assert [rt.values[name] for name in names] == split_read(line, DEFAULT_IFS, DEFAULT_IFS, count, raw=True)


@pytest.mark.parametrize(
    "script",
    [
        "while read -r a b; do echo \"<$a> <$b>\"; done <f",
        "while read a b; do echo \"<$a> <$b>\"; done <f",
        "while IFS= read -r a; do echo \"<$a>\"; done <f",
        "while IFS=: read -r a b; do echo \"<$a> <$b>\"; done <f",
        "exec <f; read -r a; cat; echo \"<$a>\"",
        "exec <f; read -r a b; (read -r c; echo \"$c\"); read -r d; echo \"<$a> <$b> <$d>\"",
        "cat f | while read -r a b; do echo \"<$a> <$b>\"; done",
        "read -r a b c </dev/null; echo \"$? <$a>\"",
        "readonly a; exec <f; read -r a b 2>/dev/null; echo \"$? <$b>\"",
        "exec <f; read -r a; read -r -n 2 b; read -r REPLY; read; echo \"<$a> <$b> <$REPLY>\"",
    ],
)  # fmt: skip
def test_it_is_what_bash_has(script: str, aish: Aish) -> None:
    (aish.folder / "f").write_bytes(
        b"one two three\n  spaces   all  around  \n\n\ttabs\there\t\nback\\slash \\\ncontinued\n"
        b"nul\0byte x\n\xff\xc3 a:b:c\n" + b"long " * 2000 + b"\nlast without end"
    )  # fmt: skip
    got = aish(script)
    wanted = aish(f"bash -c '{script}'")
    assert (got.out, got.status) == (wanted.out, wanted.status)


@pytest.fixture
def terminal() -> Iterator[int]:
    ours, theirs = os.openpty()
    yield theirs
    os.close(ours)
    os.close(theirs)


@pytest.mark.parametrize("signo", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("options", ["-n 3 -s", "-s", "-d :"])
def test_a_signal_while_it_waits_leaves_the_terminal_as_it_was(
    signo: int, options: str, aish: Aish, terminal: int
) -> None:
    """Without echo, and a key at a time: what the person typed next was not to be seen."""
    before = termios.tcgetattr(terminal)
    with aish.popen(f"read {options} x; echo rest", stdin=terminal) as reading:
        until("it reads", lambda: termios.tcgetattr(terminal) != before)
        reading.send_signal(signo)
        assert reading.communicate(timeout=DEADLINE_S)[0] == b""
    assert reading.returncode == -signo
    assert termios.tcgetattr(terminal) == before


def test_an_interrupt_while_it_waits_ends_the_script_by_its_trap(aish: Aish, terminal: int) -> None:
    """It went on with the next command, and ended with 0."""
    before = termios.tcgetattr(terminal)
    with aish.popen("trap 'echo E' EXIT; read -s x; echo rest", stdin=terminal) as reading:
        until("it reads", lambda: termios.tcgetattr(terminal) != before)
        reading.send_signal(signal.SIGINT)
        assert reading.communicate(timeout=DEADLINE_S)[0] == b"E\n"
    assert reading.returncode == -signal.SIGINT
