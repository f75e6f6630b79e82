"""The reference pages list what there is: no verb, option, error or built-in is added without being told."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from aish import errors
from aish.lang.builtins import TOPIC_OF
from aish.model.exit import REASONS

ROOT = Path(__file__).parents[2]
PAGES = ROOT / "docs" / "reference"


def test_the_page_of_the_verbs_is_what_their_help_prints() -> None:
    done = subprocess.run([sys.executable, ROOT / "docs" / "make_verbs.py", "--check"], check=False)
    assert done.returncode == 0, "run: .venv/bin/python docs/make_verbs.py"


def test_every_error_has_its_row() -> None:
    told = re.findall(r"^\| `([a-z-]+)` \| (\d+) \|", (PAGES / "errors.md").read_text(), re.M)
    known = {(kind.code, str(kind.exit_status)) for kind in (getattr(errors, name) for name in errors.__all__)}
    assert set(told) == known


def test_every_reason_of_an_end_is_listed() -> None:
    """A parked process had one that no page knew."""
    (told,) = re.findall(
        r"^- Reasons beside an exit status: .*?(?=^- |^$)", (PAGES / "supervision.md").read_text(), re.M | re.S
    )
    assert {word for word in re.findall(r"`([a-z-]+)`", told) if word != "conclude"} == set(REASONS)


def test_every_builtin_is_listed() -> None:
    listed = (PAGES / "shell.md").read_text().split("Built-ins: `")[1].split("`")[0]
    assert sorted(listed.split()) == sorted(TOPIC_OF)
