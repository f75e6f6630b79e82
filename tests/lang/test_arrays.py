"""Arrays as objects, and what a subscript may not do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aish.lang.arrays import Associative, Indexed, SubscriptError

if TYPE_CHECKING:
    from tests.lang.conftest import Aish


@given(st.lists(st.tuples(st.integers(0, 12), st.one_of(st.none(), st.text(max_size=2)))))
def test_an_indexed_array_is_a_dictionary_in_order(steps: list[tuple[int, str | None]]) -> None:
    """However elements come and go, they are listed by number, and the last one is known."""
    array, model = Indexed(), dict[int, str]()
    for key, value in steps:
        if value is None:
            array.remove(key)
            model.pop(key, None)
        else:
            array.set(key, value)
            model[key] = value
        assert array.pairs() == [(str(key), model[key]) for key in sorted(model)]
        assert array.top == max(model, default=-1)
        assert array.next() == max(model, default=-1) + 1
        assert array.slice(3, 2) == [model[key] for key in sorted(model) if key >= 3][:2]


@given(st.lists(st.tuples(st.text(max_size=3), st.booleans()), max_size=60))
def test_an_associative_array_lists_each_key_once(steps: list[tuple[str, bool]]) -> None:
    array, model = Associative(), dict[str, str]()
    for key, comes in steps:
        if comes:
            array.set(key, key)
            model[key] = key
        else:
            array.remove(key)
            model.pop(key, None)
        assert sorted(array.keys()) == sorted(model)
        assert array.values() == array.keys()


def test_negative_subscripts_count_from_behind() -> None:
    array = Indexed(["a", "b", "c"])
    assert array.get(-1) == "c"
    assert array.get(-3) == "a"
    with pytest.raises(SubscriptError):
        array.get(-4)


def test_a_copy_is_another_array() -> None:
    first = Indexed(["a"])
    second = first.copy()
    second.set(0, "b")
    assert (first.values(), second.values()) == (["a"], ["b"])


@pytest.mark.parametrize(
    "text",
    [
        "echo " + "${a[" * 3000 + "1" + "]}" * 3000,
        "echo $((" + "a[" * 3000 + "1" + "]" * 3000 + "))",
        "a=(1); unset 'a[" + "a[" * 3000 + "0" + "]" * 3000 + "]'",
        "a[0]='a[0]'; echo $((a[0]))",
        "x='a[x]'; echo $((x))",
        "x='a[${!x}]'; echo ${!x}",
        "".join(f"declare -n r{i}=r{i + 1};" for i in range(300)) + "r300=5; echo $r0",
        "declare -n a=b b=a; echo $a; a=1",
        "a=(" * 3000,
        "echo ${x:" + "1?" * 2000 + "1" + ":1" * 2000 + "}",
        "declare -a 'x=(" + "(" * 3000 + ")'",
    ],
)
def test_depth_is_refused_in_words(text: str, aish: Aish) -> None:
    """No subscript, value or reference makes the shell hang, or shows our own insides."""
    (aish.folder / "s").write_text(text + "\necho 'still here'\n")
    found = aish.run(["s"])
    assert "Traceback" not in found.err
    assert "a fault in aish" not in found.err
    assert found.status in (0, 1, 2)


def test_replacing_takes_no_square_of_the_time(aish: Aish) -> None:
    """Many places where a match could begin, and none where it ends."""
    assert aish(f"x={'a' * 30_000}; y=${{x//a*b/c}}; echo ${{#y}}", timeout=60).out == "30000\n"


def test_commands_in_subscripts_that_are_data_do_not_run(aish: Aish) -> None:
    """bash runs them: read, unset, printf -v and arithmetic are then a way in for whoever gives the text."""
    for script in (
        "x='a[$(echo ran >&2)0]'; echo $((x))",
        "a=(1); unset 'a[$(echo ran >&2)0]'",
        "read 'a[$(echo ran >&2)0]' <<< x",
        "printf -v 'a[`echo ran >&2`0]' x",
        "x='a[$(echo ran >&2)0]'; echo ${!x}",
        "declare -n r='a[$(echo ran >&2)0]'; echo $r",
        "v='b=($(echo ran >&2))'; declare -a \"$v\"",
    ):
        found = aish("a=(1 2); " + script)
        assert "ran\n" not in found.err.replace("echo ran", ""), script


def test_parameters_in_subscripts_that_are_data_count(aish: Aish) -> None:
    assert (
        aish("a=(p q r); i=1; unset 'a[$i]'; echo ${!a[@]}; printf -v 'a[i+4]' x; echo ${!a[@]}").out
        == "0 2\n0 2 5\n"
    )


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("a[x y]=1", "-c:1:1: [x y]: an operator expected at 'y'"),
        ("a=(1); a[-5]=2", "-c:1:8: bad array subscript"),
        ("declare -A m; m['']=1", "-c:1:15: m['']: bad array subscript"),
        ("readonly r=(1); r+=(3)", "-c:1:17: r: readonly variable"),
        ("a[1]=(1 2)", "-c:1:6: an element cannot be a list"),
        ("a[9223372036854775807]=1; a+=(x)", "-c:1:27: the array has no room behind its last element"),
        ("x=5; echo ${x:1:-9}", "-c:1:11: -9: a length below 0"),
        ("echo $((a[1))", "-c:1:6: arithmetic: the bracket of '[1' is not closed"),
        ("declare -n a=a", "-c:1:1: declare: a: a reference to itself is not allowed"),
        ("declare -a a; declare -A a", "declare: a: an indexed array cannot become an associative one"),
    ],
)
def test_messages(script: str, message: str, aish: Aish) -> None:
    found = aish(script)
    assert message in found.err
    assert found.status in (1, 2)
