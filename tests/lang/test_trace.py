"""`set -x`: the lines are those of bash, for every kind of command."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from aish.lang.descriptors import FIRST_PRIVATE

if TYPE_CHECKING:
    from tests.lang.conftest import Aish

BASH = shutil.which("bash")

SCRIPTS = [
    "echo a 'b c' \"\" '*' \"it's\" a=b '~' a~ '#x' a#b '{' '!' % , : '$x' '`' '[' ']' '?' '^'",
    "x=1; y='a b'; z=; x+=2; x=1 y=2 true; export e=3; readonly r='q r'",
    "for i in 1 'a b' $e; do :; done; for i; do :; done; case x in x) ;; esac; case \"a b\" in *) ;; esac",
    "((1 + 1)); x=2; (( x > 1 )); for ((i=0;i<2;i++)); do :; done; let y=1",
    "[[ a == b* && -n x ]]; [[ a -eq 1 ]]; [[ -z '' ]]; [[ ! -f /x || a < b ]]; [[ abc =~ a(b)c ]]; [[ x ]]",
    "f() { echo in $1; }; f 1; (echo sub); { echo group; }; if true; then :; fi; while false; do :; done; ! true",
    "echo $(echo inner); x=$(echo v); eval 'echo e'; eval 'eval \"echo deep\"'; echo `echo bq`",
    "PS4='[$LINENO] '; echo a\necho b; PS4='+$(echo x) '; echo c; unset PS4; echo d",
    "true >f; echo a 2>/dev/null; >f; x=y >f; exec 3>f; cat < /dev/null",
    "set -- a b; shift; . /dev/null; read v <<< hi; trap 'echo t' EXIT",
    "a=(1 'b c'); a[1]=x; declare -i n=3; echo {1..3}",
]


@pytest.mark.skipif(BASH is None, reason="needs bash, which is the oracle")
@pytest.mark.parametrize("script", SCRIPTS)
def test_as_bash(script: str, aish: Aish) -> None:
    assert BASH is not None
    text = f"exec 2>&1; set -x; {script}\n"
    done = subprocess.run(
        [BASH, "-c", text], capture_output=True, text=True, cwd=aish.folder, env=aish.environment, timeout=30
    )
    assert aish(text).out == done.stdout


def test_what_is_no_text_is_escaped(aish: Aish) -> None:
    assert aish("set -x; : $'\\001' $'a\\tb'").err == "+ : $'\\001' 'a\tb'\n"


def test_descriptors_of_the_shell_are_no_place_to_trace_to(aish: Aish) -> None:
    """The group's stdout is kept there: BASH_XTRACEFD closed it, and nothing was written any more."""
    kept = FIRST_PRIVATE
    found = aish(f"{{ BASH_XTRACEFD={kept}; unset BASH_XTRACEFD; echo in; }} > f; cat f; echo out")
    assert (found.out, found.status) == ("in\nout\n", 0)
    assert f"BASH_XTRACEFD: {kept}: no descriptor" in found.err
    script = f"exec {kept}> f; BASH_XTRACEFD={kept}; exec {kept}>&-; {{ unset BASH_XTRACEFD; echo in; }} > f"
    found = aish(f"{script}; cat f; echo out")
    assert (found.out, found.err, found.status) == ("in\nout\n", "", 0)


def test_it_goes_where_stderr_of_the_shell_goes(aish: Aish) -> None:
    """Not where the command's own redirection points."""
    assert aish("set -x; echo a 2>f; cat f").err == "+ echo a\n+ cat f\n"
