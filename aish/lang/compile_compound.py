"""{ } if for while until case to closures; the others by their own files."""

from __future__ import annotations

from aish.lang import compile_word
from aish.lang import pattern as language
from aish.lang.control import Break, CommandError, Continue
from aish.lang.pattern import compiled
from aish.lang.source import ExpansionError, Site
from aish.lang.tree import Case, Compound, For, Group, If, While

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from aish.lang.compile_redirect import Apply
    from aish.lang.compile_word import Fields
    from aish.lang.runtime import Run, Runtime
    from aish.lang.source import Source
    from aish.lang.tree import Sequence, Word


def compile_node(src: Source, node: Compound, tested: bool) -> Run:
    """The closure for a compound command with its redirections."""
    match node:
        case Group():
            run = _sequence(src, node.body, tested)
        case If():
            run = _if(src, node, tested)
        case For() if type(node) is For:
            run = _for(src, node, tested)
        case While():
            run = _while(src, node, tested)
        case Case():
            run = _case(src, node, tested)
        case _:
            run = _of_bash(src, node, tested)
    if isinstance(node, For) and node.words and compile_word.opens_files(node.words):
        from aish.lang.compile_process import closing

        run = closing(run)
    return redirected(src, node, run, tested) if node.redirects else run


def redirected(src: Source, node: Compound, run: Run, tested: bool) -> Run:
    """A compound command inside its redirections."""
    from aish.lang.compile_redirect import compile_redirects, give_stdin
    from aish.lang.descriptors import restore

    redirects: list[Apply] = compile_redirects(src, node.redirects)
    site = Site(src, node.start, node.end)
    gives = give_stdin(node.redirects)

    def inside(rt: Runtime) -> int:
        saved: list[tuple[int, int]] = []
        given = rt.stdin_given
        try:
            try:
                for apply in redirects:
                    apply(rt, saved)
            except CommandError as error:
                rt.at = site
                rt.report(error)
                rt.status = error.status
                if rt.errexit and not tested:
                    rt.failed(error.status)
                return error.status
            rt.stdin_given = given or gives
            if rt.pending:  # since a substitution in the redirections; below, too: what comes before a body
                rt.signals.poll()
            return run(rt)
        except ExpansionError as error:
            rt.report(error)  # here, while its words go where the script sends them
            raise
        finally:
            rt.stdin_given = given
            restore(saved)

    return inside


def _of_bash(src: Source, node: Compound, tested: bool) -> Run:
    from aish.lang import compile_loop
    from aish.lang.tree_bash import Calculation, Counting, Select, Test

    match node:
        case Select():
            return compile_loop.select(src, node, _sequence(src, node.body, tested))
        case Counting():
            return compile_loop.counting(src, node, _sequence(src, node.body, tested), tested)
        case Calculation():
            return compile_loop.calculation(src, node, tested)
        case Test():
            from aish.lang.compile_test import compile_test

            return compile_test(src, node, tested)
        case _:
            raise AssertionError(node)


def _sequence(src: Source, node: Sequence, tested: bool) -> Run:
    from aish.lang.compile import compile_sequence

    return compile_sequence(src, node, tested)


def _if(src: Source, node: If, tested: bool) -> Run:
    arms = [(_sequence(src, test, True), _sequence(src, body, tested)) for test, body in node.arms]
    orelse = _sequence(src, node.orelse, tested) if node.orelse else None
    if len(arms) == 1:
        return _if_one(*arms[0], orelse)

    def run(rt: Runtime) -> int:
        for test, body in arms:
            found = test(rt)
            if rt.pending:
                rt.signals.poll()
            if found == 0:
                return body(rt)
        if orelse:
            return orelse(rt)
        rt.pipe_status = rt.pipe_status or [rt.status]  # of the condition, as in bash
        rt.status = 0
        return 0

    return run


def _if_one(test: Run, body: Run, orelse: Run | None) -> Run:
    def run(rt: Runtime) -> int:
        found = test(rt)
        if rt.pending:
            rt.signals.poll()
        if found == 0:
            return body(rt)
        if orelse:
            return orelse(rt)
        rt.pipe_status = rt.pipe_status or [rt.status]  # of the condition, as in bash
        rt.status = 0
        return 0

    return run


