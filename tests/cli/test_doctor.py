"""What `aish doctor` says of extras."""

from __future__ import annotations

import importlib.metadata

import pytest

from aish.cli import doctor


def test_telemetry_is_looked_at_only_where_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AISH_OTEL", raising=False)
    assert "telemetry" not in {finding.topic for finding in doctor._local()}
    monkeypatch.setenv("AISH_OTEL", "1")
    assert doctor._local()[-1].level == "ok"

    def missing(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", missing)
    found = doctor._local()[-1]
    assert (found.level, found.hint) == ("warn", "pip install 'aish-shell[otel]'")


@pytest.mark.parametrize(("shell", "level"), [("/usr/bin/aish", "warn"), ("/bin/bash", "ok"), ("", "ok")])
def test_login_shell_that_is_not_told(shell: str, level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fault: somebody's profile is not read, and nobody says why."""
    monkeypatch.setenv("SHELL", shell)
    (found,) = [finding for finding in doctor._local() if finding.topic == "login shell"]
    assert found.level == level
    assert ("aish -l" in (found.hint or "")) is (level == "warn")
