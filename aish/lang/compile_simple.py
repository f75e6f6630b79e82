"""Simple commands to closures: assignments, words and redirections."""

from __future__ import annotations

from aish.lang import builtins, compile_word
from aish.lang.control import CommandError, Exit
from aish.lang.invocation import ends_shell, invocation
from aish.lang.name_value import split_assignment
from aish.lang.source import ExpansionError, Site
from aish.lang.text import is_name
from aish.lang.tree import Assign, Literal, Simple, Word

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from aish.lang.compile_assign import Assignment
    from aish.lang.compile_redirect import Apply
    from aish.lang.compile_word import Text
    from aish.lang.invocation import Invoke
    from aish.lang.runtime import Run, Runtime
    from aish.lang.source import Source


def compile_simple(src: Source, node: Simple, tested: bool, last: bool) -> Run:
    """The closure for a simple command, as plain as the command allows."""
    run = _compile(src, node, tested, last)
    if any(map(split_assignment, node.words[1:])):
        run = _keyworded(src, node, run, tested, last)
    words = node.words + [item.value for item in node.assigns] if node.assigns else node.words
    if tested and compile_word.substitutes(words):
        run = _tested(run)
    if compile_word.opens_files(words):
        from aish.lang.compile_process import closing

        return closing(run)
    return run


def _keyworded(src: Source, node: Simple, plain: Run, tested: bool, last: bool) -> Run:
    """Under `set -k` the assignments behind the command word are made before it, too."""
    other: list[Run] = []

    def run(rt: Runtime) -> int:
        if not rt.keyword:
            return plain(rt)
        if not other:
            found = [(word, split_assignment(word)) for word in node.words[1:]]
            words = [node.words[0], *[word for word, assign in found if assign is None]]
            assigns = [*node.assigns, *[assign for _, assign in found if assign is not None]]
            twin = Simple(node.start, node.end, assigns, words, node.redirects)
            other.append(_compile(src, twin, tested, last))
        return other[0](rt)

    return run


def _tested(run: Run) -> Run:
    """A command whose failure is a condition's answer: it is for the commands in its words, too."""

    def whole(rt: Runtime) -> int:
        rt.tested += 1
        try:
            return run(rt)
        finally:
            rt.tested -= 1

    return whole


def _compile(src: Source, node: Simple, tested: bool, last: bool) -> Run:
    site = Site(src, node.start, node.end, node)
    if "\n" in src.text[node.start : node.end]:
        site.line = _line(src, node)
    assigns: list[Assignment] = []
    if node.assigns:
        from aish.lang.compile_assign import compile_assign

        assigns = [compile_assign(src, item) for item in node.assigns]
    redirects: list[Apply] = []
    if node.redirects:
        from aish.lang.compile_redirect import compile_redirects

        redirects = compile_redirects(src, node.redirects)
    if not node.words:
        if redirects or len(assigns) != 1 or assigns[0].text is None:
            return _no_words(site, assigns, redirects, tested)
        return _one_assignment(site, assigns[0].name, assigns[0].text, tested)
    argv = compile_word.argument_list(_arguments(src, node.words))
    invoke = invocation(node.words[0].literal(), tested, last)
    if assigns or redirects:
        return _full(site, assigns, redirects, argv, invoke, tested)
    return _plain(site, argv, invoke, tested)


def _line(src: Source, node: Simple) -> int:
    """$LINENO of a command of several lines: where its second word ends, as in bash."""
    ends = sorted([item.end for item in (*node.assigns, *node.words, *node.redirects)])
    return src.line(ends[1] if len(ends) > 1 else ends[0])


def _arguments(
    src: Source, words: list[Word]
) -> list[compile_word.Constant | compile_word.Single | compile_word.Many]:
    alone = sum(1 for word in words if word.parts and type(word.parts[0]) is Assign) == 1
    return [_assigning(src, words, at, alone) or compile_word.fields(src, word) for at, word in enumerate(words)]


