"""The ways in which people install aish, each for real: the program that each puts on PATH.

Wheels are made of this checkout. pipx and uv tool resolve what aish needs, from the package index.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

from benches import fetch
from benches.fetch import NotToBeHadError

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_PATIENCE_S = 600


def dev(home: str) -> str:
    """./dev setup, which has run: an editable install in .venv."""
    return os.path.join(ROOT, ".venv", "bin", "aish")


def wheel(home: str) -> str:
    """pip install of a wheel, in an environment of its own."""
    return _pip(home, "--no-index", _wheel(home))


def editable(home: str) -> str:
    """pip install --editable, in an environment of its own."""
    return _pip(home, "--editable", ROOT)


def pipx(home: str) -> str:
    """pipx install: a link in ~/.local/bin."""
    program = fetch.python("pipx", "pipx")
    _run(home, program, "install", "--python", _base(), _wheel(home))
    return f"{home}/.local/bin/aish"


def uv(home: str) -> str:
    """uv tool install: a link in ~/.local/bin."""
    program = fetch.python("uv", "uv")
    _run(home, program, "tool", "install", "--python", _base(), _wheel(home))
    return f"{home}/.local/bin/aish"


WAYS: dict[str, Callable[[str], str]] = {
    "aish": dev,
    "pip": wheel,
    "pip -e": editable,
    "pipx": pipx,
    "uv tool": uv,
}
"""What each is called in the table. A way takes a home of its own."""


def installed(way: str, folder: str) -> tuple[str, str]:
    """The program and the home that it was installed for. Raises NotToBeHadError."""
    home = f"{folder}/{way.replace(' ', '')}"
    os.makedirs(home, exist_ok=True)
    program = WAYS[way](home)
    _run(home, program, "-c", "true")  # what is compiled once is compiled now
    return program, home


def python(program: str) -> str:
    """The bare interpreter that a start is measured against."""
    return os.path.join(os.path.dirname(os.path.realpath(program)), "python")


def _wheel(home: str) -> str:
    """Of this checkout, made once for all homes of a run."""
    place = os.path.join(os.path.dirname(home), "wheels")
    if not os.path.isdir(place):
        words = ("wheel", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", place, ROOT)
        _run(home, sys.executable, "-m", "pip", *words)
    return os.path.join(place, os.listdir(place)[0])


def _pip(home: str, *what: str) -> str:
    """Without what aish needs of others: a shell that runs a script needs none of it."""
    _run(home, sys.executable, "-m", "venv", "--without-pip", f"{home}/env")
    _run(home, sys.executable, "-m", "pip", "--python", f"{home}/env/bin/python", "install", "--no-deps", *what)
    return f"{home}/env/bin/aish"


def _base() -> str:
    return os.path.realpath(sys.executable)


def _run(home: str, *argv: str) -> None:
    """Raises NotToBeHadError."""
    dropped = ("XDG_DATA_HOME", "UV_TOOL_DIR", "PIPX_HOME", "VIRTUAL_ENV", "PYTHONPATH")
    environ = {name: value for name, value in os.environ.items() if name not in dropped}
    environ |= {"HOME": home, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_QUIET": "1"}
    try:
        done = subprocess.run(
            argv, cwd=home, env=environ, capture_output=True, text=True, timeout=_PATIENCE_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotToBeHadError(f"{argv[0]}: {error}") from error
    if done.returncode != 0:
        words = (done.stderr or done.stdout).strip().splitlines()
        raise NotToBeHadError(f"{' '.join(argv[:3])} failed: {words[-1] if words else done.returncode}")
