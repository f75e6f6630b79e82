"""<( ) and >( ): files that are the other end of a command, and what becomes of descriptors and processes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from aish.lang.script import parse
from aish.lang.tree import ProcessSub, Simple

if TYPE_CHECKING:
    from tests.lang.conftest import Aish


def test_it_is_a_part_of_a_word() -> None:
    command = parse("cat <(a) x>(b)y").commands[0].items[0]
    assert isinstance(command, Simple)
    assert [part.op for word in command.words for part in word.parts if isinstance(part, ProcessSub)] == ["<", ">"]
    assert len(command.words) == 3


@pytest.mark.parametrize(
    ("script", "output"),
    [
        ("cat <(echo a) <(printf 'b\\n')", "a\nb\n"),
        ("cat <(sleep 0; echo forked) < /dev/null", "forked\n"),
        ("while read x; do echo \"<$x>\"; done < <(printf '1\\n2\\n')", "<1>\n<2>\n"),
        ("f() { cat $1; cat $2; }; f <(echo 1) <(sleep 0; echo 2)", "1\n2\n"),
        ("x=$(cat <(echo $(echo deep))); echo $x", "deep\n"),
        ("cat <(cat <(cat <(echo nested)))", "nested\n"),
        ("x=<(echo gone); cat $x 2>/dev/null; echo $?", "1\n"),
        ("for f in <(echo 1) <(sleep 0; echo 2); do cat $f; done", "1\n2\n"),
        ("[[ -e <(:) ]] && echo there", "there\n"),
        ("{ cat; } < <(echo group); if read x; then echo $x; fi < <(echo if)", "group\nif\n"),
        (". <(echo 'y=sourced'); echo $y", "sourced\n"),
        ("cat <(exit 3); echo $?; wait $!; echo $?", "0\n3\n"),
        ("echo '<(a)' \"<(b)\" \\<\\(c\\)", "<(a) <(b) <(c)\n"),
    ],
)
def test_reading(script: str, output: str, aish: Aish) -> None:
    found = aish(script)
    assert (found.out, found.err) == (output, "")


def test_writing(aish: Aish) -> None:
    script = "tee >(sed 's/^/a /' >fa) >(sed 's/^/b /' >fb; echo done >&2) <<< line; wait $!"
    found = aish(script + "; exec 3> >(cat >fc); echo c >&3; exec 3>&-; wait $!; cat fb fc")
    assert found.out == "line\nb line\nc\n"


def test_a_command_that_only_writes_needs_no_process(aish: Aish) -> None:
    """`$!` would name it."""
    assert aish("cat <(echo a) <(printf b); echo ${!-none}").out == "a\nbnone\n"


def test_no_descriptor_is_left_behind(aish: Aish) -> None:
    script = """
    count() { set -- /proc/self/fd/*; open=$#; }
    count; before=$open
    for i in 1 2 3; do
      cat <(echo a) > /dev/null
      read x < <(sleep 0; echo b)
      : ${v:-<(echo c)}
      y=<(sleep 0)
      cat <(echo d) >(cat) < nofile 2> /dev/null
    done
    count; [ $before = $open ] && echo same
    """
    assert aish(script).out == "same\n"


def test_a_writer_sees_its_reader_leave(aish: Aish) -> None:
    """The second substitution must not hold the first one's pipe: `yes` would never end."""
    script = "head -1 <(yes; echo status >&2) > /dev/null; p=$!; cat <(sleep 3) & kill $!; wait $p; echo ended"
    assert aish(script, timeout=60).out == "ended\n"


def test_it_is_no_redirection_and_no_comparison() -> None:
    assert parse("a <(b").incomplete
    assert parse("a < (b)").errors
    assert not parse("a <<(b)").commands or parse("a <<(b)").errors
