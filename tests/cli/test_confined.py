"""The options that say what a process may reach, as they arrive; what `aish inspect` shows of them."""

from __future__ import annotations

import shutil
from argparse import Namespace
from typing import TYPE_CHECKING

import pytest

from aish.cli.confined import part_of
from aish.errors import UsageError
from aish.wire.sandbox import SandboxPart

if TYPE_CHECKING:
    from conftest import Home


def said(**fields: object) -> Namespace:
    none: dict[str, object] = {"sandbox": None, "no_models": False, "sandbox_spawn": False}
    return Namespace(**{**none, "write": [], "read": [], "hide": [], "host": [], **fields})


def test_hosts_come_beside_those_of_the_agent_s_file() -> None:
    part = part_of(said(host=["b.org"]), SandboxPart(profile="dev", hosts=["a.org"]), hosted=False)
    assert part is not None
    assert (part.profile, part.hosts) == ("dev", ["a.org", "b.org"])


def test_hosts_without_a_sandbox_say_nothing() -> None:
    with pytest.raises(UsageError, match="--host says nothing without --sandbox"):
        part_of(said(host=["a.org"]), None, hosted=False)


@pytest.mark.skipif(shutil.which("bwrap") is None, reason="there is no bubblewrap")
def test_hosts_are_shown_and_wrong_ones_refused_by_their_option(home: Home) -> None:
    wrong = home.aish("run", "--sandbox", "dev", "--host", "https://a.org", "true")
    assert wrong.returncode != 0
    assert "--host" in wrong.stderr
    done = home.aish("run", "--sandbox", "dev", "--host", "a.org", "--host", "*.b.org", "true")
    assert done.returncode == 0, done.stderr
    shown = home.aish("inspect", "true").stdout
    assert "dev; hosts a.org *.b.org; and those of packages and git; others ask" in shown
