"""What a file says, and what is wrong with it: each problem with its line, key, expectation and suggestion."""

# ruff: noqa: E501  a case a line

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aish.config.document import Document
from aish.config.problem import Problems
from aish.project.declare import declare
from aish.project.schema import AGENT, MODEL, SECTIONS

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize(
    ("text", "problem", "hint"),
    [
        (
            '[services.api]\ncommand = "x"\nready = { log = "x", every = "1 sec" }',
            'aish.toml:3: services.api.ready.every: expected a time like "1s" or "5m", 0.01s or more, found "1 sec"',
            "write a number and its unit: 90s, 5m, 2h, 7d",
        ),
        ('[services.api]\ncomand = "x"\ncommand="x"', "aish.toml:2: services.api.comand: unknown key", "did you mean command?"),
        ("[servics.api]", "aish.toml:1: servics: unknown key", "did you mean services?"),
        ('[services.a]\ncommand="x"\nready={line="up"}', "aish.toml:3: services.a.ready.line: unknown key", "did you mean log?"),
        ('[services.a]\ncommand="x"\nready="line:up"', 'aish.toml:3: services.a.ready: expected a table, found "line:up"', "or { log = "),
        ('[services.a]\ncommand="x"\ndepends_on=["b"]', "aish.toml:3: services.a.depends_on: unknown key", "did you mean needs?"),
        ('[services.a]\ncommand="x"\nmemory="1G"', "aish.toml:3: services.a.memory: unknown key", "limits = { memory"),
        ('[models.a]\nurl="http://x/v1"\nprice=0', "aish.toml:3: models.a.price: expected a table, found 0", "such as { input = 0.5, output = 1.5 }"),
        (
            '[services.api]\ncommand="x"\nrestart = "on-failur"',
            'aish.toml:3: services.api.restart: expected one of "never", "on-failure", "always", found "on-failur"',
            "did you mean on-failure?",
        ),
        ("[services.api]", "aish.toml:1: services.api: expected command or shell", "command: What is run, without a shell."),
        ('[services.a]\ncommand="x"\nshell="y"', "aish.toml:3: services.a.shell: says the same as command", None),
        ('[services.a]\ncommand = "x \'y"', 'aish.toml:2: services.a.command: expected words like "python app.py"', "no closing quotation"),
        ('[services.a]\ncommand = []', "aish.toml:2: services.a.command: expected words", None),
        ('[services.a]\ncommand="x"\nneeds=["b"]\n[services.bb]\ncommand="x"', "aish.toml:3: services.a.needs[0]: nothing is called b", "did you mean bb?"),
        ('[services.a]\ncommand="x"\nneeds=["a"]', "aish.toml:3: services.a.needs[0]: it cannot wait for itself", None),
        ('[services.a]\ncommand="x"\nlimits.memory = 8', 'aish.toml:3: services.a.limits.memory: expected a size like "8G" or "512M", 64K or more, found 8', "in quotes, with its unit"),
        ('[services.a]\ncommand="x"\nlimits.cpus = "a"', "aish.toml:3: services.a.limits.cpus: expected a number of cores", None),
        ('[services.a]\ncommand="x"\nlimits = 3', "aish.toml:3: services.a.limits: expected a table, found 3", None),
        ('[services.a]\ncommand="x"\ngroup="g"', "aish.toml:3: services.a.group: no such group: g", "declare it: [groups.g]"),
        ('[services.a]\ncommand="x"\ngpus=2', "aish.toml:3: services.a.gpus: says nothing without vram", None),
        ('[services.a]\ncommand="x"\nstop.signal="TREM"', 'aish.toml:3: services.a.stop.signal: expected a signal like "TERM", found "TREM"', "did you mean TERM?"),
        ('[services.a]\ncommand="x"\nready={}', "aish.toml:3: services.a.ready: expected http or tcp", None),
        ('[services.p12]\ncommand="x"', "aish.toml:1: services.p12: it needs another name: p12 looks like an id", "p7x or worker-7"),
        ('[services.gateway]\ncommand="x"', "aish.toml:1: services.gateway: it needs another name: gateway is a word of aish's own", None),
        ('[services."a b"]\ncommand="x"', 'aish.toml:1: services."a b": expected a name', "letters, digits and . _ : / + -"),
        ('[services.a]\ncommand="x"\n[agents.a]\ncommand="x"', "aish.toml:3: agents.a: the name is taken by services.a (aish.toml:1)", None),
        ('[agents.a]\ncommand="x"\ninput="f"', "aish.toml:3: agents.a.input: belongs to agent", None),
        ('[models.m]\ncwd="x"', "aish.toml:2: models.m.cwd: says nothing of a model out of the store", None),
        ('[models.m]\nbudget={usd=1}', "aish.toml:2: models.m.budget: m is a model: what it is asked counts for who asks", " belongs to an agent, a service or a key"),
        ('[models.m]\nurl="http://h/v1"\ntokens="1k"', "aish.toml:3: models.m.tokens: m is a model: what it is asked counts", " belongs to an agent, a service or a key"),
        ('[schedules.s]\ncommand="x"', "aish.toml:1: schedules.s: expected cron", "cron: When it runs."),
        ('services = 3', "aish.toml:1: services: expected a table, found a number", None),
        ('[services]\na = 3', "aish.toml:2: services.a: expected a table, found 3", None),
        ('[services.a]\ncommand="x"\ninherit="A"', "aish.toml:3: services.a.inherit: expected a list", None),
        ('[services.a]\ncommand="x"\nenv={OPENAI_API_KEY="sk"}', "aish.toml:3: services.a.env.OPENAI_API_KEY: its own key would", 'let it through: keys = ["OPENAI_API_KEY"]'),
        ('[services.a]\ncommand="x"\nrestart={most=1, endless=true}', "aish.toml:3: services.a.restart: both most and endless", None),
        ('[services.a]\ncommand="a\\u0000b"', "aish.toml:2: services.a.command: expected words", None),
        ('[services.a]\ncommand="x"\numask="999"', 'aish.toml:3: services.a.umask: expected permissions like "0600", found "999"', None),
        ('[services.a]\ncommand="x"\nnice=1979-05-27', "aish.toml:3: services.a.nice: expected a whole number, -20 to 19, found", None),
    ],
)  # fmt: skip
def test_each_problem_has_its_place(told: Callable[..., Any], text: str, problem: str, hint: str | None) -> None:
    found = told(text)
    assert len(found.problems) == 1, found.problems
    assert found.problems[0].startswith(problem)
    if hint is not None:
        assert hint in (found.hints[0] or "")


