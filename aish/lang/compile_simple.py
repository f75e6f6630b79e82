"""Simple commands to closures: assignments, words, redirections, and what the command word turns out to be."""

from __future__ import annotations

from aish.lang import builtins, compile_word
from aish.lang.control import CommandError
from aish.lang.source import Site
from aish.lang.text import quote
from aish.lang.tree import Assign

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from aish.lang.builtins import Builtin
    from aish.lang.compile_assign import Assignment
    from aish.lang.compile_redirect import Apply
    from aish.lang.compile_word import Text
    from aish.lang.runtime import Run, Runtime
    from aish.lang.source import Source
    from aish.lang.tree import Simple, Word

    Invoke = Callable[[Runtime, list[str]], int]


def compile_simple(src: Source, node: Simple, tested: bool, last: bool) -> Run:
    """The closure for a simple command, as plain as the command allows."""
    site = Site(src, node.start, node.end)
    assigns: list[Assignment] = []
    if node.assigns:
        from aish.lang.compile_assign import compile_assign

        assigns = [compile_assign(src, item) for item in node.assigns]
    redirects: list[Apply] = []
    if node.redirects:
        from aish.lang.compile_redirect import compile_redirects

        redirects = compile_redirects(src, node.redirects)
    if not node.words:
        if redirects or len(assigns) != 1:
            return _no_words(site, assigns, redirects, tested)
        if assigns[0].text is None:
            return _one_store(site, assigns[0], tested)
        return _one_assignment(site, assigns[0].name, assigns[0].text, tested)
    argv = compile_word.argument_list(_arguments(src, node.words))
    invoke = _invocation(node.words[0].literal(), tested, last)
    if assigns or redirects:
        return _full(site, assigns, redirects, argv, invoke, tested)
    return _plain(site, argv, invoke, tested)


def _arguments(
    src: Source, words: list[Word]
) -> list[compile_word.Constant | compile_word.Single | compile_word.Many]:
    return [_assigning(src, word) or compile_word.fields(src, word) for word in words]


def _assigning(src: Source, word: Word) -> compile_word.Constant | compile_word.Single | None:
    """An argument of `declare` and its kin that assigns is expanded like an assignment."""
    node = word.parts[0] if word.parts else None
    if type(node) is not Assign:
        return None
    from aish.lang.compile_assign import compound, is_compound

    if is_compound(node):
        return compile_word.Single(compound(src, node))
    value = compile_word.text(src, node.value)
    text = compile_word.joined([src.text[node.start : node.value.start], value])
    if node.index is not None:
        text = compile_word.joined([f"{node.name}[", compile_word.text(src, node.index), f"]{'+' * node.append}=", value])
    return compile_word.Constant(text) if isinstance(text, str) else compile_word.Single(text)


# ------------------------------------------------------------------------------------------- closures


def _plain(site: Site, arguments: Callable[[Runtime], list[str]], invoke: Invoke, tested: bool) -> Run:
    """Words only: most commands."""

    def run(rt: Runtime) -> int:
        rt.at = site
        rt.substituted = 0
        argv = arguments(rt)
        if not argv:
            rt.status, rt.pipe_status = rt.substituted, None
            return rt.status
        if rt.xtrace:
            _trace(rt, [], argv)
        rt.status = status = invoke(rt, argv)
        rt.pipe_status = None
        rt.last_argument = argv[-1]
        if status and rt.errexit and not tested:
            rt.failed(status)
        return status

    return run


def _one_assignment(site: Site, name: str, text: Text, tested: bool) -> Run:
    """name=value alone."""

    def run(rt: Runtime) -> int:
        rt.at = site
        rt.substituted = 0
        value = text(rt)
        if name in rt.vars.guarded:
            rt.assign(name, value, site)
        else:
            rt.values[name] = value
        if rt.xtrace:
            _trace(rt, [f"{name}={quote(value)}"], [])
        rt.status = status = rt.substituted
        rt.pipe_status = None
        rt.last_argument = ""
        if status and rt.errexit and not tested:
            rt.failed(status)
        return status

    return run


def _one_store(site: Site, assignment: Assignment, tested: bool) -> Run:
    """Any other assignment alone."""
    store = assignment.store

    def run(rt: Runtime) -> int:
        rt.at = site
        rt.substituted = 0
        shown = store(rt)
        if rt.xtrace:
            _trace(rt, [shown], [])
        rt.status = status = rt.substituted
        rt.pipe_status = None
        rt.last_argument = ""
        if status and rt.errexit and not tested:
            rt.failed(status)
        return status

    return run


def _no_words(site: Site, assigns: list[Assignment], redirects: list[Apply], tested: bool) -> Run:
    """Assignments, or redirections, without a command: the shell does them itself."""

    def run(rt: Runtime) -> int:
        rt.at = site
        rt.substituted = 0
        if redirects:
            status = _redirected(rt, redirects, _succeed)
            if status:
                rt.status, rt.pipe_status = status, None
                if rt.errexit and not tested:
                    rt.failed(status)
                return status
        done = [assignment.store(rt) for assignment in assigns]
        if rt.xtrace and done:
            _trace(rt, done, [])
        rt.status = status = rt.substituted
        rt.pipe_status = None
        rt.last_argument = ""
        if status and rt.errexit and not tested:
            rt.failed(status)
        return status

    return run


def _succeed(rt: Runtime) -> int:
    return 0