def _while(src: Source, node: While, tested: bool) -> Run:
    test = _sequence(src, node.condition, True)
    body = _sequence(src, node.body, tested)
    until = node.until

    def run(rt: Runtime) -> int:
        status = 0
        rt.loops += 1
        try:
            while True:
                try:
                    while (test(rt) == 0) is not until:
                        if rt.pending:
                            rt.signals.poll()
                        status = body(rt)
                        if rt.pending:
                            rt.signals.poll()
                    break
                except Continue as error:
                    status = 0
                    if error.levels > 1:
                        raise Continue(error.levels - 1) from None
        except Break as error:
            status = error.status
            if error.levels > 1:
                raise Break(error.levels - 1, status) from None
        finally:
            rt.loops -= 1
        rt.pipe_status = rt.pipe_status or [rt.status]  # of the last pipeline in it, as in bash
        rt.status = status
        return status

    return run


def _for(src: Source, node: For, tested: bool) -> Run:
    words: Fields
    if node.words is None:
        words = lambda rt: rt.params  # noqa: E731
    else:
        words = compile_word.argument_list([compile_word.fields(src, word) for word in node.words])
    body = _sequence(src, node.body, tested)
    name = node.name
    site = Site(src, node.start, node.end, node)

    def run(rt: Runtime) -> int:
        status = 0
        rt.at = site
        values = iter(words(rt))
        rt.loops += 1
        try:
            while True:
                try:
                    if rt.pending:
                        rt.signals.poll()
                    for value in values:
                        if rt.debugs:
                            rt.at = site
                            if rt.held_back():
                                continue
                        if rt.xtrace:
                            _trace_head(rt, src, "for", name, node.words)
                        if name in rt.vars.guarded:
                            try:
                                _next_value(rt, name, value, site)
                            except ExpansionError as error:  # a readonly variable
                                status = refused(rt, error)
                                if rt.errexit and not tested:
                                    rt.failed(status)
                                break
                        else:
                            rt.values[name] = value
                        status = body(rt)
                        if rt.pending:
                            rt.signals.poll()
                    break
                except Continue as error:
                    status = 0
                    if error.levels > 1:
                        raise Continue(error.levels - 1) from None
        except Break as error:
            status = error.status
            if error.levels > 1:
                raise Break(error.levels - 1, status) from None
        finally:
            rt.loops -= 1
        rt.pipe_status = rt.pipe_status or [rt.status]  # of the last pipeline in it, as in bash
        rt.status = status
        return status

    return run


def _trace_head(rt: Runtime, src: Source, word: str, name: str, words: list[Word] | None) -> None:
    from aish.lang.trace import show_head

    show_head(rt, src, word, name, words)


def refused(rt: Runtime, error: ExpansionError) -> int:
    """The variable of a loop is readonly: the loop fails, in posix mode the shell."""
    if rt.posix:
        raise error
    rt.report(error)
    return 1


def _next_value(rt: Runtime, name: str, value: str, site: Site) -> None:
    """`for name`, where name needs care: a reference gets another target each time."""
    if name not in rt.vars.references:
        rt.assign(name, value, site)
        return
    from aish.lang.subscripts import refer

    try:
        refer(rt, name, value)
    except CommandError as error:
        raise rt.error_at(error, site) from None


def _case(src: Source, node: Case, tested: bool) -> Run:
    subject = compile_word.as_text(compile_word.text(src, node.subject))
    arms = [
        ([_matcher(src, word) for word in arm.patterns], _sequence(src, arm.body, tested), arm.terminator)
        for arm in node.arms
    ]
    site = Site(src, node.start, node.end, node)

    def run(rt: Runtime) -> int:
        rt.at = site
        if rt.debugs and rt.held_back():
            return 0
        if rt.xtrace:
            from aish.lang.trace import show, written_as

            show(rt, f"case {written_as(src, node.subject)} in")
        value = subject(rt)
        status = -1
        falls = False
        for matchers, body, terminator in arms:
            if not falls:
                for matches in matchers:
                    if matches(rt, value):
                        break
                else:
                    continue
            if rt.pending:
                rt.signals.poll()
            status = body(rt)
            if terminator not in (";&", ";;&"):
                break
            falls = terminator == ";&"
        if status < 0:
            rt.pipe_status = rt.pipe_status or [rt.status]
            rt.status = status = 0
        return status

    return run


def _matcher(src: Source, word: Word) -> Callable[[Runtime, str], bool]:
    pattern = compile_word.pattern(src, word)
    if isinstance(pattern, str):
        constant = compiled(pattern)
        if constant.literal is not None:
            literal = constant.literal
            return lambda rt, value: value == literal if not language.dialect else constant.matches(value)
        return lambda rt, value: constant.matches(value)
    closure = pattern
    return lambda rt, value: compiled(closure(rt)).matches(value)