def _assigning(
    src: Source, words: list[Word], at: int, alone: bool
) -> compile_word.Constant | compile_word.Single | compile_word.Many | None:
    """An argument of `declare` and its kin that assigns is expanded like an assignment, after its braces. `alone`: no
    other one does."""
    word = words[at]
    node = word.parts[0] if word.parts else None
    if type(node) is not Assign:
        return None
    from aish.lang.compile_assign import is_compound

    if is_compound(node):
        from aish.lang.compile_array import in_turn

        before = [other.literal() or "" for other in words[:at]]
        return compile_word.Single(in_turn(src, node, before, alone))
    if node.index is None and any(type(part) is Literal and "{" in part.text for part in node.value.parts):
        from aish.lang.compile_braces import braced

        head = Literal(node.start, node.value.start, src.text[node.start : node.value.start])
        return braced(src, Word(node.start, node.end, [head, *node.value.parts]), _declared)
    return _assigned(src, node)


def _declared(src: Source, word: Word) -> compile_word.Constant | compile_word.Single | compile_word.Many:
    """One of the words that braces in such an argument gave."""
    found = split_assignment(word)
    return compile_word.unbraced(src, word) if found is None else _assigned(src, found)


def _assigned(src: Source, node: Assign) -> compile_word.Constant | compile_word.Single:
    value = compile_word.text(src, node.value)
    text = compile_word.joined([f"{node.name}{'+' * node.append}=", value])
    if node.index is not None:
        text = compile_word.joined(
            [f"{node.name}[", compile_word.text(src, node.index), f"]{'+' * node.append}=", value]
        )
    return compile_word.Constant(text) if isinstance(text, str) else compile_word.Single(text)


# ------------------------------------------------------------------------------------------- closures


def _plain(site: Site, arguments: Callable[[Runtime], list[str]], invoke: Invoke, tested: bool) -> Run:
    """Words only: most commands."""

    def run(rt: Runtime) -> int:
        rt.at = site
        if rt.debugs and rt.held_back():
            return 0
        rt.substituted = 0
        argv = arguments(rt)
        if not argv:
            rt.status = status = rt.substituted
            rt.pipe_status = None
            if status and rt.errexit and not tested:
                rt.failed(status)
            return status
        if rt.xtrace:
            _trace(rt, argv)
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
        if rt.debugs and rt.held_back():
            return 0
        rt.substituted = 0
        value = text(rt)
        if rt.xtrace:
            _trace_assignment(rt, name, value)
        if name in rt.vars.guarded:
            rt.assign(name, value, site)
        else:
            rt.values[name] = value
        rt.status = status = rt.substituted
        rt.pipe_status = None
        rt.last_argument = ""
        if status and rt.errexit and not tested:
            rt.failed(status)
        return status

    return run


def _no_words(site: Site, assigns: list[Assignment], redirects: list[Apply], tested: bool) -> Run:
    """Assignments, or redirections, without a command: the shell does them itself."""
    perform = _perform(site, assigns, redirects, tested)

    def run(rt: Runtime) -> int:
        rt.at = site
        if rt.debugs and rt.held_back():
            return 0
        rt.substituted = 0
        return perform(rt)

    return run


def _perform(site: Site, assigns: list[Assignment], redirects: list[Apply], tested: bool) -> Run:
    """The same, behind words that gave nothing: the status is that of the last substitution in them."""

    def run(rt: Runtime) -> int:
        if redirects:
            status = _redirected(rt, redirects, _succeed)
            if status:
                rt.status, rt.pipe_status = status, None
                if rt.errexit and not tested:
                    rt.failed(status)
                return status
        for assignment in assigns:
            shown = assignment.store(rt)
            if rt.xtrace:
                _show(rt, shown)
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
    nothing = _perform(site, assigns, redirects, tested)

    def run(rt: Runtime) -> int:
        rt.at = site
        if rt.debugs and rt.held_back():
            return 0
        rt.substituted = 0
        argv = arguments(rt)
        if not argv:
            return nothing(rt)
        command = _with_assignments(rt, assigns, argv, invoke, site)
        if _is_exec(rt, argv):
            status = _exec(rt, redirects, command, argv)
        elif redirects:
            special = argv[0] in builtins.SPECIAL and argv[0] not in rt.functions
            status = _redirected(rt, redirects, command, special=special, program=not _is_of_shell(rt, argv[0]))
        else:
            status = command(rt)
        rt.status, rt.pipe_status = status, None
        rt.last_argument = argv[-1]
        if status and rt.errexit and not tested:
            rt.failed(status)
        return status

    return run