def _full(
    site: Site,
    assigns: list[Assignment],
    redirects: list[Apply],
    arguments: Callable[[Runtime], list[str]],
    invoke: Invoke,
    tested: bool,
) -> Run:
    """Words with assignments or redirections."""
    nothing = _no_words(site, assigns, redirects, tested)

    def run(rt: Runtime) -> int:
        rt.at = site
        rt.substituted = 0
        argv = arguments(rt)
        if not argv:
            return nothing(rt)
        command = _with_assignments(rt, assigns, argv, invoke, site)
        if argv[0] == "exec" and "exec" not in rt.functions:
            status = _exec(rt, redirects, command, argv)
        elif redirects:
            status = _redirected(rt, redirects, command)
        else:
            status = command(rt)
        rt.status, rt.pipe_status = status, None
        rt.last_argument = argv[-1]
        if status and rt.errexit and not tested:
            rt.failed(status)
        return status

    return run


def _with_assignments(rt: Runtime, assigns: list[Assignment], argv: list[str], invoke: Invoke, site: Site) -> Run:
    """The command, with its assignments in force while it runs, and exported."""

    def run(rt: Runtime) -> int:
        if not assigns:
            if rt.xtrace:
                _trace(rt, [], argv)
            return invoke(rt, argv)
        rt.vars.push()
        try:
            done = [_assign_before(rt, assignment, site) for assignment in assigns]
            if rt.xtrace:
                _trace(rt, done, argv)
            return invoke(rt, argv)
        finally:
            rt.vars.pop()

    return run


def _assign_before(rt: Runtime, assignment: Assignment, site: Site) -> str:
    """One assignment before a command; gives it as `set -x` shows it."""
    name, text = assignment.name, assignment.text
    value = assignment.before(rt) if text is None else text(rt)
    if value is None:
        return ""
    rt.vars.local(name)
    if name in rt.vars.arrays:
        rt.vars.fresh(name)
    rt.assign(name, value, site)
    rt.vars.export(name)
    return f"{name}={quote(value)}" if rt.xtrace else ""


def _redirected(rt: Runtime, redirects: list[Apply], command: Run) -> int:
    """A command with its redirections done before and undone after it."""
    from aish.lang.descriptors import restore

    saved: list[tuple[int, int]] = []
    try:
        try:
            for apply in redirects:
                apply(rt, saved)
        except CommandError as error:
            rt.report(error)
            return error.status
        return command(rt)
    finally:
        restore(saved)


def _exec(rt: Runtime, redirects: list[Apply], command: Run, argv: list[str]) -> int:
    """`exec`: its redirections stay, unless one of them fails."""
    from aish.lang.descriptors import drop, restore

    saved: list[tuple[int, int]] = []
    try:
        for apply in redirects:
            apply(rt, saved)
    except CommandError as error:
        restore(saved)
        rt.report(error)
        return error.status
    if len(argv) == 1:
        drop(saved)
    try:
        return command(rt)
    finally:
        restore(saved)  # still here: the program could not be run


# ------------------------------------------------------------------------------------- command words


def _invocation(name: str | None, tested: bool, last: bool) -> Invoke:
    """How to run an argv whose first word is `name`, or not known before (None)."""
    if name is None:
        return lambda rt, argv: invoke(rt, argv, tested=tested, last=last)
    builtin = builtins.find(name)
    if builtin is None:
        return lambda rt, argv: invoke(rt, argv, tested=tested, last=last)
    if name in builtins.SPECIAL or name == "command":  # they may run other commands: eval, .
        return lambda rt, argv: invoke(rt, argv, tested=tested, last=last)
    regular = builtin

    def run(rt: Runtime, argv: list[str]) -> int:
        if name in rt.functions:
            return invoke(rt, argv, tested=tested, last=last)
        return run_builtin(rt, regular, argv)

    return run


def invoke(rt: Runtime, argv: list[str], *, tested: bool = False, last: bool = False, functions: bool = True) -> int:
    """Run a function, a built-in, a supervised stage or a program."""
    name = argv[0]
    if tested:
        rt.tested += 1
    try:
        if functions and name in rt.functions:
            return rt.call(rt.functions[name], argv)
        builtin = builtins.find(name)
        if builtin is not None:
            return run_builtin(rt, builtin, argv)
    finally:
        if tested:
            rt.tested -= 1
    return run_external(rt, argv, last=last)


def run_builtin(rt: Runtime, builtin: Builtin, argv: list[str]) -> int:
    """Call a built-in; what it cannot do is reported under its name."""
    try:
        return builtin(rt, argv)
    except CommandError as error:
        rt.complain_of(argv[0], error)
        return error.status
    except OSError as error:
        rt.complain(f"{argv[0]}: {error.strerror}")
        return 1


def run_external(rt: Runtime, argv: list[str], *, last: bool = False) -> int:
    """Run a supervised stage or a program."""
    from aish.lang import process

    if argv[0][:1] == "%" and rt.monitor:
        return invoke(rt, ["fg", *argv])
    try:
        if rt.host.is_supervised(argv[0]):
            return process.run_stage(rt, argv, last=last)
        return process.run_program(rt, argv, last=last)
    except CommandError as error:
        rt.complain_not_run(argv[0], error)
        return error.status


def _trace(rt: Runtime, assigns: list[str], argv: list[str]) -> None:
    """`set -x`."""
    from aish.lang.trace import trace

    trace(rt, assigns, argv)
