"""`aish systemd`: a project of an aish.toml comes back after a reboot, by a unit of the user's own systemd."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Final

from aish.cli import declared, user_unit
from aish.cli.arguments import Parser, json_option
from aish.cli.output import print_json
from aish.client import scope
from aish.errors import StorageError, UsageError
from aish.model.nearest import nearest

if TYPE_CHECKING:
    from collections.abc import Iterator

_ACTIONS: Final = ("install", "uninstall", "ls")
_FIXED: Final = ("PATH", "XDG_STATE_HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME")
"""What systemd's environment would have otherwise."""
_WANTS: Final = "default.target.wants"
_TIMEOUT_S: Final = 30.0


def main(argv: list[str]) -> int:
    if not argv or argv[0] in ("-h", "--help"):
        Parser(
            "systemd install|uninstall|ls",
            "After a reboot only what an aish.toml declares comes back, with its declared environment.",
            "  install    a user unit that runs `aish up` for the project here\n"
            "  uninstall  take it away again; what runs goes on\n"
            "  ls         the units that there are\n\n"
            "`aish systemd ACTION --help` tells more of each.",
        ).print_help()
        return 0 if argv else 2
    match argv[0]:
        case "install":
            return _install(argv[1:])
        case "uninstall":
            return _uninstall(argv[1:])
        case "ls":
            return _list(argv[1:])
        case action:
            near = nearest(action, _ACTIONS)
            hint = f"did you mean {near}?" if near else ", ".join(_ACTIONS)
            raise UsageError(f"no such action: {action}", hint=hint)


def _install(argv: list[str]) -> int:
    parser = Parser(
        "systemd install",
        "Write a unit of your own systemd that runs `aish up` for this project when you log in, or at boot where\n"
        "lingering is on, and enable it. PATH is taken from here. Nothing is started now.",
        "example: aish systemd install --profile gpu",
    )
    declared.file_option(parser)
    parser.add_argument("--profile", action="append", default=[], metavar="PROFILE", help="for `aish up`")
    parser.add_argument("--dry-run", action="store_true", help="print the unit, write nothing")
    json_option(parser)
    options = parser.parse_args(argv)
    path = declared.path_of(options.file)
    found = declared.load(path, "systemd install")
    words = [word for profile in options.profile for word in ("--profile", profile)]
    environ = {name: os.environ[name] for name in _FIXED if name in os.environ}
    program = [sys.executable, "-P", "-m", "aish"]
    text = user_unit.text(found.project.name, path, program, words, environ)
    name = user_unit.name(found.project.name, path)
    if options.dry_run:
        print(text, end="")
        return 0
    _write(name, text)
    _enable(name)
    told = _reload()
    place = scope.find()
    lingers = os.path.exists(os.path.join(scope.LINGER_FOLDER, scope.user()))
    if options.json:
        print_json({"unit": name, "path": _path(name), "lingers": lingers, "systemd": told})
        return 0
    print(f"{_path(name)}: enabled")
    if place.survives is None:
        print("no systemd runs here: it works once one does", file=sys.stderr)
    elif not lingers:
        print(
            "it starts when you log in; `loginctl enable-linger` has it start at boot, and outlive logouts",
            file=sys.stderr,
        )
    return 0


def _uninstall(argv: list[str]) -> int:
    parser = Parser("systemd uninstall", "Take the project's unit away. What runs goes on.")
    declared.file_option(parser)
    json_option(parser)
    options = parser.parse_args(argv)
    path = declared.path_of(options.file)
    suffix = user_unit.name("x", path).rpartition("-")[2]
    names = [name for name in _units() if name.endswith(f"-{suffix}")]
    for name in names:
        for file in (os.path.join(_folder(), _WANTS, name), _path(name)):
            with contextlib.suppress(FileNotFoundError), _storing(file):
                os.unlink(file)
    if names:
        _reload()
    if options.json:
        print_json({"removed": names})
    else:
        print("\n".join(f"{_path(name)}: removed" for name in names) or f"{path} has no unit")
    return 0


def _list(argv: list[str]) -> int:
    parser = Parser("systemd ls", "The units that `aish systemd install` has made.")
    json_option(parser)
    options = parser.parse_args(argv)
    names = _units()
    if options.json:
        print_json([{"unit": name, "path": _path(name)} for name in names])
    else:
        print("\n".join(map(_path, names)) or "none; `aish systemd install` in a project's folder makes one")
    return 0


def _folder() -> str:
    base = os.environ.get("XDG_CONFIG_HOME", "")
    return os.path.join(base if os.path.isabs(base) else os.path.expanduser("~/.config"), "systemd", "user")


def _path(name: str) -> str:
    return os.path.join(_folder(), name)


def _units() -> list[str]:
    """Those that say that they are ours."""
    found = []
    with contextlib.suppress(FileNotFoundError), _storing(_folder()):
        for name in sorted(os.listdir(_folder())):
            if name.startswith(user_unit.PREFIX) and name.endswith(".service") and os.path.isfile(_path(name)):
                with open(_path(name), encoding="utf-8", errors="replace") as file:
                    if file.readline().rstrip("\n") == user_unit.MADE_BY:
                        found.append(name)
    return found


def _write(name: str, text: str) -> None:
    path = _path(name)
    with _storing(path):
        os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
        if os.path.lexists(path) and name not in _units():
            raise StorageError(f"{path} is there and not ours", hint="move it away")
        with open(f"{path}.new", "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(f"{path}.new", path)


def _enable(name: str) -> None:
    """What `systemctl --user enable` does, also where the user's systemd does not run now."""
    link = os.path.join(_folder(), _WANTS, name)
    with _storing(link):
        os.makedirs(os.path.dirname(link), mode=0o755, exist_ok=True)
        if not os.path.lexists(link):
            os.symlink(f"../{name}", link)


def _reload() -> bool:
    """Have a systemd that runs read its units again. It does so by itself at the next login."""
    systemctl = shutil.which("systemctl")
    if systemctl is None:
        return False
    try:
        done = subprocess.run(
            [systemctl, "--user", "daemon-reload"], capture_output=True, timeout=_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


@contextlib.contextmanager
def _storing(path: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        raise StorageError(f"{path}: {error.strerror}") from error
