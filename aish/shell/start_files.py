"""The files that a shell reads before its own commands."""

from __future__ import annotations

import os

from aish.error import AishError
from aish.lang.control import Interrupted, Return
from aish.lang.evaluate import run_file
from aish.lang.signals import SIGHUP
from aish.lang.source import ParseError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from aish.lang.runtime import Runtime


def source_profiles(rt: Runtime) -> None:
    """What every login shell reads."""
    source_file(rt, "/etc/profile")
    source_file(rt, os.path.join(rt.values.get("HOME", ""), ".profile"))


def source_named(rt: Runtime, variable: str) -> None:
    """The file that a variable of the environment names, $ENV or $BASH_ENV; not with another's rights."""
    named = rt.values.get(variable)
    if named and not rt.privileged and os.getuid() == os.geteuid() and os.getgid() == os.getegid():
        from aish.lang.trace import expand_prompt

        try:
            path = expand_prompt(rt, named)
        except (AishError, ParseError) as error:
            rt.report(error)
            return
        source_file(rt, _from_home(rt, path))


def _from_home(rt: Runtime, path: str) -> str:
    """`path` with its leading ~ or ~user replaced."""
    if path[:1] != "~":
        return path
    from aish.lang.compile_word import tilde

    user, slash, rest = path[1:].partition("/")
    return tilde(user)(rt) + slash + rest


def source_file(rt: Runtime, path: str) -> None:
    """Run a start-up file, if it is there. An error in it is told, and does not keep the shell from starting.

    The command line's `set -e` is in force behind it, and not in it, whatever it says of that."""
    try:
        with open(path, "rb") as file:
            status = os.fstat(file.fileno())
            data = file.read()
    except FileNotFoundError:
        return
    except OSError as error:
        rt.error_line(f"aish: {path}: {error.strerror}")
        return
    rt.returns += 1
    rt.calls += 1  # so errors are told with their places: nobody has typed what is in it
    rt.frames.append(("source", path, rt.at))
    before, rt.exits = rt.exits, False
    rt.moments_changed()
    try:
        run_file(rt, path, data, status)
    except Return:
        pass  # many begin with it, for shells that are not interactive
    except (AishError, ParseError) as error:
        rt.report(error)
    except Interrupted as error:
        if error.signo == SIGHUP:
            raise
        rt.error_line(f"aish: {path}: interrupted")
    finally:
        rt.returns -= 1
        rt.calls -= 1
        rt.frames.pop()
        rt.exits |= before
        rt.moments_changed()
