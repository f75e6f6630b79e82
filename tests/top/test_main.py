"""`aish top --once`, in pipes and files."""

from __future__ import annotations

import json
from typing import Any

import pytest

from aish.top.main import speaks_unicode
from aish.wire.message import Snapshot
from aish.wire.reply import Failure, View

Views = dict[str, View]


def test_once_prints_a_frame_as_large_as_the_environment_says(daemon: Any, home: Any) -> None:
    environ = {**home.environ, "COLUMNS": "100", "LINES": "12", "LC_ALL": "C.UTF-8"}
    result = home.aish("top", "--once", env=environ)
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert len(lines) == 12
    assert max(map(len, lines)) <= 100
    assert lines[0].startswith("aish top  gpubox")
    assert "ONCE" in lines[0]
    assert "\x1b" not in result.stdout
    assert daemon.requests[0][1] == Snapshot(all=False)


def test_once_without_a_terminal_is_80_by_24(daemon: Any, home: Any, views: Views) -> None:
    daemon.view = views["crowd"]
    result = home.aish("top", "--once", env={**home.environ, "LC_ALL": "C.UTF-8"})
    lines = result.stdout.splitlines()
    assert len(lines) == 24
    assert max(map(len, lines)) <= 80


def test_once_json_is_the_whole_view_in_raw_figures(daemon: Any, home: Any) -> None:
    result = home.aish("top", "--once", "--json", "--all", env={**home.environ, "LC_ALL": "C"})
    table = json.loads(result.stdout)
    assert table["processes"][0]["vram_quota_bytes"] == 48 << 30
    assert table["processes"][3]["tokens"] is None
    assert table["gpus"][0]["power_limit_w"] == 700.0
    assert daemon.requests[0][1] == Snapshot(all=True)


def test_once_in_an_ascii_locale_is_ascii(daemon: Any, home: Any, views: Views) -> None:
    daemon.view = views["hostile"]
    result = home.aish("top", "--once", env={**home.environ, "LC_ALL": "C", "COLUMNS": "150"})
    assert result.returncode == 0, result.stderr
    assert result.stdout.isascii()


def test_without_a_terminal_the_live_view_says_what_to_use(daemon: Any, home: Any) -> None:
    result = home.aish("top", env={**home.environ, "TERM": "xterm"})
    assert result.returncode == 2
    assert "top needs a terminal" in result.stderr
    assert "--once" in result.stderr


def test_a_refusal_of_the_daemon_is_an_error_of_the_verb(daemon: Any, home: Any) -> None:
    daemon.replies[Snapshot] = Failure(code="refused", message="not yours")
    result = home.aish("top", "--once")
    assert result.returncode == 77
    assert "not yours" in result.stderr
    assert "Traceback" not in result.stderr


def test_help_tells_all_options(home: Any) -> None:
    result = home.aish("top", "--help")
    assert result.returncode == 0
    for option in ("--once", "--json", "--every", "--all", "--sort"):
        assert option in result.stdout


@pytest.mark.parametrize(
    ("environ", "unicode"),
    [
        ({}, True),
        ({"LANG": "en_US.UTF-8"}, True),
        ({"LANG": "C.utf8"}, True),
        ({"LANG": "C"}, False),
        ({"LANG": "de_DE.ISO-8859-1"}, False),
        ({"LC_ALL": "C", "LANG": "en_US.UTF-8"}, False),
        ({"LC_ALL": "", "LC_CTYPE": "en_US.UTF-8", "LANG": "C"}, True),
    ],
)
def test_the_locale_decides_about_unicode(environ: dict[str, str], unicode: bool) -> None:
    assert speaks_unicode(environ) is unicode


def test_top_is_light_until_it_is_used(home: Any) -> None:
    """The shell knows the verb; it must not pay for it."""
    import subprocess
    import sys

    code = "import sys, aish.top; print(sorted(m for m in sys.modules if m.startswith(('msgspec', 'wcwidth'))))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=home.environ)
    assert result.stdout.strip() == "[]"