def test_all_problems_are_told_at_once_in_the_order_of_lines(told: Callable[..., Any]) -> None:
    found = told("[services.a]\ncommand = 3\nnice = 99\nx = 1\n[services.b]\n[zzz]\n")
    assert [line.split(":")[1] for line in found.problems] == ["2", "3", "4", "5", "6"]


def test_no_more_than_somebody_reads(told: Callable[..., Any]) -> None:
    found = told("[services.a]\ncommand='x'\n" + "".join(f"k{number} = 1\n" for number in range(5000)))
    assert len(found.problems) == 101
    assert "and 4900 more problems" in found.problems[-1]


def test_a_value_of_the_environment_is_not_shown(told: Callable[..., Any]) -> None:
    found = told('[services.a]\ncommand = "x"\nenv = { PASSWORD = 4711 }')
    assert found.problems == ["aish.toml:3: services.a.env.PASSWORD: expected a text in quotes, found a number"]


def test_who_waits_for_each_other_is_told(told: Callable[..., Any]) -> None:
    tables = [f'[services.{name}]\ncommand="x"\nneeds=["{need}"]\n' for name, need in ("ab", "bc", "ca")]
    found = told("".join(tables))
    assert found.problems == ["aish.toml:3: services.a.needs: they wait for each other: a needs b needs c needs a"]


def test_variables(told: Callable[..., Any]) -> None:
    """[env] goes over the caller's; a $ without a brace is the shell's."""
    found = told(
        '[env]\nA = "1"\nB = "${A}-${HERE}"\nHERE = "over"\n[services.s]\n'
        'shell = "echo ${B} ${HERE} $HOME $$x ${NONE:-a b} ${EMPTY:-was empty} ${EMPTY-}"',
        HERE="caller",
        EMPTY="",
    )
    argv = found.wanted("s").spec.argv
    assert argv[-1] == b"echo 1-caller over $HOME $x a b was empty "
    assert found.project.env == {"A": "1", "B": "1-caller", "HERE": "over"}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("${NONE}", "the variable NONE is not set"),
        ("${NONE:?say which}", "the variable NONE is not set: say which"),
        ("${EMPTY:?}", "the variable EMPTY is empty"),
        ("${}", "'${}' is no variable"),
        ("${A", "'${A' is no variable"),
        ("${A:+x}", "'${A:+x}' is no variable"),
        ("${OPENAI_API_KEY}", "the key in OPENAI_API_KEY would be seen by whoever looks"),
        ("${BROKEN}", "the variable BROKEN is not UTF-8 text"),
        ("${LONG}" * 10, "expands to more than 65,536 characters"),
    ],
)
def test_a_variable_that_cannot_be_had_is_a_problem_with_its_line(
    told: Callable[..., Any], text: str, problem: str
) -> None:
    variables = {"A": "1", "EMPTY": "", "BROKEN": "\udcff", "LONG": "x" * 10_000, "OPENAI_API_KEY": "sk-secret"}
    found = told(f'[services.s]\n\ncommand = ["x", "{text}"]', **variables)
    assert [
        line for line in found.problems if problem in line and line.startswith("aish.toml:3: services.s.command[1]")
    ]
    assert "sk-secret" not in str(found.problems + found.hints)


def test_doubling_variables_do_not_fill_the_memory(told: Callable[..., Any]) -> None:
    """Forty lines that double each time would be ten terabytes."""
    lines = "".join(f'V{number} = "${{V{number - 1}}}${{V{number - 1}}}"\n' for number in range(1, 41))
    found = told(f'[env]\nV0 = "xxxxxxxxxx"\n{lines}')
    assert "expands to more than" in found.problems[0]
    assert max(map(len, found.project.env.values())) <= 64 << 10


ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=6)
    | st.sampled_from(["1s", "a", "8G"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["name", "until", "most", "endless", "x"]), inner, max_size=3)
    ),
    max_leaves=4,
)


@settings(max_examples=300, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from([*SECTIONS, "groups", "env", "name", "include", "inherit", "env_file"]),
        ANYTHING
        | st.dictionaries(
            st.sampled_from(["a", "b", "a b"]),
            ANYTHING | st.dictionaries(st.sampled_from(sorted(MODEL.keys | AGENT.keys)), ANYTHING, max_size=6),
            max_size=2,
        ),
    )
)
def test_whatever_is_written_there_is_a_problem_and_never_a_fault(table: dict[str, Any]) -> None:
    problems = Problems()
    document = Document("/work/aish.toml", "aish.toml", table, {})
    declare([document], {}, problems)
    assert all(str(error).startswith(("aish.toml: ", "aish.toml:1: ")) for error in problems.in_order())
