"""Having the peers: what is installed is used, the rest is fetched once. Nothing of it ends up in .venv."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from functools import cache

from benches.supervisor.driver import NotToBeHadError

PLACE = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), ".venv-bench")
_PATIENCE_S = 240


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
def python(program: str, package: str) -> str:
    """The path of a program of a Python package, in an environment of its own."""
    path = f"{PLACE}/python/bin/{program}"
    if not os.path.exists(path):
        _run(sys.executable, "-m", "venv", f"{PLACE}/python")
        _run(f"{PLACE}/python/bin/pip", "install", "--quiet", "--disable-pip-version-check", package)
    return path


@cache
def node(program: str, package: str) -> str:
    """The path of a program of an npm package, in a folder of its own."""
    path = f"{PLACE}/node/node_modules/.bin/{program}"
    if not os.path.exists(path):
        if shutil.which("npm") is None:
            raise NotToBeHadError("npm is not installed")
        os.makedirs(f"{PLACE}/node", exist_ok=True)
        quiet = ("--no-audit", "--no-fund", "--loglevel=error")
        _run("npm", "install", "--prefix", f"{PLACE}/node", "--cache", f"{PLACE}/node/cache", *quiet, package)
    return path


def _run(*argv: str) -> None:
    print(f"fetching: {' '.join(argv)}", file=sys.stderr)
    environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    try:
        done = subprocess.run(argv, env=environ, capture_output=True, text=True, timeout=_PATIENCE_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotToBeHadError(f"{argv[0]}: {error}") from error
    if done.returncode != 0:
        words = (done.stderr or done.stdout).strip().splitlines()
        raise NotToBeHadError(f"{' '.join(argv[:2])} failed: {words[-1] if words else done.returncode}")
