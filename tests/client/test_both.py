"""Aish and AsyncAish: the same methods with the same words, all of the protocol, and light to import."""

from __future__ import annotations

import importlib
import inspect
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest

import aish.client
from aish.client import aio, aio_process, asks, blocking, mail, process, questions, wish
from aish.project import aio as project_aio
from aish.project import blocking as project_blocking
from aish.wire import message as m
from aish.wire.spec import SpecPart

ROOT = Path(__file__).parents[2]
PAIRS = [
    (blocking.Aish, aio.AsyncAish),
    (process.Process, aio_process.AsyncProcess),
    (project_blocking.Project, project_aio.AsyncProject),
]
NOT_OFFERED = {
    "Hello": "said by the connection itself",
    "GatewayHello": "the gateway's own",
    "Mark": "with files of its own: `aish checkpoint`, `aish rewind`",
    "SlotUse": "of an agent's host: aish.agents.checkpoints.slots",
    "SlotKeep": "the same",
    "EgressHello": "the egress proxy's own",
    "Attach": "for terminals: `aish attach`; a program reads the log, and writes to what it passed as `fds`",
}
"""Requests that have no method, and why."""


def methods(kind: type) -> dict[str, Any]:
    renamed = {"__aenter__": "__enter__", "__aexit__": "__exit__"}
    return {renamed.get(name, name): value for name, value in vars(kind).items() if inspect.isfunction(value)}


def words(method: Any) -> str:
    """Signature and docstring, in the blocking one's words."""
    text = f"{inspect.signature(method)}\n{inspect.getdoc(method)}"
    return re.sub(r"Async(Aish|Process|Project|Iterator)", r"\1", text)


def test_the_asyncio_files_are_made_from_the_blocking_ones() -> None:
    done = subprocess.run([sys.executable, ROOT / "docs" / "make_aio.py", "--check"], check=False)
    assert done.returncode == 0, "run: .venv/bin/python docs/make_aio.py"


@pytest.mark.parametrize(("one", "other"), PAIRS, ids=lambda kind: kind.__name__)
def test_both_have_the_same_methods_with_the_same_words(one: type, other: type) -> None:
    ours, theirs = methods(one), methods(other)
    assert list(ours) == list(theirs)
    for name, method in ours.items():
        assert words(method) == words(theirs[name])
        assert name.startswith("_") or inspect.getdoc(method), f"{name} has no docstring"


@pytest.mark.parametrize(("one", "other"), PAIRS, ids=lambda kind: kind.__name__)
def test_what_waits_is_awaited_and_what_streams_is_not(one: type, other: type) -> None:
    plain = {"__init__", "__eq__", "__hash__", "__repr__", "_handle"}
    for name, method in methods(other).items():
        streams = "AsyncIterator" in str(inspect.signature(method).return_annotation)
        assert inspect.iscoroutinefunction(method) == (not streams and name not in plain), name


def test_a_handle_can_do_what_can_be_done_to_one_process() -> None:
    """A method of Aish that takes a target and none of Process would be forgotten there."""
    elsewhere = {"process", "wait_any", "wait_all"}
    taking = {
        name
        for name, method in methods(blocking.Aish).items()
        if any(word in inspect.signature(method).parameters for word in ("target", "targets")) and name != "down"
    }
    assert taking - elsewhere <= set(methods(process.Process))


@pytest.mark.parametrize(
    ("verb", "method"),
    [
        *((name, name) for name in ("cont", "logs", "pause", "restart", "signal", "start", "stop")),
        *(("wait", name) for name in ("wait_all", "wait_any", "wait_ready")),
        ("logs", "log_stats"),
    ],
)
def test_what_a_verb_does_to_several_a_method_does_too(verb: str, method: str) -> None:
    """Verbs took several names, and labels; the methods took one."""
    source = (ROOT / "aish" / "cli" / f"{verb}.py").read_text()
    assert "targets(parser, labels=True" in source or "label_option(parser" in source
    parameters = inspect.signature(getattr(blocking.Aish, method)).parameters
    assert ("tree=True" in source) == ("tree" in parameters)
    assert parameters["targets"].kind is inspect.Parameter.VAR_POSITIONAL
    assert "labels" in parameters


def test_a_log_is_chosen_from_as_the_verb_does_it() -> None:
    """Patterns and kinds were for `aish logs` alone."""
    assert {"follow", "since_s", "until_s", "last", "grep", "kind", "labels", "streams"} <= set(
        inspect.signature(blocking.Aish.logs).parameters
    )


@pytest.mark.parametrize("request_", get_args(m.Request), ids=lambda kind: kind.__name__)
def test_every_request_is_offered(request_: type) -> None:
    """One that is added to the protocol is added here, or it is said why not."""
    sources = [inspect.getsource(module) for module in (asks, blocking, mail, questions)]
    sources += [
        inspect.getsource(importlib.import_module(f"aish.client.{name}"))
        for name in ("log_answers", "lines", "choice")
    ]
    used = any(re.search(rf"\b(m\.)?{request_.__name__}\(", source) for source in sources)
    assert used != (request_.__name__ in NOT_OFFERED)


@pytest.mark.parametrize(
    ("method", "request_", "ours"),
    [
        ("limit", m.Limit, {"anew"}),  # of a project's file: aish.project says it
        ("adopt", m.Adopt, {"token", "start_ticks"}),
        ("events", m.Events, set[str]()),
        ("restart", m.Restart, {"launch", "target"}),
        ("view", m.Snapshot, {"every_s", "ended_since_s", "figures"}),
        ("usage", m.UsageQuery, set[str]()),
        ("new_key", m.KeyNew, set[str]()),
    ],
)
def test_every_field_of_a_request_can_be_said(method: str, request_: type[m.Message], ours: set[str]) -> None:
    """A limit that was added to the protocol could not be set from Python. `ours`: what the client fills in."""
    said = set(inspect.signature(getattr(blocking.Aish, method)).parameters)
    assert set(request_.__struct_fields__) - said == ours


def test_every_field_of_a_spec_can_be_said() -> None:
    assert set(wish.SpecFields.__annotations__) == set(SpecPart.__struct_fields__) - {"argv"}


def test_all_that_is_named_is_there() -> None:
    for name in aish.client.__all__:
        assert getattr(aish.client, name).__name__ == name or name == "connect"
    assert set(aish.client.__all__) <= set(dir(aish.client))
    with pytest.raises(AttributeError):
        aish.client.__getattr__("Nobody")


def test_the_types_of_the_methods_resolve() -> None:
    """A name that is imported for the type checker only, under another name, would be found by nobody."""
    scope = vars(importlib.import_module("aish.client.wish")) | {"Stream": str}
    for name in ("command", "fds"):
        assert name in inspect.signature(blocking.Aish.spawn).parameters
    assert get_type_hints(wish.words, scope | {"Sequence": list})


def test_the_verbs_do_not_pay_for_it() -> None:
    code = "import sys, aish.client; print(*(name for name in sys.modules if name.startswith('aish.client')))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert set(loaded) == {f"aish.client{name}" for name in ("", ".connection", ".finding", ".interrupts")}
    code = "import sys; from aish.client import Aish; print('asyncio' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"
