"""The shell as a program: its arguments, where its commands come from, its start and its end."""

from __future__ import annotations

import gc
import os
import sys

from aish.lang import options
from aish.lang.control import CommandError
from aish.lang.depth import deep
from aish.lang.ending import settle
from aish.lang.evaluate import run_source
from aish.lang.runtime import Runtime
from aish.lang.source import Source
from aish.lang.text import decode
from aish.shell import called_as_sh

TYPE_CHECKING = False
if TYPE_CHECKING:
    from aish.shell.host import ShellHost

VERSION = "0.1.0"
_HEAP_BYTES = 4 << 20
"""glibc takes what is larger than the largest block that was ever freed from the system, and gives it back at once: a
script that adds to a string of 200 KB would have all its pages made anew each time. So one such block is freed at the
start. Nobody touches it, so it costs two system calls."""
_COERCED = ("C.UTF-8", "C.utf8", "UTF-8")
"""What Python's start may add as LC_CTYPE."""


class Arguments:
    """What the command line says."""

    def __init__(self) -> None:
        self.switches: list[tuple[str, bool]] = []
        """Letters of `set`, and whether they are turned on."""
        self.names: list[tuple[str, bool]] = []
        """The same, as words of -o and +o."""
        self.shopts: list[tuple[str, bool]] = []
        """Options of `shopt`: words of -O and +O."""
        self.command = self.stdin = self.interactive = self.login = False
        self.config = self.editing = self.profile = True
        self.rc: str | None = None
        """A start-up file in place of config.aish."""
        self.listing: list[str] = []
        """The command for what -O and +O ask for without a name."""
        self.operands: list[str] = []


def parse_arguments(argv: list[str]) -> Arguments:
    """Raises CommandError for an option that does not exist."""
    found = Arguments()
    at = 0
    while at < len(argv):
        word = argv[at]
        if word in ("--", "-"):
            at += 1
            break
        if word in ("--rcfile", "--init-file"):
            if at + 1 >= len(argv):
                raise CommandError(f"{word}: a file expected", status=2)
            found.rc = argv[at + 1]
            at += 2
            continue
        if word[:2] == "--":
            _long_option(found, word)
            at += 1
            continue
        if word[:1] not in ("-", "+") or len(word) < 2:
            break
        at += 1
        for letter in word[1:]:
            if letter == "o":
                if at >= len(argv):
                    raise CommandError(f"{word}: an option's name expected", status=2)
                found.names.append((options.attribute(argv[at]), word[0] == "-"))
                at += 1
            elif letter == "O" and at >= len(argv):
                found.listing = ["shopt"] if word[0] == "-" else ["shopt", "-p"]
            elif letter == "O":
                found.shopts.append((_shopt(argv, at), word[0] == "-"))
                at += 1
            else:
                _letter(found, letter, word[0] == "-")
    found.operands = argv[at:]
    if found.command and not found.operands:
        raise CommandError("-c: a command expected", status=2)
    return found


def _shopt(argv: list[str], at: int) -> str:
    """The word behind -O."""
    from aish.lang.shopts import NAMES

    if argv[at] not in NAMES:
        raise CommandError(f"-O: {argv[at]}: no such option", status=2)
    return argv[at]


def _long_option(found: Arguments, word: str) -> None:
    match word:
        case "--posix":
            found.names.append(("posix", True))
        case "--login":
            found.login = True
        case "--norc" | "--no-config":
            found.config = False
        case "--noediting":
            found.editing = False
        case "--noprofile":
            found.profile = False
        case "--verbose":
            found.switches.append(("v", True))
        case _:
            raise CommandError(f"{word}: unknown option", status=2, hint="aish --help lists them")


def _letter(found: Arguments, letter: str, on: bool) -> None:
    match letter:
        case "c":
            found.command = on
        case "s":
            found.stdin = on
        case "i":
            found.interactive = on
        case "l":
            found.login = on
        case _:
            if letter not in options.LETTERS:
                raise CommandError(f"-{letter}: unknown option", status=2, hint="aish --help lists them")
            found.switches.append((letter, on))


def run(argv: list[str], host: ShellHost) -> int:
    """The whole life of a shell; its exit status."""
    with deep():
        return _live(argv, host)


def _live(argv: list[str], host: ShellHost) -> int:
    gc.freeze()
    gc.enable()
    gc.set_threshold(20_000, 50, 50)  # closures and trees live long, and fields die by themselves
    bytes(_HEAP_BYTES)
    given = environment()
    rt = Runtime(host, given, version=VERSION)
    rt.signals.start()
    rt.interpreter = interpreter()
    try:
        found = parse_arguments(argv)
    except CommandError as error:
        rt.report(error)
        return error.status
    if called_as_sh():
        options.turn(rt, "posix", True)
    if os.access(sys.argv[0], os.X_OK):  # else Python was told to run a module
        rt.name = rt.program = sys.argv[0]
        if rt.program[0] != "/":
            rt.program = os.path.abspath(rt.program)
    return settle(rt, lambda: _start(rt, host, found, given))


def environment() -> dict[str, str]:
    """The environment that the shell was started with: what Python's start added to it is taken out again."""
    if "environ" in vars(os):
        found = dict(os.environ)
    else:  # a lean start
        import posix

        found = {decode(name): decode(value) for name, value in posix.environ.items()}
    if found.get("LC_CTYPE") in _COERCED:
        try:
            with open("/proc/self/environ", "rb") as file:
                _, given, value = (b"\0" + file.read()).partition(b"\0LC_CTYPE=")
            if given:
                found["LC_CTYPE"] = decode(value.partition(b"\0")[0])  # Python replaces C and POSIX
            else:
                del found["LC_CTYPE"]
        except OSError:
            pass  # no /proc: keep it, it does little harm
    if "AISH_FOREIGN" in found:  # inherited.PACKED: most starts do without that module
        from aish.lang.inherited import unpack

        unpack(found)
    return found


