"""Whether a logout ends the supervisor: linger on, off, no logind; and the scope, with a stand-in for systemd-run."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from aish.client import connect, scope


def decide(**fields: Any) -> scope.Place:
    values: dict[str, Any] = {
        "booted": True,
        "manager": True,
        "lingers": True,
        "kills": False,
        "below": False,
        "systemd_run": "/usr/bin/systemd-run",
        **fields,
    }
    return scope.decide(**values)


def test_linger_on_is_a_scope_with_control_groups_of_its_own() -> None:
    place = decide()
    assert place.prefix[:3] == ("/usr/bin/systemd-run", "--user", "--scope")
    assert "--property=Delegate=yes" in place.prefix
    assert place.prefix[-1] == "--"
    assert place.survives is True


def test_linger_off_is_no_scope_since_the_last_logout_would_stop_it() -> None:
    """Fault: a scope lies under the user's systemd, which goes with the last logout."""
    place = decide(lingers=False)
    assert (place.prefix, place.survives) == ((), True)


def test_linger_off_and_a_logind_that_kills_is_said_beforehand() -> None:
    place = decide(lingers=False, kills=True)
    assert (place.prefix, place.survives) == ((), False)
    assert "enable-linger" in (place.hint or "")


def test_linger_off_and_started_by_a_unit_is_said_beforehand() -> None:
    """Fault: "logind leaves it alone", of what ran in a terminal of a desktop or by `aish systemd install`."""
    place = decide(lingers=False, below=True)
    assert (place.prefix, place.survives) == ((), False)
    assert "enable-linger" in (place.hint or "")
    assert decide(below=True).survives is True, "with lingering that systemd stays, and has a scope for it"
    user = "/user.slice/user-1000.slice"
    assert scope.below_manager(f"0::{user}/user@1000.service/app.slice/vte-spawn-1.scope\n")
    assert scope.below_manager(f"1:name=systemd:{user}/user@1000.service\n0::/\n")
    assert not scope.below_manager(f"0::{user}/session-3.scope\n")


def test_no_logind_and_no_systemd() -> None:
    place = decide(booted=False)
    assert (place.prefix, place.survives, place.hint) == ((), None, None)


@pytest.mark.parametrize("missing", [{"manager": False}, {"systemd_run": None}])
def test_a_manager_that_cannot_be_reached_is_no_reason_to_start_nothing(missing: dict[str, Any]) -> None:
    assert decide(**missing).prefix == ()


def test_each_scope_has_a_name_of_its_own() -> None:
    """A unit that failed keeps its name for a while."""
    assert decide().prefix != decide().prefix


@pytest.mark.parametrize(
    ("texts", "kills"),
    [
        ([], False),
        (["[Login]\n#KillUserProcesses=yes\n"], False),
        (["[Login]\nKillUserProcesses=yes\n"], True),
        (["[Login]\nKillUserProcesses=yes\n", "[Login]\nKillUserProcesses=no\n"], False),
        (["[Login]\n KillUserProcesses = on \n"], True),
    ],
)
def test_what_logind_is_told(texts: list[str], kills: bool) -> None:
    assert scope.kills_user_processes(texts) is kills


def test_the_scope_is_read_from_the_group() -> None:
    path = "/user.slice/user-1000.slice/user@1000.service/app.slice/aish-0a1b2c3d.scope/supervisor"
    assert scope.scope_in(f"0::{path}\n") == "aish-0a1b2c3d.scope"
    assert scope.scope_in("0::/user.slice/user-1000.slice/session-3.scope\n") is None


STAND_IN = """#!/bin/sh
echo "$@" >> "$AISH_TEST_SCOPES"
[ -z "$AISH_TEST_REFUSE" ] || { echo "Failed to connect to bus" >&2; exit 1; }
while [ "$1" != -- ]; do shift; done
shift
exec "$@"
"""


@pytest.mark.parametrize("refuse", [False, True])
def test_the_supervisor_is_started_in_a_scope_or_without_one(
    home: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refuse: bool
) -> None:
    """Fault: a user's systemd that says no. It is started all the same."""
    told, program = tmp_path / "scopes", tmp_path / "bin" / "systemd-run"
    program.parent.mkdir()
    program.write_text(STAND_IN)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("AISH_TEST_SCOPES", str(told))
    monkeypatch.setenv("AISH_TEST_REFUSE", "1" if refuse else "")
    linger = tmp_path / "linger"
    linger.mkdir()
    (linger / scope.user()).touch()
    manager = home.runtime.parent / "systemd"
    manager.mkdir(parents=True, exist_ok=True)
    (manager / "private").touch()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(home.runtime.parent))
    monkeypatch.setattr(scope, "LINGER_FOLDER", str(linger))
    monkeypatch.setattr(scope, "BOOTED", str(tmp_path))
    with connect(program="test") as client:
        assert client.welcome.pid
    assert "--user --scope" in told.read_text()
