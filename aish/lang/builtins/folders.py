"""cd pwd"""

from __future__ import annotations

import os

from aish.lang.builtins.letters import letters
from aish.lang.control import CommandError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from aish.lang.builtins import Builtin
    from aish.lang.runtime import Runtime


def logical(path: str) -> str:
    """`path` without . and .. components, by text alone."""
    kept: list[str] = []
    for part in path.split("/"):
        if part == "..":
            if kept:
                kept.pop()
        elif part not in ("", "."):
            kept.append(part)
    lead = "//" if path.startswith("//") and not path.startswith("///") else "/"
    return lead + "/".join(kept)


def current(rt: Runtime) -> str:
    """The folder by the way it was entered; in posix mode only where that is still true."""
    if rt.folder and not rt.posix:
        return rt.folder
    pwd = rt.folder or rt.vars.get("PWD") or ""
    try:
        if pwd.startswith("/") and logical(pwd) == pwd and os.path.samefile(pwd, "."):
            return pwd
    except OSError:
        pass  # PWD is stale: ask the kernel
    return _physical()


def _physical() -> str:
    try:
        return os.getcwd()
    except OSError as error:
        raise CommandError(f"the current folder: {error.strerror}", hint="cd somewhere else") from None


def _is_physical(rt: Runtime, flags: str) -> bool:
    """Whether the last of -L and -P says so, or without them `set -P`."""
    last = next((flag for flag in reversed(flags) if flag in "LP"), "")
    return last == "P" if last else rt.physical


def pwd(rt: Runtime, argv: list[str]) -> int:
    """pwd [-L|-P]: the current folder; -P without links in its path."""
    flags, _ = letters(argv, "LP")
    rt.write((_physical() if _is_physical(rt, flags) else current(rt)) + "\n")
    return 0


def cd(rt: Runtime, argv: list[str]) -> int:
    """cd [-L|-P [-e]] [-@] [folder | -]: HOME without a folder, OLDPWD for -, CDPATH for relative ones."""
    flags, operands = letters(argv, "LPe@")
    if len(operands) > 1:
        raise CommandError("too many arguments", hint="quote a name that has spaces")
    physical = _is_physical(rt, flags)
    if operands and operands[0] != "-":
        return _to(rt, operands[0], physical=physical)
    name = "OLDPWD" if operands else "HOME"
    folder = rt.vars.get(name)
    if folder is None:
        raise CommandError(f"{name} is not set")
    change(rt, folder or ".", physical=physical, shown=folder)
    if operands:
        rt.write(rt.values["PWD"] + "\n")
    return 0


def _to(rt: Runtime, folder: str, *, physical: bool) -> int:
    found, by_path = _in_cdpath(rt, folder)
    try:
        change(rt, found or ".", physical=physical, shown=folder)
    except CommandError:
        value = rt.vars.get(folder) if "cdable_vars" in rt.shopt else None
        if not value:
            raise
        change(rt, value, physical=physical, shown=value)
        by_path = True
    if by_path:
        rt.write(rt.values["PWD"] + "\n")
    return 0


def _in_cdpath(rt: Runtime, folder: str) -> tuple[str, bool]:
    """The folder that `cd folder` means, and whether CDPATH found it."""
    cdpath = rt.vars.get("CDPATH")
    if not cdpath or folder[:1] in ("", "/") or folder.split("/")[0] in (".", ".."):
        return folder, False
    for prefix in cdpath.split(":"):
        candidate = f"{prefix.rstrip('/')}/{folder}" if prefix else f"./{folder}"
        if os.path.isdir(candidate):
            return candidate, bool(prefix)
    return folder, False


def change(rt: Runtime, folder: str, *, physical: bool, shown: str) -> None:
    """Enter a folder; PWD and OLDPWD follow. Raises CommandError."""
    here = rt.vars.get("PWD")
    target = folder
    if not physical:
        try:
            base = current(rt)
        except CommandError:
            base = here or "/"
        target = logical(folder if folder[0] == "/" else f"{base.rstrip('/')}/{folder}")
        if not _walkable(folder):
            target = folder
    try:
        os.chdir(target)
    except OSError as error:
        if target == folder:
            raise CommandError(f"{shown}: {error.strerror}") from None
        try:
            os.chdir(folder)  # the path to here may be longer than the system takes
        except OSError:
            raise CommandError(f"{shown}: {error.strerror}") from None
    except ValueError:
        raise CommandError(f"{shown!r}: not a path") from None
    rt.folder = target if not physical and target[:1] == "/" else os.getcwd()
    if here is not None:
        rt.vars.set("OLDPWD", here)
    rt.vars.set("PWD", rt.folder)


def _walkable(folder: str) -> bool:
    """Whether what stands before each .. is a folder: x/.. must fail where x is not there."""
    at = folder.find("/..")
    return at <= 0 or os.path.isdir(folder[:at])


TABLE: dict[str, Builtin] = {"cd": cd, "pwd": pwd}
