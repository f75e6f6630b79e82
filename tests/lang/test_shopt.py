"""Options: one table for all who read it, and what is told where bash tells less."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from aish.lang import options, shopts

if TYPE_CHECKING:
    from tests.lang.conftest import Aish


def test_what_is_on_at_the_start_is_an_option() -> None:
    assert set(shopts.NAMES) >= options.SHOPT_AT_START
    assert len(set(shopts.NAMES)) == len(shopts.NAMES)


def test_each_option_of_set_can_be_told_and_turned(aish: Aish) -> None:
    """`monitor` and `noexec` apart: they would change the rest of the script."""
    names = sorted(set(options.NAMES) - {"monitor", "noexec", "verbose", "xtrace", "onecmd"})
    script = "".join(f"set -o {name}; shopt -qo {name} || echo {name} off; set +o {name}\n" for name in names)
    assert aish(script + "echo end").out == "end\n"


def test_each_option_of_shopt_can_be_told_and_turned(aish: Aish) -> None:
    script = "".join(
        f"shopt -s {name}; shopt -q {name} || echo {name} off; shopt -u {name}\n"
        for name in sorted(set(shopts.NAMES) - shopts.FIXED)
    )
    assert aish(script + "echo end").out == "end\n"


def test_an_unknown_option_is_told_with_what_to_do(aish: Aish) -> None:
    found = aish("shopt -s nullglobb")
    assert found.status == 1
    assert "nullglobb: no such option" in found.err
    assert "shopt lists them" in found.err


def test_bashopts_and_shellopts_cannot_be_set(aish: Aish) -> None:
    found = aish("case :$BASHOPTS: in *:sourcepath:*) echo yes ;; esac; SHELLOPTS=x; echo no")
    assert found.out.splitlines()[0] == "yes"
    assert "SHELLOPTS: readonly variable" in found.err


def test_errexit_is_not_told_as_on_while_only_an_err_trap_is_set(aish: Aish) -> None:
    """Both are one flag of the closures."""
    assert aish("trap 'echo err' ERR; shopt -o errexit; case $- in *e*) echo e ;; esac; false; echo on").out == (
        "errexit        \toff\nerr\nerr\non\n"
    )


@pytest.mark.parametrize("script", ["echo a b | read x y; echo $x$y", "echo 1 | { exit 3; }; echo no"])
def test_lastpipe_leaves_no_child_behind(script: str, aish: Aish) -> None:
    """The shell waits for the other stages also where the last one ends it."""
    found = aish(f"shopt -s lastpipe; {script}")
    assert (found.out, found.status) in (("ab\n", 0), ("", 3))


def test_options_are_handed_on_by_the_environment(aish: Aish) -> None:
    """`env SHELLOPTS=xtrace make` traces every shell that make starts."""
    environment = aish.environment | {"SHELLOPTS": "errexit:nosuch", "BASHOPTS": "nullglob:nosuch"}
    found = aish("shopt -p nullglob; echo /nosuch* x; false; echo no", env=environment)
    assert (found.out, found.status) == ("shopt -s nullglob\nx\n", 1)
