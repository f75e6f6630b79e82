"""for ((;;)), select and (( )) to closures."""

from __future__ import annotations

from aish.lang import compile_word
from aish.lang.compile_arithmetic import arithmetic
from aish.lang.compile_compound import refused
from aish.lang.control import Break, Continue
from aish.lang.source import ExpansionError, Site
from aish.lang.tree import Arithmetic, Literal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from aish.lang.compile_word import Fields, Text
    from aish.lang.runtime import Run, Runtime
    from aish.lang.source import Source
    from aish.lang.tree_bash import Calculation, Counting, Select

    Value = Callable[[Runtime], int]


def _expression(src: Source, node: Arithmetic, text: str | Text, site: Site | None = None) -> Value:
    """The number of one expression of (( )), told by `set -x` as `text`. With `site` it is a command for DEBUG traps;
    0 where one holds it back."""
    number = arithmetic(src, node)
    if all(isinstance(part, Literal) or compile_word.is_plain(part) for part in node.parts):
        text = compile_word.joined([compile_word.text_part(src, part, True) for part in node.parts])
    shown = compile_word.as_text(text)

    def run(rt: Runtime) -> int:
        if site is not None and rt.debugs:
            rt.at = site
            if rt.held_back():
                return 0
        if rt.xtrace:
            from aish.lang.trace import show

            show(rt, f"(( {shown(rt)} ))")
        return number(rt)

    return run


def _one_of_three(src: Source, node: Counting, part: Arithmetic | None) -> Value:
    """An expression of for (( )); an empty one is 1."""
    if part is None:
        part = Arithmetic(node.start, node.start, [Literal(node.start, node.start, "1")])
    else:
        head = part.parts[0]
        if isinstance(head, Literal):  # the blanks in front are not shown
            text = head.text.lstrip()
            head = Literal(head.end - len(text), head.end, text)
            part = Arithmetic(head.start, part.end, [head, *part.parts[1:]])
    site = Site(src, part.start, part.end, part)
    site.line = src.line(node.start)
    return _expression(src, part, src.text[part.start : part.end], site)


def _failed(rt: Runtime, error: ExpansionError) -> int:
    """An expression without a value is a command that fails, unless it may not be unset."""
    if error.fatal or error.discards:
        raise error
    rt.report(error)
    return 1


def calculation(src: Source, node: Calculation, tested: bool) -> Run:
    """((expression)): a command that succeeds where the value is not 0."""
    site = Site(src, node.start, node.end, node)
    expression = node.expression
    value = _expression(src, expression, src.text[expression.start + 2 : expression.end - 2])

    def run(rt: Runtime) -> int:
        rt.at = site
        if rt.debugs and rt.held_back():
            return 0
        try:
            status = 0 if value(rt) else 1
        except ExpansionError as error:
            status = _failed(rt, error)
        rt.status, rt.pipe_status = status, None
        if status and rt.errexit and not tested:
            rt.failed(status)
        return status

    return run


def counting(src: Source, node: Counting, body: Run, tested: bool) -> Run:
    """for ((first; test; step))."""
    site = Site(src, node.start, node.end)
    first, test, step = (_one_of_three(src, node, part) for part in (node.first, node.test, node.step))

    def loop(rt: Runtime) -> int:
        status = 0
        first(rt)
        while test(rt):
            try:
                if rt.pending:
                    rt.signals.poll()
                status = body(rt)
                if rt.pending:
                    rt.signals.poll()
            except Continue as error:
                status = 0
                if error.levels > 1:
                    raise Continue(error.levels - 1) from None
            step(rt)
        return status

    def guarded(rt: Runtime) -> int:
        try:
            return loop(rt)
        except ExpansionError as error:
            status = _failed(rt, error)
            if rt.errexit and not tested:
                rt.failed(status)
            return status

    return _until_break(site, guarded)


def select(src: Source, node: Select, body: Run) -> Run:
    """A menu on stderr, the answer's number from stdin, until `break` or the end of the input."""
    words: Fields = lambda rt: rt.params  # noqa: E731
    if node.words is not None:
        words = compile_word.argument_list([compile_word.fields(src, word) for word in node.words])
    name = node.name
    site = Site(src, node.start, node.end, node)

    def loop(rt: Runtime) -> int:
        from aish.lang.menu import choose

        status = 0
        values = words(rt)
        shown = False
        while values:
            rt.at = site
            if rt.debugs and rt.held_back():
                return 0
            if rt.xtrace and not shown:
                from aish.lang.trace import show_head

                show_head(rt, src, "select", name, node.words)
            number = choose(rt, values, again=shown)
            if number is None:
                return 1
            shown = True
            try:
                rt.assign(name, values[number - 1] if 1 <= number <= len(values) else "", site)
            except ExpansionError as error:
                return refused(rt, error)
            try:
                if rt.pending:
                    rt.signals.poll()
                status = body(rt)
                if rt.pending:
                    rt.signals.poll()
            except Continue as error:
                status = 0
                if error.levels > 1:
                    raise Continue(error.levels - 1) from None
            shown = bool(rt.values.get("REPLY"))
        return status

    return _until_break(site, loop)


def _until_break(site: Site, loop: Run) -> Run:
    """A loop as a command: `break` ends it, and its status is the command's."""

    def run(rt: Runtime) -> int:
        rt.at = site
        rt.loops += 1
        try:
            status = loop(rt)
        except Break as error:
            status = error.status
            if error.levels > 1:
                raise Break(error.levels - 1, status) from None
        finally:
            rt.loops -= 1
        rt.pipe_status = rt.pipe_status or [rt.status]
        rt.status = status
        return status

    return run
