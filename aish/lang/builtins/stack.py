"""dirs pushd popd: a stack of folders, the current one on top."""

from __future__ import annotations

from aish.lang.builtins.folders import change, current
from aish.lang.control import CommandError
from aish.lang.digits import saturated

TYPE_CHECKING = False
if TYPE_CHECKING:
    from aish.lang.builtins import Builtin
    from aish.lang.runtime import Runtime


class _Wanted:
    """The words of one command."""

    def __init__(self, argv: list[str], allowed: str) -> None:
        self.flags: set[str] = set()
        self.index: str | None = None
        self.operands: list[str] = []
        ended = False
        for word in argv[1:]:
            if ended or word == "-" or word[:1] not in ("-", "+"):
                self.operands.append(word)
            elif word == "--":
                ended = True
            elif word[1:].isdecimal() and word.isascii():
                self.index = word
            elif word[0] == "-" and not set(word[1:]) - set(allowed):
                self.flags |= set(word[1:])
            elif word[0] == "+":
                raise CommandError(f"{word}: a number expected", status=1)
            else:
                raise CommandError(
                    f"{word}: unknown option", status=2, hint=f"options are: {' '.join(allowed)} +N -N"
                )


def _place(rt: Runtime, index: str) -> int:
    """The place in the stack that +N (from the left) or -N (from the right) means."""
    size = len(rt.folders) + 1
    number = saturated(index[1:])
    place = number if index[0] == "+" else size - 1 - number
    if not 0 <= place < size:
        raise CommandError(f"{index}: there are {size} folders in the stack")
    return place


def remembered(rt: Runtime, index: str) -> str | None:
    """What ~N, ~+N and ~-N mean: a folder of the stack. None where there is none of that number."""
    try:
        return _whole(rt)[_place(rt, index if index[0] in "+-" else "+" + index)]
    except (CommandError, ValueError):
        return None


def _whole(rt: Runtime) -> list[str]:
    return [current(rt), *rt.folders]


def _short(rt: Runtime, path: str) -> str:
    home = rt.vars.get("HOME") or ""
    if home not in ("", "/") and (path == home or path.startswith(home + "/")):
        return "~" + path[len(home) :]
    return path


def dirs(rt: Runtime, argv: list[str]) -> int:
    """dirs [-clpv] [+N | -N]: the folders of the stack; -c empties it."""
    wanted = _Wanted(argv, "clpv")
    if wanted.operands:
        raise CommandError(f"{wanted.operands[0]}: +N or -N expected", status=2)
    if "c" in wanted.flags:
        rt.folders.clear()
        return 0
    shown = [path if "l" in wanted.flags else _short(rt, path) for path in _whole(rt)]
    if wanted.index is not None:
        place = _place(rt, wanted.index)
        rt.write(f"{place:2}  {shown[place]}\n" if "v" in wanted.flags else shown[place] + "\n")
    elif "v" in wanted.flags:
        rt.write("".join([f"{place:2}  {path}\n" for place, path in enumerate(shown)]))
    else:
        rt.write(("\n" if "p" in wanted.flags else " ").join(shown) + "\n")
    return 0


def _enter(rt: Runtime, path: str) -> None:
    change(rt, path, physical=rt.physical, shown=path)


def pushd(rt: Runtime, argv: list[str]) -> int:
    """pushd [-n] [folder | +N | -N]: enter a folder and remember this one; without one, change places."""
    wanted = _Wanted(argv, "n")
    if len(wanted.operands) > 1:
        raise CommandError("too many arguments")
    stay = "n" in wanted.flags
    stack = _whole(rt)
    if wanted.operands:
        folder = wanted.operands[0]
        if stay:
            rt.folders.insert(0, folder)
        else:
            if folder == "-":
                folder = rt.vars.get("OLDPWD") or ""
                if not folder:
                    raise CommandError("OLDPWD is not set")
            _enter(rt, folder or ".")
            rt.folders.insert(0, stack[0])
    elif wanted.index is not None:
        if not rt.folders:
            raise CommandError("the stack is empty")
        place = _place(rt, wanted.index)
        turned = stack[place:] + stack[:place]
        if not stay:
            _enter(rt, turned[0])
        rt.folders[:] = turned[1:]
    else:
        if not rt.folders:
            raise CommandError("no other folder", hint="pushd FOLDER enters one and remembers this one")
        if not stay:
            _enter(rt, stack[1])
        rt.folders[0] = stack[0]
    return dirs(rt, ["dirs"])


def popd(rt: Runtime, argv: list[str]) -> int:
    """popd [-n] [+N | -N]: go back to the folder below the top, or take one out."""
    wanted = _Wanted(argv, "n")
    if wanted.operands:
        raise CommandError(f"{wanted.operands[0]}: +N or -N expected", status=2)
    if not rt.folders:
        raise CommandError("the stack is empty")
    place = _place(rt, wanted.index) if wanted.index is not None else 0
    if place:
        del rt.folders[place - 1]
    elif "n" in wanted.flags:
        del rt.folders[0]
    else:
        _enter(rt, rt.folders[0])
        del rt.folders[0]
    return dirs(rt, ["dirs"])


TABLE: dict[str, Builtin] = {"dirs": dirs, "pushd": pushd, "popd": popd}
