"""The prompt's parts: those that are known, and nothing in the place of those that are not."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from aish.lang.host import NoHost
from aish.lang.runtime import Runtime
from aish.shell.companion.link import Link
from aish.shell.companion.work import serve
from aish.shell.glance import Glance, duration, printable

if TYPE_CHECKING:
    from pathlib import Path

SIGN = "#" if os.geteuid() == 0 else "$"


@pytest.mark.parametrize(
    ("seconds", "text"), [(2.04, "2.0s"), (59.9, "59.9s"), (61, "1m01s"), (3600, "1h00m"), (7500, "2h05m")]
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def shown(glance: Glance, status: int = 0) -> str:
    return "".join([text for style, text in glance.parts(status) if style != "[ZeroWidthEscape]"])


def test_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AISH_RUNTIME_DIR", str(tmp_path))
    answers = {"branch": lambda cwd: "trunk", "dirty": lambda cwd, path: True, "gpu": lambda: [8 << 30, 80 << 30]}
    link = Link(lambda fd: serve(fd, answers))
    glance = Glance(Runtime(NoHost(), {"PWD": "/usr", "HOME": "/home"}), link)
    assert shown(glance) == f"/usr {SIGN} "
    news: list[int] = []
    glance.changed = lambda: news.append(1)
    glance.look()
    while len(news) < 3:
        assert link.ask("gpu", 10) is not None
    glance.duration_s = 3.0
    (tmp_path / "prompt").write_text(f"pid={os.getpid()} running=2 asks=1\n")
    assert shown(glance, 4) == f"1 needs you ⏵2 /usr trunk* gpu 8/80G 3.0s 4 {SIGN} "
    glance.rt.vars.set("PWD", "/home/x")
    glance.look()
    assert shown(glance).startswith("1 needs you ⏵2 ~/x gpu")  # the branch of the other folder is not shown here
    link.close()


def test_a_folder_s_name_cannot_speak_to_the_terminal() -> None:
    assert printable("a\x1b]0;x\x07b") == "a?]0;x?b"
