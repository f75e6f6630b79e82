"""Brace expansion: what is one, what it gives, and what it refuses. The oracle for the table is bash."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from aish.lang.brace_expansion import BraceError, expand, has_braces
from aish.lang.script import parse
from aish.lang.tree import Simple, Word

if TYPE_CHECKING:
    from tests.lang.conftest import Aish

BASH = shutil.which("bash")

_WORDS = (
    "{a,b} a{b,c}d {1..10..2} {a..e} {01..10} {a,b}{c,d} {a,{b,c}d} {} a{}b {a} {a{b,c}} {a,b {a,b}} {{a,b} "
    "{a},b} x{,} {,a} {a,} {a,b,} {-3..3} {3..-3..2} {-01..2} {1..2..0} {a..z..5} {1..a} {1..} {..1} "
    "{1..2..3..4} {a..bc} a,b}c{d,e {}{a,b} {},{a,b} {a..c}{1..2} {{1..3},x} {a,b}..{c,d} {+1..3} {001..3} "
    "{1..003} {10..1..3} {1..5..-2} {a..e..-2} {{a,b},{c,d}} {a,}{b,c} {.,..} {..,a} {a..b,c} x{a,b..c} {1.2} "
    "{1...3} {a,b}{ {{,}} {a,{b} {a,b}}{c,d} {0..0} {-0..2} {00..2} {9..0} {1..1} {{1..2}..3} ^{a,b} {^,a} "
    "{a...c} {a,b}{1..1000000000000000000000} {,.x}"
)
WORDS = _WORDS.split()


def word_of(text: str) -> Word:
    command = parse(f"echo {text}").commands[0].items[0]
    assert isinstance(command, Simple)
    return command.words[1]


def given(text: str) -> list[str]:
    """The words, as text."""
    word = word_of(text)
    if not has_braces(word):
        return [text]
    return [
        item if isinstance(item, str) else "".join(getattr(part, "text", "?") for part in item.parts)
        for item in expand(word)
    ]


@pytest.mark.skipif(BASH is None, reason="needs bash, which is the oracle")
def test_as_bash() -> None:
    assert BASH is not None
    script = "".join(f"printf '%s ' {word}; echo\n" for word in WORDS)
    done = subprocess.run([BASH, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    for word, line in zip(WORDS, done.stdout.split("\n"), strict=False):
        assert given(word) == line.split(), word


@pytest.mark.parametrize(
    ("script", "output"),
    [
        ('echo "{a,b}" {a\\,b} {"a,b",c} {a,"b c"} \\{a,b} {$x,y}', "{a,b} {a,b} a,b c a b c {a,b} y\n"),
        ("x={a,b}; echo $x; y=1 z={1,2} sh -c 'echo $z'", "{a,b}\n{1,2}\n"),
        ("export v{1,2}=q; echo $v1$v2; export w={a,b}; echo $w", "qq\nb\n"),
        ("a=1; echo {$a..3} {a,${a}b} ${a}{x,y} $(echo i){1,2}", "{1..3} a 1b 1x 1y i1 i2\n"),
        ("set +B; echo {a,b} $-; set -o braceexpand; echo {a,b} $-", "{a,b} hc\na b hBc\n"),
        ("touch a1 a2; echo {a,b}* {a*,c}", "a1 a2 b* a1 a2 c\n"),
        ("HOME=/h; echo ~/{a,b} {~,x}/c ~{,q}", "/h/a /h/b /h/c x/c /h ~q\n"),
        ("for i in {1..3}; do printf $i; done; case '{a,b}' in {a,b}) echo same;; esac", "123same\n"),
        ("i=0; while [ $i -lt 2 ]; do i=$((i+1)); printf '%s ' {a,b}$i; done", "a1 b1 a2 b2 "),
        ("f() { set +B; }; for i in 1 2; do echo {x,y}; f; done", "x y\n{x,y}\n"),
    ],
)
def test_in_a_script(script: str, output: str, aish: Aish) -> None:
    found = aish(script)
    assert found.err == ""
    assert found.out == output


def test_empty_words_are_left_out(aish: Aish) -> None:
    """`{,}` gives nothing that a command would see, as an unset variable does."""
    assert aish('set -- {,} x{,}; echo $#; set -- ""{,}; echo $#').out == "2\n2\n"


@pytest.mark.parametrize(
    "text", ["{1..1000000000}", "{a,b}" * 30, "{1..3000}{1..3000}", "{" * 1500 + "a,b" + "}" * 1500]
)
def test_what_would_fill_the_memory_is_refused(text: str) -> None:
    with pytest.raises(BraceError):
        list(expand(word_of(text)))


def test_a_refusal_has_its_place(aish: Aish) -> None:
    found = aish("echo ok\necho {1..99999999}\necho next")
    assert found.out == "ok\nnext\n"
    assert found.err.startswith("-c:2:6: more than 2000000 words")
