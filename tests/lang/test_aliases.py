"""Aliases: where a word is replaced, where not, and that it ends. (`--posix` expands them in scripts.)"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from aish.lang.parser import Parser
from aish.lang.source import ParseError, Source

if TYPE_CHECKING:
    from tests.lang.conftest import Aish


def posix(aish: Aish, script: str) -> str:
    return aish.run(["--posix", "-c", script]).out


@pytest.mark.parametrize(
    ("script", "output"),
    [
        ("alias a='echo hi'\na there", "hi there\n"),
        ("alias a='echo hi'; a 2>/dev/null || echo same line", "same line\n"),
        ("alias a='echo hi'\n\\a 2>/dev/null; 'a' 2>/dev/null; \"a\" 2>/dev/null; echo no", "no\n"),
        ("alias e='echo ' w=word\ne w w; e x w", "word w\nx w\n"),
        ("alias e='echo ' f='e ' w=word\nf w", "word\n"),
        ("alias y='x ' x='echo a' z=last\ny z z", "a last z\n"),
        ("alias x=y y=x\nx 2>/dev/null || echo guarded", "guarded\n"),
        ("alias echo='echo +'\necho a; echo b", "+ a\n+ b\n"),
        ("alias a='echo '\na a", "echo\n"),
        ("alias i='if true; then' f=fi e='else echo'\ni echo yes; e no; f", "yes\n"),
        ("alias o='{ echo in;' c='}'\no c", "in\n"),
        ("alias p='(echo sub'\np )", "sub\n"),
        ("alias w='while' d='do' n='done'\nw false; d :; n; echo ok", "ok\n"),
        ("alias s=echo\nx=1 s a; >f s b; cat f; ! s c; s d | s e; s f && s g", "a\nb\nc\ne\nf\ng\n"),
        ("alias v='x=5 ' s=echo\nv s a", "a\n"),
        ("alias s=echo\nfor s in s; do s $s; done; case s in s) s k;; esac", "s\nk\n"),
        ("f() { z; }\nalias z='echo late'\nf 2>/dev/null; g() { z; }; g; unalias z\ng", "late\nlate\n"),
        ("alias z='echo z'\nx=$(z); echo \"$x\" `z`; eval z", "z z\nz\n"),
        ("alias m='echo one\necho two'\nm", "one\ntwo\n"),
        ("alias d='cat <<E'\nd\ndoc\nE", "doc\n"),
        ("alias q='echo \"'\nq a  b\"", " a  b\n"),
        ("alias n='echo 2'\nn>f; cat f", "2\n"),
        ("alias if=echo\nif true; then echo kept; fi", "kept\n"),
        ("alias e='echo ' if=iff\ne if", "iff\n"),
        ("alias if='echo no'\nx=1 if b; >f if c; cat f", "no b\nno c\n"),
        ("alias x='a=1 ' if='echo no'\nx if b", "no b\n"),
        ("alias i='! ' if='echo no'\ni if false; then :; else echo kept; fi", "kept\n"),
        ("alias b='echo x'\ncat <<E\n`b` $(b)\nE", "x x\n"),
        ("alias a-b='echo dash' _1='echo us'\na-b; _1", "dash\nus\n"),
        ("alias t='echo t'\n. ./lib; t", "lib t\nt\n"),
        ("alias n=''\ntrue &&\nn\necho in", "in\n"),
        ("alias n=''\nfalse || n\necho in", "in\n"),
        ("alias n=''\necho a |\nn\ncat", "a\n"),
        ("alias n=''\nf()\nn\n{ echo f; }\nf", "f\n"),
        ("alias n=''\nfunction f\nn\n{ echo f; }\nf", "f\n"),
        ("alias c='# c'\ntrue &&\nc\necho in", "in\n"),
        ("alias m='echo one\necho ' w=word\nm w", "one\nword\n"),
        ("alias m='echo one\necho two ' w=word\nm w w", "one\ntwo word w\n"),
        ("m() { echo called; }\nalias m='echo one\nm'\nm", "one\ncalled\n"),
    ],
)
def test_replacement(script: str, output: str, aish: Aish) -> None:
    (aish.folder / "lib").write_text("alias l='echo lib'\nl t\n")
    assert posix(aish, script) == output


def test_a_script_does_not_expand_them_unless_asked(aish: Aish) -> None:
    """As bash; a prompt and posix mode do."""
    assert aish("alias a='echo hi'\na 2>/dev/null || echo no").out == "no\n"


def test_the_list_can_be_read_back(aish: Aish) -> None:
    found = aish("alias b='it'\\''s' a='x y' -- ; alias -p; alias a; unalias a; alias; unalias -a; alias; echo end")
    assert found.out == "alias a='x y'\nalias b='it'\\''s'\nalias a='x y'\nalias b='it'\\''s'\nend\n"
    assert posix(aish, "alias a='x y'; alias") == "a='x y'\n"


@pytest.mark.parametrize(
    ("script", "status", "words"),
    [("alias nope", 1, "nope: not found"), ("unalias nope", 1, "nope: not found"), ("unalias", 2, "a name expected"),
     ("alias 'a b=c'", 1, "not a name for an alias"), ("alias -z", 2, "unknown option")],
)  # fmt: skip
def test_complaints(script: str, status: int, words: str, aish: Aish) -> None:
    found = aish(script)
    assert found.status == status
    assert words in found.err


def test_lines_are_those_of_the_file(aish: Aish) -> None:
    """Lines of an alias are not lines of the script."""
    script = "alias m='echo a\necho b\necho $LINENO'\nm\necho $LINENO\n\nnope\n"
    found = aish.run(["--posix", "-c", script])
    assert found.out.split("\n")[3:] == ["5", ""]
    assert found.err.startswith("-c:7:")


def test_many_replacements_are_refused(aish: Aish) -> None:
    """Each doubles the one before: sixteen lines would otherwise be a gigabyte."""
    names = "abcdefghijklmnop"
    lines = "".join(f"alias {x}='{y} {y} '\n" for x, y in pairwise(names))
    found = aish.run(["--posix", "-c", f"{lines}a"], timeout=60)
    assert found.status == 2
    assert "more than 10000 aliases" in found.err


@pytest.mark.parametrize("body", ["echo `a )`", "cat <<E\n$(a ;;)\nE\n", 'a "${x:-`a (`}"'])
def test_errors_behind_a_replacement_have_a_place(body: str) -> None:
    parser = Parser(Source("-", body))
    parser.aliases = {"a": "echo a long replacement for it"}
    with pytest.raises(ParseError) as found:
        list(iter(parser.next, None))
    assert (found.value.line or 0) >= 1
