"""Verbs for several processes: those that were named, and with --tree what they have started."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Home

AISH = f"{sys.executable} -m aish"
LEAD = f'{AISH} spawn --name helper -- sh -c "{AISH} spawn --name tool -- sleep 60; sleep 60"; sleep 60'


@pytest.fixture
def lead(shared_home: Home) -> Home:
    shared_home.client.spawn(["sleep", "60"], name="stranger")
    shared_home.client.spawn(["sh", "-c", LEAD], name="lead")
    for event in shared_home.client.events(follow=True, kinds=["started"]):
        if event.name == "tool":
            return shared_home
    raise AssertionError


def paused(home: Home) -> set[str]:
    return {row.name for row in home.client.processes() if row.holds}


def test_with_tree_what_was_started_comes_along(lead: Home) -> None:
    """Whoever stopped an agent left its helpers behind, each to be found and stopped by hand."""
    assert lead.aish("pause", "lead").returncode == 0
    assert paused(lead) == {"lead"}
    assert lead.aish("pause", "--tree", "lead").returncode == 0
    assert paused(lead) == {"lead", "helper", "tool"}
    assert lead.aish("cont", "--tree", "helper").returncode == 0
    assert paused(lead) == {"lead"}
    done = lead.aish("stop", "--tree", "lead", "helper", "--now", "--json")
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)) == 3  # who is named twice is stopped once
    assert [row.name for row in lead.client.processes()] == ["stranger"]
    unknown = lead.aish("stop", "--tree", "nobody")
    assert unknown.returncode != 0
    assert "nobody" in unknown.stderr
