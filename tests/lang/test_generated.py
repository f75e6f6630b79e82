"""Seeded programs behave as in bash and dash, as far as the two agree."""

from __future__ import annotations

import os
import shutil
import subprocess
from itertools import takewhile
from typing import TYPE_CHECKING

import pytest

from tests.lang.conftest import SHELL
from tests.lang.generator import Bash, Files, Flow, Words

if TYPE_CHECKING:
    from tests.lang.conftest import Aish

_SHELLS = [shutil.which("bash"), shutil.which("dash")]
pytestmark = pytest.mark.skipif(None in _SHELLS, reason="needs bash and dash, which are the oracles")


def oracle(shell: str | None, aish: Aish) -> tuple[bytes, int]:
    assert shell is not None
    done = subprocess.run(
        [shell, "program"],
        capture_output=True,
        cwd=aish.folder,
        env=aish.environment,
        stdin=subprocess.DEVNULL,
        timeout=60,
    )
    return done.stdout, done.returncode


def test_every_program_parses(aish: Aish) -> None:
    """The generator makes programs, not noise: both oracles and we accept each of them."""
    for seed in range(40):
        for text in (Words(seed).program(), Flow(seed).program()):
            (aish.folder / "program").write_text(text)
            for shell in _SHELLS:
                assert shell is not None
                subprocess.run([shell, "-n", str(aish.folder / "program")], check=True, timeout=60)


@pytest.mark.parametrize("seed", range(12))
def test_words(seed: int, aish: Aish) -> None:
    """Compared statement by statement, up to where bash and dash part."""
    for name in ("a", "ab", "abc", "b.c"):
        (aish.folder / name).touch()
    (aish.folder / "program").write_text(Words(seed).program())
    first, second = (oracle(shell, aish)[0].split(b"\n==") for shell in _SHELLS)
    agreed = [a for a, _ in takewhile(lambda pair: pair[0] == pair[1], zip(first, second, strict=False))]
    found = aish.run(["program"])
    assert len(agreed) >= 2
    assert found.out.encode("utf-8", "surrogateescape").split(b"\n==")[: len(agreed)] == agreed
    assert "a fault in aish" not in found.err


@pytest.mark.parametrize("seed", range(25))
def test_flow(seed: int, aish: Aish) -> None:
    """Compared as a whole, status included, where bash and dash agree."""
    (aish.folder / "program").write_text(Flow(seed).program())
    first, second = (oracle(shell, aish) for shell in _SHELLS)
    found = aish.run(["program"])
    assert "a fault in aish" not in found.err
    if first == second:
        assert (found.out.encode(), found.status) == first


def test_most_flows_are_compared(aish: Aish) -> None:
    """A test that compares nothing would pass for ever."""
    agreed = 0
    for seed in range(25):
        (aish.folder / "program").write_text(Flow(seed).program())
        agreed += oracle(_SHELLS[0], aish) == oracle(_SHELLS[1], aish)
    assert agreed >= 15


def _written(shell: list[str], text: str, aish: Aish) -> tuple[bytes, int, dict[str, tuple[int, bytes]], bytes]:
    """What a program prints, its status, the files that it leaves, and what it complains of."""
    work = aish.folder / "work"
    work.mkdir()
    try:
        done = subprocess.run(
            [*shell, "-c", text],
            capture_output=True,
            cwd=work,
            env=aish.environment,
            stdin=subprocess.DEVNULL,
            timeout=60,
        )
        files = {}
        for path in sorted(work.rglob("*")):
            content = os.fsencode(path.readlink()) if path.is_symlink() else path.is_file() and path.read_bytes()
            files[str(path.relative_to(work))] = (path.lstat().st_mode, content or b"")
        return done.stdout, done.returncode, files, done.stderr
    finally:
        shutil.rmtree(work)


@pytest.mark.parametrize("seed", range(25))
def test_files(seed: int, aish: Aish) -> None:
    """What a program leaves is compared as well: names, modes and contents. dash has other statuses for redirections
    that fail, so bash is the only oracle."""
    text = Files(seed).program()
    *expected, told = _written([str(_SHELLS[0])], text, aish)
    *found, complaints = _written(SHELL, text, aish)
    assert b"a fault in aish" not in complaints
    assert (found, bool(complaints)) == (expected, bool(told))
    assert expected[2]


_STUMBLES = (12, 23)
"""bash 5.2 fails over a here-document with a substitution in it that is itself in a substitution."""


@pytest.mark.parametrize("seed", [seed for seed in range(30) if seed not in _STUMBLES])
def test_flow_of_bash(seed: int, aish: Aish) -> None:
    """The commands and words of bash, with bash as the only oracle."""
    (aish.folder / "program").write_text(Bash(seed).program())
    assert _SHELLS[0] is not None
    subprocess.run([_SHELLS[0], "-n", str(aish.folder / "program")], check=True, timeout=60)
    expected = oracle(_SHELLS[0], aish)
    found = aish.run(["program"])
    assert "a fault in aish" not in found.err
    assert (found.out.encode("utf-8", "surrogateescape"), found.status) == expected
