"""Having the peers: what is installed is used, the rest is fetched once. Nothing of it ends up in .venv."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from functools import cache
from typing import Any

PLACE = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), ".venv-bench")
_PATIENCE_S = 600


class NotToBeHadError(Exception):
    """A peer that this machine does not have and that could not be fetched; why."""


@cache
def debian(program: str, package: str) -> str:
    """The path of a program of a Debian package. Raises NotToBeHadError."""
    if shutil.which(program) is None:
        if os.geteuid() != 0 or shutil.which("apt-get") is None:
            raise NotToBeHadError(f"{program} is not installed: `apt-get install --no-install-recommends {package}`")
        # Recommended by runit is a package that would replace the machine's init.
        _run("apt-get", "install", "-y", "-qq", "--no-install-recommends", package)
    found = shutil.which(program)
    if found is None:
        raise NotToBeHadError(f"the package {package} has no {program}")
    return found


@cache
def debian_unpacked(program: str, *packages: str) -> str:
    """The path of a program of Debian packages that are only unpacked: installed, they would start a service."""
    found = shutil.which(program)
    if found is not None:
        return found
    place = f"{PLACE}/debian"
    path = f"{place}/root/usr/sbin/{program}"
    if not os.path.exists(path):
        if shutil.which("apt-get") is None:
            raise NotToBeHadError(f"{program} is not installed, and there is no apt-get")
        os.makedirs(place, exist_ok=True)
        _run("apt-get", "download", "-q", *packages, folder=place)
        for file in sorted(os.listdir(place)):
            if file.endswith(".deb"):
                _run("dpkg-deb", "-x", f"{place}/{file}", f"{place}/root")
    if not os.path.exists(path):
        raise NotToBeHadError(f"the packages {' '.join(packages)} have no {program}")
    return path


@cache
def python(program: str, package: str) -> str:
    """The path of a program of a Python package, in an environment of its own."""
    path = f"{PLACE}/python/bin/{program}"
    if not os.path.exists(path):
        if not os.path.exists(f"{PLACE}/python/bin/pip"):
            _run(sys.executable, "-m", "venv", f"{PLACE}/python")
        _run(f"{PLACE}/python/bin/pip", "install", "--quiet", "--disable-pip-version-check", package)
    return path


@cache
def node(program: str, package: str, *overrides: tuple[str, str]) -> str:
    """The path of a program of an npm package, in a folder of its own. `overrides`: (package, version) of what it
    needs, where the newest does not do."""
    path = f"{PLACE}/node/node_modules/.bin/{program}"
    if not os.path.exists(path):
        if shutil.which("npm") is None:
            raise NotToBeHadError("npm is not installed")
        os.makedirs(f"{PLACE}/node", exist_ok=True)
        _override(f"{PLACE}/node/package.json", dict(overrides))
        quiet = ("--no-audit", "--no-fund", "--loglevel=error")
        _run("npm", "install", "--prefix", f"{PLACE}/node", "--cache", f"{PLACE}/node/cache", *quiet, package)
    return path


def _override(path: str, overrides: dict[str, str]) -> None:
    told: dict[str, Any] = {"private": True}
    if os.path.exists(path):
        with open(path, encoding="utf-8") as file:
            told = json.load(file)
    told["overrides"] = {**told.get("overrides", {}), **overrides}
    with open(path, "w", encoding="utf-8") as file:
        json.dump(told, file)


def _run(*argv: str, folder: str | None = None) -> None:
    print(f"fetching: {' '.join(argv)}", file=sys.stderr)
    environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    try:
        done = subprocess.run(
            argv, cwd=folder, env=environ, capture_output=True, text=True, timeout=_PATIENCE_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotToBeHadError(f"{argv[0]}: {error}") from error
    if done.returncode != 0:
        words = (done.stderr or done.stdout).strip().splitlines()
        raise NotToBeHadError(f"{' '.join(argv[:2])} failed: {words[-1] if words else done.returncode}")
