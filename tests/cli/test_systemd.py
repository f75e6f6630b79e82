"""A project's user unit: what systemd makes of it, where it lies, and that it goes away again."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from aish.cli import user_unit
from aish.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Home

NASTY = '/home/me/50% of "it" $HOME/aish.toml'


def test_the_words_of_a_command_survive_systemd() -> None:
    """A % would be a specifier, a $ a variable, a quote the end of a word."""
    text = user_unit.text("lab", NASTY, ["/usr/bin/python3", "-m", "aish"], [], {"PATH": "/a b:/c%d"})
    assert '"/home/me/50%% of \\"it\\" $$HOME/aish.toml"' in text
    assert 'Environment="PATH=/a b:/c%%d"' in text
    assert "WorkingDirectory=/home/me/50%% of" in text


def test_a_line_end_cannot_add_a_directive() -> None:
    for path in ("/a\nExecStart=/bin/evil/aish.toml", "/a\udcff/aish.toml"):
        with pytest.raises(InputError):
            user_unit.text("lab", path, ["python3"], [], {})


def test_names_are_those_of_units_and_differ_by_file() -> None:
    assert user_unit.name("my lab/1", "/a/aish.toml").startswith("aish-my-lab-1-")
    assert user_unit.name("lab", "/a/aish.toml") != user_unit.name("lab", "/b/aish.toml")
    assert user_unit.name("…", "/a/aish.toml").startswith("aish-project-")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "lab"
    folder.mkdir()
    (folder / "aish.toml").write_text('[services.web]\ncommand = "sleep 600"\n')
    return folder


def test_install_and_uninstall(home: Home, project: Path) -> None:
    done = home.aish("systemd", "install", "--profile", "gpu", "--json", cwd=project)
    assert done.returncode == 0, done.stderr
    unit = json.loads(done.stdout)
    folder = home.root / "config" / "systemd" / "user"
    file, link = folder / unit["unit"], folder / "default.target.wants" / unit["unit"]
    assert str(file) == unit["path"]
    assert link.resolve() == file
    assert '"--profile" "gpu"' in file.read_text()
    assert json.loads(home.aish("systemd", "ls", "--json").stdout) == [{"unit": unit["unit"], "path": str(file)}]
    assert home.aish("systemd", "install", cwd=project).returncode == 0, "twice is once"
    assert home.aish("systemd", "uninstall", cwd=project).returncode == 0
    assert not file.exists()
    assert not link.is_symlink()
    assert "has no unit" in home.aish("systemd", "uninstall", cwd=project).stdout


def test_a_file_of_somebody_else_is_left_alone(home: Home, project: Path) -> None:
    name = json.loads(home.aish("systemd", "install", "--json", cwd=project).stdout)["unit"]
    file = home.root / "config" / "systemd" / "user" / name
    file.write_text("[Unit]\nDescription=mine\n")
    refused = home.aish("systemd", "install", cwd=project)
    assert refused.returncode != 0
    assert "not ours" in refused.stderr
    assert "mine" in file.read_text()


def test_dry_run_writes_nothing(home: Home, project: Path) -> None:
    done = home.aish("systemd", "install", "--dry-run", cwd=project)
    assert done.stdout.startswith(user_unit.MADE_BY)
    assert not (home.root / "config" / "systemd").exists()


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_itself_takes_the_unit(home: Home, project: Path, tmp_path: Path) -> None:
    unit = tmp_path / "aish-lab-0.service"
    unit.write_text(home.aish("systemd", "install", "--dry-run", cwd=project).stdout)
    done = subprocess.run(
        ["systemd-analyze", "--user", "verify", str(unit)],
        capture_output=True,
        text=True,
        env=home.environ,
        check=False,
        timeout=60,
    )
    assert "aish-lab-0" not in done.stderr, done.stderr


def test_the_unit_brings_the_project_up(home: Home, project: Path) -> None:
    """What ExecStart says is run as it stands there, by words of its own."""
    import shlex

    text = home.aish("systemd", "install", "--dry-run", cwd=project).stdout
    line = next(line for line in text.splitlines() if line.startswith("ExecStart="))
    done = subprocess.run(
        shlex.split(line.removeprefix("ExecStart=")),
        env=home.environ,
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(home.aish("ps", "--json").stdout)
    assert (row["name"], row["project"]) == ("web", str(project / "aish.toml"))
