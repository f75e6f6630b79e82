"""The scripts on this machine: `bash -n` and our parser accept the same ones."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import time
from functools import cache
from pathlib import Path

import pytest

from aish.lang.depth import deep
from aish.lang.script import parse

BASH = shutil.which("bash")
_FOLDERS = ["/usr/bin", "/usr/sbin", "/etc", "/usr/lib/git-core", "/usr/share", "/usr/lib/dpkg", "/usr/local"]
_SHELLS = (b"/sh", b"/bash", b"/dash", b" bash", b" sh", b"sh -e")
_LARGEST_BYTES = 500_000
_SAMPLE = 40
_DEADLINE_S = 20.0

pytestmark = pytest.mark.skipif(BASH is None, reason="needs bash, which is the oracle")


@cache
def scripts() -> list[str]:
    """Paths of shell scripts, each of which is text for sh or bash."""
    found = []
    for folder in _FOLDERS:
        for place, _, names in os.walk(folder):
            for name in names:
                path = Path(place, name)
                if _is_script(path):
                    found.append(str(path))
    return sorted(found)


def _is_script(path: Path) -> bool:
    try:
        if path.is_symlink() or not path.is_file() or path.stat().st_size > _LARGEST_BYTES:
            return False
        with path.open("rb") as file:
            first = file.readline(100)
            shell = first[:2] == b"#!" and first.rstrip().endswith(_SHELLS)
            completion = "bash-completion" in path.parts or path.suffix in (".sh", ".bash")
            completion = completion and "zsh" not in path.parts  # it has such names, too
            return (shell or completion) and b"\0" not in file.read()
    except OSError:
        return False


def differences(paths: list[str]) -> list[str]:
    found = []
    for path in paths:
        data = Path(path).read_bytes()
        assert BASH is not None
        theirs = subprocess.run([BASH, "-O", "extglob", "-n", path], capture_output=True, timeout=60)
        with deep():
            ours = parse(data.decode("utf-8", "surrogateescape"), extended=True)
        if (theirs.returncode == 0) != (not ours.errors):
            why = ours.errors[0] if ours.errors else theirs.stderr.decode(errors="replace")
            found.append(f"{path}: {why}")
    return found


def test_a_sample_is_accepted_as_bash_accepts_it() -> None:
    paths = scripts()
    if not paths:
        pytest.skip("no scripts here")
    chosen = random.Random(0).sample(paths, min(_SAMPLE, len(paths)))
    began_s = time.monotonic()
    assert differences(chosen) == []
    assert time.monotonic() - began_s < _DEADLINE_S


@pytest.mark.slow
def test_all_are_accepted_as_bash_accepts_them() -> None:
    assert differences(scripts()) == []
