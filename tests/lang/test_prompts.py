"""Prompts as bash has them, with bash as the oracle: ${x@P} is what PS1 goes through."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from aish.lang.evaluate import run_source
from aish.lang.host import NoHost
from aish.lang.prompts import expand, expand_text
from aish.lang.runtime import Runtime
from aish.lang.source import Source

if TYPE_CHECKING:
    from pathlib import Path

    from tests.lang.conftest import Aish

PROMPTS = [
    r"\u@\h \H", r"\w|\W", r"\$ ", r"\j", r"\\", r"\101\60\7x", r"\x \q", "${y} $y `echo a` $((1+2))", r"\w ${y}",
    r"$(echo \\)",
    r"\D{%Y}", r"\d", "plain", "", "\\", r"a\nb", r"\e[1m", r"\\w", r"\${y}", "\\$y", r"${y:-\u}", '"q" ',
]  # fmt: skip


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is the oracle")
@pytest.mark.parametrize("prompt", PROMPTS)
def test_as_bash(aish: Aish, tmp_path: Path, prompt: str) -> None:
    (aish.folder / "in$side `x`").mkdir()
    script = 'y="va\\$l"; cd in*; printf "%s" "${P@P}"'
    environment = {**aish.environment, "P": prompt}
    theirs = subprocess.run(
        ["bash", "--norc", "-c", script], capture_output=True, text=True, cwd=aish.folder, env=environment
    )
    ours = aish(script, env=environment)
    assert ours.out == theirs.stdout


def shell(**variables: str) -> Runtime:
    return Runtime(NoHost(), {"HOME": "/home/me", "PWD": "/home/me/a/b/c", **variables})


def test_long_folders_are_cut() -> None:
    rt = shell(PROMPT_DIRTRIM="2", PS1="\\w")
    assert expand(rt, "PS1") == "~/.../b/c"
    rt.vars.set("PWD", "/usr/share/doc/x")
    assert expand(rt, "PS1") == ".../doc/x"
    rt.vars.set("PWD", "/usr/share")
    assert expand(rt, "PS1") == "/usr/share"


def test_what_has_no_width_is_marked() -> None:
    rt = shell()
    assert expand_text(rt, r"\[\e[1m\]x\[\e[0m\]", markers=True) == "\x01\x1b[1m\x02x\x01\x1b[0m\x02"
    assert expand_text(rt, r"\[\e[1m\]x") == "\x1b[1mx"


def test_the_status_is_afterwards_what_it_was() -> None:
    rt = shell()
    run_source(rt, Source("test", "(exit 7)"))
    assert expand_text(rt, "$?$(false)") == "7"
    assert rt.status == 7


def test_an_error_does_not_keep_the_prompt_away(capfd: pytest.CaptureFixture[str]) -> None:
    rt = shell()
    expand_text(rt, "${nothing?gone} ")
    assert "gone" in capfd.readouterr().err
