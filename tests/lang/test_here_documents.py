"""Here-documents in every position: where their text is, what is expanded in it, and where it ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from aish.lang.script import parse

if TYPE_CHECKING:
    from tests.lang.conftest import Aish


@pytest.mark.parametrize(
    ("script", "output"),
    [
        ("cat <<A; cat <<B\na\nA\nb\nB\necho c\n", "a\nb\nc\n"),
        ("cat <<A <<B\na\nA\nb\nB\n", "b\n"),
        ("cat <<A\n${u-$'a\\tb'} $(echo \"${u-$'c\\x64'}\")\nA\n", "$'a\\tb' cd\n"),
        ("cat <<A | tr a b\na\nA\n", "b\n"),
        ("cat <<A && cat <<B || cat <<C\na\nA\nb\nB\nc\nC\n", "a\nb\n"),
        ("{ cat <<A; }\na\nA\n(cat <<B)\nb\nB\n", "a\nb\n"),
        ("f() { cat <<A; }\nx$1\nA\nf 1; f 2\n", "x1\nx2\n"),
        ("f() {\ncat <<A\n$1\nA\n}\nf y\n", "y\n"),
        ("if cat <<A; then cat <<B; fi\na\nA\nb\nB\n", "a\nb\n"),
        ("for i in 1 2; do cat <<A; done\n$i\nA\n", "1\n2\n"),
        ("while read x; do echo $x; done <<A\n1\n2\nA\n", "1\n2\n"),
        ("case x in x) cat <<A;; esac\na\nA\n", "a\n"),
        ("case x in\nx) cat <<A\na\nA\n;; esac\n", "a\n"),
        ('x=$(cat <<A\na)b \'c\nA\n); echo "$x"\n', "a)b 'c\n"),
        ("x=`cat <<A\na\nA\n`; echo $x\n", "a\n"),
        ("cat <<A\n$(cat <<B\nb\nB\n)\nA\n", "b\n"),
        ("cat <<A &\na\nA\nwait\n", "a\n"),
        ("! cat <<A\na\nA\necho $?\n", "a\n1\n"),
        ("[[ x ]] && cat <<A\na\nA\n((1)) && cat <<B\nb\nB\n", "a\nb\n"),
        ("cat 3<<A <&3\na\nA\n", "a\n"),
        ("exec 3<<A\n1\n2\nA\nread x <&3; read y <&3; echo $y$x\n", "21\n"),
        ("cat <<A # why\na\nA\n", "a\n"),
        ("cat <<A>f\na\nA\ncat f\n", "a\n"),
        ("cat <\\\n<A\na\nA\n", "a\n"),
        ("cat << \\\nA\na\nA\n", "a\n"),
        ("eval 'cat <<A\na\nA'\n", "a\n"),
        ("cat <(cat <<A\na\nA\n)\n", "a\n"),
        ("f() { cat; } <<A\n$1\nA\nf x; f y\n", "x\ny\n"),
        ("time cat <<A 2>/dev/null\na\nA\n", "a\n"),
        ("coproc cat <<A\na\nA\ncat <&${COPROC[0]}\n", "a\n"),
    ],
)
def test_position(script: str, output: str, aish: Aish) -> None:
    assert aish(script).out == output


@pytest.mark.parametrize(
    ("script", "output"),
    [
        ("cat <<A\n$x `echo b` $(echo c) $((1+1)) \\$x \\\\ \\` \\a \" '\nA\n", "v b c 2 $x \\ ` \\a \" '\n"),
        ("cat <<'A'\n$x `echo b` \\$x \\\\\nA\n", "$x `echo b` \\$x \\\\\n"),
        ("cat <<\\A\n$x\nA\n", "$x\n"),
        ("cat <<A'B'\n$x\nAB\n", "$x\n"),
        ('cat <<"A B"\n$x\nA B\n', "$x\n"),
        ('cat <<"A"\n\\\n$x\nA\n', "\\\n$x\n"),
        ("cat <<A\na\\\nb\nA\n", "ab\n"),
        ("cat <<A\na\\\nA\nA\n", "aA\n"),
        ("cat <<$x\nw $x\n$x\n", "w v\n"),
        ("cat <<''\n$x\n\necho end\n", "$x\nend\n"),
        ("cat <<-A\n\ta\n\t\tb\n \tc\n\tA\n", "a\nb\n \tc\n"),
        ("cat <<-A\n\ta\\\n\tb\n\tA\n", "a\tb\n"),
        ("cat <<-'A'\n\t$x\\\n\tA\n", "$x\\\n"),
        ("cat <<A\nA \n A\nAB\nA\n", "A \n A\nAB\n"),
        ('cat <<A\n${x-"q"} ${y-"q"} ${y-\'q\'} "${y-q}"\nA\n', "v q 'q' \"q\"\n"),
        ('cat <<A\n`echo "q"` `echo \\"q\\"`\nA\n', 'q "q"\n'),
        ("cat <<A\nA", ""),
        ("cat <<<$x; cat <<<\"a  b\"; cat <<<a' 'b; cat <<<$(echo c; echo d)\n", "v\na  b\na b\nc\nd\n"),
    ],
)
def test_text(script: str, output: str, aish: Aish) -> None:
    assert aish(f"x=v; {script}").out == output


def test_one_without_an_end_is_taken_and_told(aish: Aish) -> None:
    found = aish("echo first\ncat <<END\nbody\n")
    assert found.out == "first\nbody\n"
    assert found.err == "-c:2: warning: the here-document ends with the text: no line 'END' was found\n"


def test_one_that_ends_right_at_the_end_is_no_reason_to_warn(aish: Aish) -> None:
    assert aish("cat <<END\nbody\nEND").err == ""


def test_a_document_without_an_end_before_a_fault_between_backquotes(aish: Aish) -> None:
    """What is read twice is not told twice."""
    found = aish("x=`cat <<E; fi\nfoo\n`; echo on")
    assert (found.out, found.err.count("warning"), found.err.count("unexpected 'fi'")) == ("on\n", 0, 1)


def test_an_error_in_a_document_has_its_own_place(aish: Aish) -> None:
    found = aish("cat <<-A\n\tfine\n\t\t${x?gone}\n\tA\n")
    assert found.err.startswith("-c:3:3: x: gone\n")


@pytest.mark.parametrize(
    "text", ["cat <<A\n", "cat <<A\nb\n", "x=$(cat <<A\n", "cat <<A; cat <<B\nA\n", "cat <<-A\n\tb"]
)
def test_a_prompt_asks_for_the_rest(text: str) -> None:
    assert parse(text).incomplete


def test_many_documents_of_one_line(aish: Aish) -> None:
    count = 200
    script = "; ".join(f"cat <<E{n}" for n in range(count)) + "\n" + "".join(f"{n}\nE{n}\n" for n in range(count))
    assert aish(script.replace("cat", "read x") + "echo $x").out == f"{count - 1}\n"
