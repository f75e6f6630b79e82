"""Captured surroundings are those of the calling program, without what Python added."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys

import msgspec
import pytest

from aish.client import launch
from aish.errors import UsageError

_SHOW = """
import sys, msgspec
from aish.client import launch
sys.stdout.buffer.write(msgspec.msgpack.encode(launch.capture()))
"""


def captured(**settings: object) -> dict[str, object]:
    out = subprocess.run([sys.executable, "-c", _SHOW], capture_output=True, check=True, timeout=60, **settings)  # type: ignore[call-overload]
    made: dict[str, object] = msgspec.msgpack.decode(out.stdout)
    return made


def test_the_environment_is_taken_byte_for_byte() -> None:
    made = captured(env={b"PATH": os.environb[b"PATH"], b"ODD": b"\xff\xfe=x"})
    assert sorted(made["environ"]) == sorted([b"ODD=\xff\xfe=x", b"PATH=" + os.environb[b"PATH"]])  # type: ignore[call-overload]


def test_a_locale_that_python_coerced_is_not_passed_on() -> None:
    """PEP 538: in the C locale Python sets LC_CTYPE in its own environment, and children would inherit it."""
    made = captured(env={"PATH": os.environ["PATH"], "LC_ALL": ""})
    assert not [entry for entry in made["environ"] if entry.startswith(b"LC_CTYPE=")]  # type: ignore[attr-defined]


def test_umask_and_niceness_are_the_callers() -> None:
    made = captured(umask=0o027, preexec_fn=lambda: os.nice(3))
    assert made["umask"] == 0o027
    assert made["nice"] == os.getpriority(os.PRIO_PROCESS, 0) + 3


def test_asking_for_the_umask_does_not_change_it() -> None:
    before = os.umask(0o022)
    os.umask(before)
    launch.capture()
    after = os.umask(before)
    os.umask(before)
    assert after == before


def test_limits_are_told_by_name() -> None:
    made = json.loads(json.dumps(launch.capture().rlimits))
    assert made["NOFILE"] == list(resource.getrlimit(resource.RLIMIT_NOFILE))


@pytest.mark.parametrize("odd", [{"A=B": "x"}, {"A\0": "x"}, {"A": "x\0y"}])
def test_what_no_environment_can_hold_is_refused(odd: dict[str, str]) -> None:
    """A=B with the value x became the variable A with the value B=x."""
    with pytest.raises(UsageError, match="variable"):
        launch.capture(odd)
