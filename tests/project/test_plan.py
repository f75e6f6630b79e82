"""Declared beside what runs: the steps, their reasons, their order. And which entries take part."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from aish.errors import NotFoundError, UsageError
from aish.project import order
from aish.project.plan import plan
from aish.project.profile import chosen
from aish.wire.part import ExitPart, ParkedPart, ProcessPart

if TYPE_CHECKING:
    from collections.abc import Callable

    from aish.project.plan import Plan
    from aish.wire.spec import SpecPart

PATH = "/work/demo/aish.toml"
TEXT = """
[services.web]
command = "web"
needs = ["db", { name = "job", until = "completed" }]
[services.db]
command = "db"
limits = { pids = 5 }
env = { A = "1" }
[services.job]
command = "job"
restart = "never"
needs = ["db"]
"""


def row(name: str, digest: str | None, lifecycle: str = "running", **fields: Any) -> ProcessPart:
    usual: dict[str, Any] = {
        "id": f"p-{name}",
        "kind": "command",
        "state": lifecycle,
        "created_s": 1.0,
        "project": PATH,
    }
    return ProcessPart(name=name, lifecycle=lifecycle, digest=digest, **(usual | fields))


class Planned:
    def __init__(self, told: Callable[..., Any], text: str = TEXT) -> None:
        found = told(text)
        self.project = found.project
        self.wanted = {name: found.wanted(name) for name in found.project.entries}
        self.specs: dict[str, SpecPart] = {f"p-{name}": each.spec for name, each in self.wanted.items()}

    def rows(self, **changes: dict[str, Any]) -> list[ProcessPart]:
        """What runs as declared, but for the changes."""
        return [
            msgspec.structs.replace(row(name, each.spec.digest), **changes.get(name, {}))
            for name, each in self.wanted.items()
        ]

    def plan(self, rows: list[ProcessPart], **fields: Any) -> Plan:
        return plan(PATH, self.wanted, self.project.entries, rows, self.specs, **fields)


def told_steps(found: Plan) -> dict[str, str]:
    return {step.name: step.action for step in found.steps}


def test_nothing_runs_and_needs_come_first(told: Callable[..., Any]) -> None:
    found = Planned(told).plan([])
    assert [[step.name for step in level] for level in found.levels] == [["db"], ["job"], ["web"]]
    assert set(told_steps(found).values()) == {"start"}


def test_what_runs_as_declared_is_kept(told: Callable[..., Any]) -> None:
    planned = Planned(told)
    assert set(told_steps(planned.plan(planned.rows())).values()) == {"keep"}


@pytest.mark.parametrize(
    ("text", "action", "reason"),
    [
        (TEXT.replace('"db"\nl', '"db2"\nl'), "restart", "command changed"),
        (TEXT.replace("pids = 5", "pids = 6"), "amend", "limits.pids changed"),
        (TEXT.replace("pids = 5", 'memory = "1G"'), "amend", "limits.memory, limits.pids changed"),
        (TEXT.replace('"1"', '"2"'), "restart", "its environment or a file that it reads changed"),
        (
            TEXT.replace('"1"', '"2"').replace("pids = 5", "pids = 6"),
            "restart",
            "limits.pids, its environment or a file that it reads changed",
        ),
    ],
)
def test_only_what_changed_with_the_keys(told: Callable[..., Any], text: str, action: str, reason: str) -> None:
    before, after = Planned(told), Planned(told, text)
    found = plan(PATH, after.wanted, after.project.entries, before.rows(), before.specs)
    assert told_steps(found) == {"db": action, "job": "keep", "web": "keep"}
    assert next(step.reason for step in found.steps if step.name == "db") == reason
    unknown = plan(PATH, after.wanted, after.project.entries, before.rows(), {})
    assert (told_steps(unknown)["db"], unknown.levels[0][0].reason) == (action, "its declaration changed")


@pytest.mark.parametrize(
    ("lifecycle", "end", "action", "reason"),
    [
        ("exited", ExitPart(code=0), "keep", "done: it has ended successfully"),
        ("exited", ExitPart(code=0, reason="cancelled"), "again", "it has been stopped"),
        ("exited", ExitPart(code=3), "again", "it has ended with 3"),
        ("exited", ExitPart(signal=9), "again", "it has ended by signal 9"),
        ("failed", None, "again", "it has failed: crash-loop"),
        ("lost", None, "again", "it has gone: nobody knows how it ended"),
        ("stopping", None, "restart", "it is just being stopped"),
        ("queued", None, "keep", "queued"),
        ("scheduled", None, "keep", "scheduled"),
        ("backoff", None, "keep", "backoff"),
    ],
)
def test_what_has_ended(
    told: Callable[..., Any], lifecycle: str, end: ExitPart | None, action: str, reason: str
) -> None:
    """`lost` is what everything is after a reboot."""
    planned = Planned(told)
    change = {"lifecycle": lifecycle, "state": lifecycle, "exit": end, "reason": "crash-loop"}
    step = next(step for step in planned.plan(planned.rows(job=change)).steps if step.name == "job")
    assert (step.action, step.reason) == (action, reason)


def test_what_is_parked_is_kept_and_started_anew_where_its_environment_is_gone(told: Callable[..., Any]) -> None:
    planned = Planned(told)
    parked = ParkedPart(owner="window:a/7d", what="window_reserve", used=0.9, budget=0.6, since_s=1.0)
    change = {"lifecycle": "parked", "state": "parked", "parked": parked}
    assert told_steps(planned.plan(planned.rows(job=change)))["job"] == "keep"
    change["parked"] = msgspec.structs.replace(parked, stranded=True)
    assert told_steps(planned.plan(planned.rows(job=change)))["job"] == "restart"


def test_again_runs_what_is_done_once_more(told: Callable[..., Any]) -> None:
    planned = Planned(told)
    rows = planned.rows(job={"lifecycle": "exited", "exit": ExitPart(code=0)})
    assert told_steps(planned.plan(rows, again=True)) == {"db": "keep", "job": "again", "web": "keep"}


def test_the_living_one_counts_not_an_ended_one_of_its_name(told: Callable[..., Any]) -> None:
    planned = Planned(told)
    old = row("db", "0" * 128, "failed", id="p-old", created_s=9.0)
    assert told_steps(planned.plan([*planned.rows(), old]))["db"] == "keep"


def test_what_is_not_declared_any_more_is_stopped_and_a_strangers_name_is_told(told: Callable[..., Any]) -> None:
    planned = Planned(told)
    rows = [
        row("gone", "1" * 128),
        row("gone-too", "1" * 128, "exited"),
        row("db", None, project=None, id="p9"),
        row("web", "1" * 128, project="/other/aish.toml", id="p8"),
        row("other", None, project=None),
    ]
    found = planned.plan(rows)
    assert [step.name for step in found.stops] == ["gone"]
    assert sorted((name, each.id) for name, each in found.taken) == [("db", "p9"), ("web", "p8")]


PROFILES = """
[services.a]
command = "x"
[services.dev]
command = "x"
profiles = ["debug"]
needs = ["helper"]
[services.helper]
command = "x"
profiles = ["tools"]
[services.b]
command = "x"
needs = ["a"]
"""


@pytest.mark.parametrize(
    ("profiles", "names", "running", "expected"),
    [
        ([], [], [], "ab"),
        (["debug"], [], [], ["a", "b", "dev", "helper"]),
        ([], ["dev"], [], ["dev", "helper"]),
        ([], ["b"], [], "ab"),
        ([], [], ["dev"], ["a", "b", "dev", "helper"]),
    ],
)
def test_who_takes_part(
    told: Callable[..., Any], profiles: list[str], names: list[str], running: list[str], expected: list[str]
) -> None:
    assert chosen(told(PROFILES).project, profiles, names, running) == set(expected)


def test_no_such_profile_or_name(told: Callable[..., Any]) -> None:
    project = told(PROFILES).project
    with pytest.raises(UsageError) as caught:
        chosen(project, ["debgu"])
    assert caught.value.hint == "did you mean debug?"
    with pytest.raises(NotFoundError) as missing:
        chosen(project, [], ["hepler"])
    assert missing.value.hint == "did you mean helper?"


def test_levels_of_a_circle_come_last_and_end() -> None:
    assert order.levels({"a": ["b"], "b": ["a"], "c": [], "d": ["c", "x"]}) == [["c"], ["d"], ["a", "b"]]


@pytest.mark.parametrize(
    ("needs", "circle"),
    [
        ({"a": ["b"], "b": []}, None),
        ({"a": ["b", "c"], "b": ["c"], "c": []}, None),
        ({"z": ["a"], "a": ["b"], "b": ["a"]}, ["a", "b", "a"]),
        ({"a": ["a"]}, ["a", "a"]),
    ],
)
def test_circles(needs: dict[str, list[str]], circle: list[str] | None) -> None:
    assert order.cycle(needs) == circle


def test_a_long_chain_is_no_deep_recursion() -> None:
    needs = {f"n{number}": [f"n{number + 1}"] for number in range(3000)} | {"n3000": []}
    assert order.cycle(needs) is None
    assert len(order.closure(["n0"], needs)) == 3001