def _is_exec(rt: Runtime, argv: list[str]) -> bool:
    """Whether the command is `exec`, behind `command` perhaps: its redirections stay."""
    if argv[0] == "exec":
        return "exec" not in rt.functions
    if argv[0] != "command" or "command" in rt.functions:
        return False
    words = [word for word in argv[1:] if word not in ("-p", "--")]
    return words[:1] == ["exec"]


def _with_assignments(rt: Runtime, assigns: list[Assignment], argv: list[str], invoke: Invoke, site: Site) -> Run:
    """The command, with its assignments in force while it runs, and exported. In posix mode those before a special
    built-in stay."""
    if not assigns:
        if rt.xtrace:
            _trace(rt, argv)
        return lambda rt: invoke(rt, argv)

    def run(rt: Runtime) -> int:
        if rt.posix and argv[0] in builtins.SPECIAL and argv[0] not in rt.functions:
            for assignment in assigns:
                shown = assignment.store(rt)
                if rt.xtrace:
                    _show(rt, shown)
                if argv[0] == "exec" and len(argv) > 1:
                    rt.vars.export(assignment.name)  # the program that takes our place has them, whatever stays here
            if rt.xtrace:
                _trace(rt, argv)
            return invoke(rt, argv)
        rt.vars.push()
        try:
            for assignment in assigns:
                _assign_before(rt, assignment, site)
            if rt.xtrace:
                _trace(rt, argv)
            return invoke(rt, argv)
        finally:
            rt.vars.pop()

    return run


def _assign_before(rt: Runtime, assignment: Assignment, site: Site) -> None:
    """One assignment before a command. A readonly variable keeps its value, and the command runs with that; in
    posix mode it does not run."""
    name, text = assignment.name, assignment.text
    value = assignment.before(rt) if text is None else text(rt)
    if value is None:
        return
    if name in rt.vars.references:
        from aish.lang import subscripts

        target, subscript = subscripts.resolve(rt, name)
        name = name if subscript is not None else target
    if rt.xtrace:
        _trace_assignment(rt, name, value)
    if name in rt.vars.readonly:
        if rt.posix:
            raise rt.error_at(CommandError(f"{name}: readonly variable"), site)
        rt.complain(f"{name}: readonly variable")
        return
    if rt.vars.temporary(name, value):
        return
    rt.vars.local(name)
    rt.vars.fresh(name)
    rt.assign(name, value, site)
    rt.vars.export(name)


def _is_of_shell(rt: Runtime, name: str) -> bool:
    """Whether a command word is a function or a built-in."""
    return name in rt.functions or (name in builtins.TOPIC_OF and name not in rt.disabled)


def _redirected(
    rt: Runtime, redirects: list[Apply], command: Run, *, special: bool = False, program: bool = False
) -> int:
    """A command with its redirections done before and undone after it; `special`: of a special built-in, `program`:
    of a program, which other shells redirect in a process of its own, so that no error there is the script's end."""
    from aish.lang.descriptors import restore

    saved: list[tuple[int, int]] = []
    try:
        try:
            for apply in redirects:
                apply(rt, saved)
        except CommandError as error:
            rt.report(error)
            if special and ends_shell(rt):
                raise Exit(error.status) from None
            return error.status
        except ExpansionError as error:
            if not program:
                raise
            rt.report(error)
            return error.exit_status
        return command(rt)
    except ExpansionError as error:
        rt.report(error)  # here, while its words go where the script sends them
        raise
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
        if ends_shell(rt) and argv[0] == "exec":
            raise Exit(error.status) from None
        return error.status
    if argv[-1] in ("exec", "--"):
        drop(saved)
    try:
        return command(rt)
    finally:
        restore(saved)  # still here: the program could not be run


def _trace(rt: Runtime, argv: list[str]) -> None:
    """`set -x`."""
    from aish.lang.trace import trace

    trace(rt, argv)
    if argv[0] in ("export", "readonly"):
        for word in argv[1:]:
            name, equals, value = word.partition("=")
            if equals and is_name(name.removesuffix("+")):
                _trace_assignment(rt, name, value)


def _show(rt: Runtime, text: str) -> None:
    from aish.lang.trace import show

    show(rt, text)


def _trace_assignment(rt: Runtime, target: str, value: str) -> None:
    from aish.lang.trace import shown_assignment

    _show(rt, shown_assignment(target, value))
