"""[[ =~ ]]: POSIX's extended expressions. The table was made with bash, and is held against it where there is one."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from aish.lang.regex import RegexError, joined, search

if TYPE_CHECKING:
    from tests.lang.conftest import Aish

BASH = shutil.which("bash")

TABLE: list[tuple[str, str, list[str] | None]] = [
    ("abc", "b", ["b"]),
    ("abc", "^b", None),
    ("abc", "c$", ["c"]),
    ("a\nb", "a.b", ["a\nb"]),
    ("a\nb", "^b", None),
    ("aaaaab", "(a*)*b", ["aaaaab", "aaaaa"]),
    ("xab", "a|ab", ["ab"]),
    ("abcd", "(a|ab)(c|bcd)", ["abcd", "a", "bcd"]),
    ("foobarfoobar", "(foo|foobar)(bar)*", ["foobar", "foo", "bar"]),
    ("", "()*", ["", ""]),
    ("ab", "(^a)(b$)", ["ab", "a", "b"]),
    ("aXb", "a[^a-z]b", ["aXb"]),
    ("a]b", "a[]]b", ["a]b"]),
    ("a-b", "[a-]-[-b]", ["a-b"]),
    ("aab", "a{2}b", ["aab"]),
    ("aab", "a{3}b", None),
    ("aab", "a{,2}b", ["aab"]),
    ("aaab", "(a{1,2}){2}b", ["aaab", "a"]),
    ("a{x}", "a\\{x\\}", ["a{x}"]),
    ("foo.bar", "^[[:alnum:]_]+\\.([a-z]+)$", ["foo.bar", "bar"]),
    ("1.2.3", "^([0-9]+\\.)*([0-9]+)$", ["1.2.3", "2.", "3"]),
    ("k: v", "^([^:]+):[[:space:]]*(.*)$", ["k: v", "k", "v"]),
    ("aaaa", "(a|aa)+$", ["aaaa", "a"]),
    ("b", "a||b", ["b"]),
    ("xyz", "(x)?(y)?(q)?z", ["xyz", "x", "y", ""]),
    ("aab", "a**b", ["aab"]),
    ("a+b", "a[+]b", ["a+b"]),
    ("\\", "[\\]", ["\\"]),
    ("v1.2-rc1", "^v?([0-9]+)\\.([0-9]+)(-[a-z0-9]+)?$", ["v1.2-rc1", "1", "2", "-rc1"]),
    ("a.b", "a\\.b", ["a.b"]),
    ("a)", "a)", ["a)"]),
]


@pytest.mark.parametrize(("text", "expression", "found"), TABLE)
def test_search(text: str, expression: str, found: list[str] | None) -> None:
    assert search(expression, text) == found


@pytest.mark.skipif(BASH is None, reason="needs bash, which is the oracle")
def test_as_bash(aish: Aish) -> None:
    assert BASH is not None
    show = '[[ $t =~ $e ]]; printf "%s:" $? "${BASH_REMATCH[@]}"; echo'
    script = f'while IFS= read -r -d "" t && IFS= read -r -d "" e; do {show}; done'
    data = "".join(f"{text}\0{expression}\0" for text, expression, _ in TABLE).encode()
    done = subprocess.run([BASH, "-c", script], input=data, capture_output=True, timeout=60, env=aish.environment)
    assert aish(script, input=data).out == done.stdout.decode()


@pytest.mark.parametrize(
    "expression", ["(", "(a", "[", "[a", "[[:foo:]]", "[z-a]", "a{x}", "a{2,1}", "a{", "\\", "a{99999}", "(" * 300]
)
def test_what_is_no_expression(expression: str) -> None:
    with pytest.raises(RegexError):
        search(expression, "a")


@pytest.mark.parametrize("expression", ["(a*)*b", "(a|aa)*b", "(a+)+b", "((a*)*)*b", "(a|b|ab)*c", "(a?){40}a{40}b"])
def test_no_expression_takes_for_ever(expression: str) -> None:
    """Each takes longer than anyone lives with an engine that tries one way after the other."""
    assert search(expression, "a" * 60) is None


def test_an_expression_that_repeats_too_much_is_refused() -> None:
    with pytest.raises(RegexError):
        search("((((a{100}){100}){100}){100})", "a")


def test_quoted_text_stands_for_itself(aish: Aish) -> None:
    assert joined([("a.", True), ("[", False), (".", True), ("]", False)]) == "a\\.[.]"
    script = """
    p='a.c'; [[ abc =~ $p ]] && echo 1; [[ abc =~ "$p" ]] || echo 2; [[ abc =~ a'.'c ]] || echo 3
    [[ a.c =~ a\\.c ]] && echo 4; [[ "a b" =~ a\\ b ]] && echo 5; [[ "a b" =~ (a b) ]] && echo 6
    [[ ab =~ a"b|c" ]] || echo 7; [[ (a =~ a) && b =~ b ]] && echo 8
    """
    assert aish(script).out == "".join(f"{n}\n" for n in range(1, 9))


def test_no_match_empties_the_array(aish: Aish) -> None:
    show = 'echo ${#BASH_REMATCH[@]} "${BASH_REMATCH[*]}"'
    script = f"[[ ab =~ (a)(x)?b ]]; {show}; [[ x =~ y ]]; {show}"
    assert aish(script).out == "3 ab a \n0 \n"


def test_an_error_is_status_2_and_told(aish: Aish) -> None:
    found = aish("re='('; [[ a =~ $re ]]; echo $?")
    assert found.out == "2\n"
    assert "not a regular expression: unmatched (" in found.err


def test_the_engine_is_loaded_on_first_use_only(aish: Aish) -> None:
    """`re` takes as long to import as half a shell."""
    import sys

    from tests.lang.conftest import ROOT

    script = "[[ a == a* ]]; case x in [[:alpha:]]) ;; esac"
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from aish.shell import main; main(['-c', {script!r}])"
    code += "; print('re' in sys.modules)"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout == "False\n"
