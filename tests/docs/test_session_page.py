"""The page about sessions: its client runs as printed, and every field of every request and answer is told."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import UNSET

from aish.session import answers, request, settings
from aish.session.command import Command
from aish.session.settings import Settings
from aish.session.shelf import Shelf
from aish.session.shell import Report

if TYPE_CHECKING:
    from conftest import Home

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "session.md").read_text()
TOLD = set(re.findall(r"`(\w+)`", PAGE))


def test_the_client_runs_as_printed(home: Home) -> None:
    program = PAGE.split("```python\n")[1].split("```")[0]
    expected = PAGE.split("```text\n")[1].split("```")[0]
    assert len(program.splitlines()) <= 20
    environ = home.environ | {"PATH": f"{Path(sys.executable).parent}:{home.environ['PATH']}"}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=environ, cwd=home.root, timeout=60
    )
    pattern = re.escape(expected).replace("…", ".*")
    assert re.fullmatch(pattern, done.stdout), done.stdout + done.stderr


def test_every_field_is_told(home: Home) -> None:
    kinds = (request.Run, request.Signal, request.End, request.Jobs, request.Reset, request.Close)
    asked = {name for kind in kinds for name in kind.__struct_fields__} | {
        kind.__struct_config__.tag for kind in kinds
    }
    assert asked - TOLD == set()
    first = answers.ready(Settings(), 1, "/")
    assert set(first) | set(first["limits"]) | {"ready"} - TOLD <= TOLD
    command = Command(1, request.Run(command=":", timeout_s=UNSET), Settings())
    command.begin(Shelf(), 0.0)
    command.report = Report(1, 0, "/", None, ())
    assert set(command.result(1.0, "/", [])) - TOLD == set()
    command.close()


def test_the_bounds_are_as_told() -> None:
    usual = Settings()
    assert f"at most {settings.LINE_BYTES >> 20} MiB" in PAGE
    assert f"Up to {settings.MOST_QUEUED} commands" in PAGE
    assert f"At most {settings.MOST_OPEN}\ncommands" in PAGE
    assert f"at most {settings.MOST_OUTPUT_BYTES >> 20} MiB |" in PAGE
    assert f"{settings.FILE_BYTES >> 20} MiB each, {settings.MOST_FILES} files" in PAGE
    assert f"{settings.MOST_FILES_BYTES >> 20} MiB together" in PAGE
    assert f"the grace ({usual.grace_s:.0f} s)" in PAGE
    assert usual.patience_s == 600
    assert "for ten minutes (`--patience`)" in PAGE