def interpreter() -> list[str]:
    """The command that starts another one: as this one was started, but not by way of sh where that is known."""
    program = sys.argv[0]
    if not os.access(program, os.X_OK):
        return [sys.executable, "-m", "aish.shell"]
    if not sys.flags.no_site:
        is_ours = os.path.basename(program) == "aish" and os.path.isfile(program)
        return [os.path.abspath(program)] if is_ours else [sys.executable, "-m", "aish.shell"]
    flags = sys.orig_argv[1 : -len(sys.argv)]
    return [sys.executable, *flags, program if program[0] == "/" else os.path.abspath(program)]


def _start(rt: Runtime, host: ShellHost, found: Arguments, given: dict[str, str]) -> int:
    """Set up what the environment and the arguments say, and run."""
    _handed_options(rt, given)
    is_interactive = _is_at_prompt(found) or (found.command and found.interactive)
    rt.histexpand = rt.history = is_interactive  # unless the arguments say otherwise
    for letter, on in found.switches:
        options.turn_letters(rt, letter, on)
    for name, on in found.names:
        options.turn(rt, name, on)
    if is_interactive:
        rt.shopt.add("expand_aliases")
    for name, on in found.shopts:
        from aish.lang import shopts

        shopts.turn(rt, name, on)
    if found.login:
        rt.shopt.add("login_shell")
    true_folder(rt)
    if found.listing:
        from aish.lang.invocation import invoke

        invoke(rt, found.listing)
    if found.command:
        return _command(rt, found)
    rt.params = found.operands
    if found.operands and not found.stdin:
        return _script(rt, host, found)
    if _is_at_prompt(found):
        from aish.shell.session import interact

        rt.from_stdin = True
        return interact(rt, host, found)
    rt.from_stdin = True
    _start_files(rt, found)
    from aish.shell.standard_input import StandardInput

    return run_source(rt, Source("stdin"), StandardInput(rt).more, main=True)


def _is_at_prompt(found: Arguments) -> bool:
    """Whether somebody types the commands."""
    if found.command or (found.operands and not found.stdin):
        return False
    return found.interactive or (os.isatty(0) and os.isatty(2))


def _handed_options(rt: Runtime, given: dict[str, str]) -> None:
    """Options that a parent exported as SHELLOPTS and BASHOPTS are on here, too."""
    for name in given.get("SHELLOPTS", "").split(":"):
        if name in options.NAMES and name != "monitor":
            options.turn(rt, name, True)
    handed = given.get("BASHOPTS")
    if handed:
        from aish.lang import shopts

        for name in handed.split(":"):
            if name in shopts.NAMES:
                shopts.turn(rt, name, True)


def _command(rt: Runtime, found: Arguments) -> int:
    """-c"""
    rt.from_string = True
    text, *rest = found.operands
    rt.values["BASH_EXECUTION_STRING"] = text
    if rest:
        rt.name = rest[0]
    rt.params = rest[1:]
    if found.interactive:
        from aish.shell.session import prepare

        rt.values.setdefault("PS1", "\\s-\\v\\$ ")
        rt.values.setdefault("PS2", "> ")
        prepare(rt, config=found.config, rc=found.rc)
    _start_files(rt, found)
    return run_source(rt, Source("-c", text), main=True, last=not found.interactive)


def _script(rt: Runtime, host: ShellHost, found: Arguments) -> int:
    """A script in a file; a name without a slash that is not here is looked for in PATH."""
    from aish.lang.lookup import search
    from aish.shell.script_file import ScriptFile

    path = found.operands[0]
    rt.name = path
    rt.params = found.operands[1:]
    _start_files(rt, found)
    if "/" not in path and not os.path.exists(path):
        path = search(path, rt.values.get("PATH", "")) or path
        if "/" not in path:
            from aish.model.nearest import nearest

            near = nearest(path, host.verbs)
            hint = f"did you mean `aish {near}`?" if near else "`aish --help` lists the verbs"
            raise CommandError(f"{path}: neither a verb nor a script", status=127, hint=hint)
    file = ScriptFile(rt, path)
    source = Source(found.operands[0])
    parser = file.parser(source, rt.host.tree_folder())
    try:
        return run_source(rt, source, file.more, main=True, parser=parser)
    finally:
        if parser is not None:
            parser.close()


def _start_files(rt: Runtime, found: Arguments) -> None:
    """A login shell's, and of one that is not interactive the file that BASH_ENV names."""
    is_login = found.login and found.profile
    named = rt.values.get("BASH_ENV") and not (found.interactive or rt.posix)
    if is_login or named:
        from aish.shell import start_files

        if is_login:
            start_files.source_profiles(rt)
        if named:
            start_files.source_named(rt, "BASH_ENV")


def _is_here(path: str) -> bool:
    """Whether it is the current folder. Raises OSError."""
    there, here = os.stat(path), os.stat(".")
    return there.st_ino == here.st_ino and there.st_dev == here.st_dev


def true_folder(rt: Runtime) -> None:
    """PWD is true, or is made true."""
    pwd = rt.values.get("PWD", "")
    try:
        if not (pwd[:1] == "/" and _is_here(pwd)):
            rt.vars.set("PWD", os.getcwd())
    except OSError:
        try:
            rt.vars.set("PWD", os.getcwd())
        except OSError:
            rt.vars.unset("PWD")  # the folder is gone
    rt.folder = rt.values.get("PWD", "")
    rt.vars.export("PWD")
    rt.vars.export("OLDPWD")
