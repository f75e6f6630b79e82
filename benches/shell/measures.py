"""What is measured, each in CPU time: user's and system's, of the shell and of all that it waited for.

Others use the machine, too, and a clock counts them as well. A start is repeated with all shells in turn.
"""

from __future__ import annotations

import os
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from benches.shell import scripts
from benches.shell.shells import Shell
from benches.tables import Figures

SUBSTITUTION = "x=$(printf a); /bin/echo $x"


class Size(NamedTuple):
    """How much of everything."""

    starts: int
    spawns: int
    quick: bool


class Wrong(RuntimeError):  # noqa: N818  it is no error of ours: a shell that does something else is no peer
    """A shell did not do what was asked."""


def prepare(folder: str) -> None:
    """The files that scripts use."""
    with open(f"{folder}/lines", "w", encoding="ascii") as file:
        file.writelines(f"{number} a line of words, {number * 7 % 1013}\n" for number in range(scripts.LINES))
    os.mkdir(f"{folder}/many")
    for number in range(scripts.FILES):
        with open(f"{folder}/many/file{number:05}.txt", "w", encoding="ascii"):
            pass
    with open(f"{folder}/fifty", "w", encoding="ascii") as file:
        file.write(scripts.FIFTY_LINES)


def starts(shells: Sequence[Shell], size: Size, folder: str) -> dict[str, Figures]:
    """The three programs that hardly do more than start, beside the bare interpreter."""
    found: dict[str, dict[str, list[float]]] = {shell.name: {} for shell in shells}
    for number in range(size.starts):
        first = number % len(shells)
        for shell in [*shells[first:], *shells[:first]]:
            for key, (argv, environ) in _starts(shell, folder).items():
                found[shell.name].setdefault(key, []).append(_cpu_ms(argv, shell, folder, environ)[0])
    return {
        name: {key: statistics.median(values) for key, values in figures.items()} for name, figures in found.items()
    }


def _starts(shell: Shell, folder: str) -> dict[str, tuple[tuple[str, ...], dict[str, str]]]:
    """What is started, and what its environment has besides."""
    every = {"bare_ms": (shell.bare, {}), "true_ms": ((*shell.argv, "-c", "true"), {})}
    if shell.posix or shell.name not in ("fish", "xonsh"):
        every["fifty_ms"] = (*shell.argv, f"{folder}/fifty"), {}
        every["unkept_ms"] = (
            (*shell.argv, f"{folder}/fifty"),
            {"XDG_CACHE_HOME": "/dev/null"},
        )  # no folder for its tree
        every["substitution_ms"] = (*shell.argv, "-c", SUBSTITUTION), {}
    return every


def script(shells: Sequence[Shell], which: scripts.Script, size: Size, folder: str) -> dict[str, Figures]:
    """One of the five scripts; whoever prints something else than the first shell fails."""
    wanted: bytes | None = None
    found: dict[str, Figures] = {}
    for shell in shells:
        ms, output = _cpu_ms((*shell.argv, "-c", which.sized(size.quick)), shell, folder)
        wanted = output if wanted is None else wanted
        if output != wanted:
            raise Wrong(f"{shell.name} printed {output[:60]!r}, not {wanted[:60]!r}")
        found[shell.name] = {f"{which.name}_ms": ms}
    return found


def spawn(shells: Sequence[Shell], size: Size, folder: str) -> dict[str, Figures]:
    """One more program, in a shell that is new and in one that holds much."""
    return {
        shell.name: {
            f"spawn{key}_ms": (
                _cpu_ms((*shell.argv, "-c", before + _spawns(size.spawns + 10)), shell, folder)[0]
                - _cpu_ms((*shell.argv, "-c", before + _spawns(10)), shell, folder)[0]
            )
            / size.spawns
            for key, before in (("", ""), ("_heavy", scripts.BALLAST))
        }
        for shell in shells
    }


def _spawns(count: int) -> str:
    return scripts.SPAWN.replace("COUNT", str(count))


def _cpu_ms(
    argv: Sequence[str], shell: Shell, folder: str, environ: Mapping[str, str] | None = None
) -> tuple[float, bytes]:
    """CPU time of a command, and what it printed. Raises Wrong where it fails."""
    with tempfile.TemporaryFile(dir=folder) as output:
        place = os.open(".", os.O_RDONLY)
        os.chdir(folder)
        try:
            pid = os.posix_spawn(
                argv[0],
                argv,
                shell.environ() | dict(environ or {}),
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_DUP2, output.fileno(), 1),
                ],
            )
        finally:
            os.fchdir(place)
            os.close(place)
        _, status, used = os.wait4(pid, 0)
        if status:
            raise Wrong(f"{' '.join(argv)[:80]}: it ended with {os.waitstatus_to_exitcode(status)}")
        output.seek(0)
        return (used.ru_utime + used.ru_stime) * 1000, output.read()
