"""aish as pip installs it: a wheel of this checkout, in environments of the tests' own. No network."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = sysconfig.get_path("purelib")
_PARTS = ("aish", "supervisor", "plugins", "bin", "pyproject.toml", "README.md", "LICENSE")


def pip(*words: str) -> None:
    done = subprocess.run([sys.executable, "-m", "pip", *words], capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel of this checkout, made once for all workers, away from it: a build leaves files where it runs."""
    place = tmp_path_factory.getbasetemp()
    place = (place.parent if "PYTEST_XDIST_WORKER" in os.environ else place) / "wheel"
    place.mkdir(exist_ok=True)
    with open(place / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not list(place.glob("*.whl")):
            copy = place / "checkout"
            copy.mkdir()
            for name in _PARTS:
                if (ROOT / name).is_dir():
                    ignored = shutil.ignore_patterns("__pycache__")
                    shutil.copytree(ROOT / name, copy / name, symlinks=True, ignore=ignored)
                else:
                    shutil.copy(ROOT / name, copy / name)
            pip("wheel", "--no-deps", "--no-index", "--no-build-isolation", "--wheel-dir", str(place), str(copy))
    (made,) = place.glob("*.whl")
    return made


class Installed:
    """An environment with aish in it."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.program = place / "bin" / "aish"
        (self.packages,) = place.glob("lib/python3*/site-packages")
        self.home = place.parent / "home"
        self.environ = {"PATH": os.defpath, "HOME": str(self.home), "LC_ALL": "C.UTF-8", "TERM": "xterm"}
        for name in ("run", "state", "data", "config"):
            (self.home / name).mkdir(mode=0o700, parents=True, exist_ok=True)
            self.environ["XDG_RUNTIME_DIR" if name == "run" else f"XDG_{name.upper()}_HOME"] = str(self.home / name)

    @property
    def image(self) -> Path:
        return self.packages / "__pycache__" / f"aish-shell.{sys.implementation.cache_tag}.image"

    def run(self, *argv: Any, **options: Any) -> subprocess.CompletedProcess[str]:
        """Any program, with a small environment in which aish is not on PATH."""
        settings: dict[str, Any] = {"capture_output": True, "text": True, "timeout": 60, "env": self.environ}
        settings |= options
        if "input" not in settings:
            settings.setdefault("stdin", subprocess.DEVNULL)
        return subprocess.run([str(word) if isinstance(word, Path) else word for word in argv], **settings)

    def out(self, *words: Any, **options: Any) -> str:
        """What `aish words…` prints."""
        done = self.run(self.program, *words, **options)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    def modules(self, *words: Any) -> set[str]:
        """The modules that `aish words…` has when it ends, seen from a start without sh."""
        python = self.place / "bin" / "python"
        done = self.run(python, "-IS", "-c", _SHOWN, self.program, *words)
        assert done.returncode == 0, done.stderr
        return set(done.stderr.splitlines()[-1].split())


_SHOWN = """import posix, sys
def show(status, leave=posix._exit):
    sys.stderr.write(" ".join(["", *sys.modules]))
    sys.stderr.flush()
    leave(status)
posix._exit = show
del sys.argv[0]
with open(sys.argv[0]) as file:
    exec(compile(file.read(), sys.argv[0], "exec"))
"""
"""Executes the launcher, and tells what was loaded."""


def environment(place: Path, wheel: Path) -> Installed:
    """Made by venv and pip. What aish needs of others is found by a .pth file: verbs have to read that."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(place)], check=True, timeout=60)
    pip("--python", str(place / "bin" / "python"), "install", "--no-deps", "--no-index", str(wheel))
    made = Installed(place)
    (made.packages / "others.pth").write_text(f"{PACKAGES}\n")
    return made


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    """In a folder whose name holds a space: a line that begins with #! could not name it."""
    made = environment(tmp_path_factory.mktemp("installed") / "an env", wheel)
    yield made
    made.run(made.program, "shutdown")
