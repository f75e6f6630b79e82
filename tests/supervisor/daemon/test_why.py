"""The rules behind `aish why`: what is told of which evidence is in why_paragraphs.txt, word by word."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from aish.supervisor.daemon.explaining import last_lines
from aish.supervisor.daemon.ring import Sample
from aish.supervisor.daemon.row import Row, Wrapup
from aish.supervisor.daemon.why import explain as module
from aish.supervisor.daemon.why.evidence import Device, Evidence, Holder
from aish.supervisor.daemon.why.explain import explain
from aish.wire.part import EventPart, ExitPart, ParkedPart, RunPart, TokensPart
from aish.wire.spec import GroupPart, LastWordPart, LimitPart, NeedPart, SchedulePart, SpecPart

ROOT = Path(__file__).parents[3]
NOW_S = 1000.0
GB = 1 << 30


def row(spec: dict[str, Any] | None = None, **fields: Any) -> Row:
    given: dict[str, Any] = {"id": "p4", "number": 4, "name": "train", "lifecycle": "running", "created_s": 900.0}
    given |= {"started_s": 940.0, "spec": SpecPart(**{"argv": [b"train"], **(spec or {})})}
    return Row(**(given | fields))


def event(kind: str, text: str = "", time_s: float = 950.0, **detail: Any) -> EventPart:
    return EventPart(number=1, time_s=time_s, kind=kind, process="p4", name="train", text=text, detail=detail)


def evidence(of: Row, **fields: Any) -> Evidence:
    given: dict[str, Any] = {"now_s": NOW_S, "row": of, "word": of.word(None), "knows_from_s": 100.0}
    return Evidence(**(given | fields))


def ended(spec: dict[str, Any] | None = None, word: str | None = None, **status: Any) -> Evidence:
    """It ran for 20 s and ended 40 s ago; or came to nothing, where `word` says so."""
    of = row(spec, lifecycle="failed" if word in ("crash-loop", *NEVER_RAN) else "exited", ended_s=960.0)
    of.exit = ExitPart(reason=word, **status)
    began_s = None if word in NEVER_RAN else 940.0
    run = RunPart(number=1, started_s=began_s, ended_s=960.0, exit=of.exit)
    return evidence(of, runs=(run,), events=(event("started", time_s=940.0, pid=7),) if began_s else ())


NEVER_RAN = ("hook", "needs", "secret", "start")


def with_(e: Evidence, **fields: Any) -> Evidence:
    return structs.replace(e, **fields)


def queued(**spec: Any) -> Row:
    return row(spec, lifecycle="queued", started_s=None)


def other(name: str, id_: str, spec: dict[str, Any] | None = None, **fields: Any) -> Row:
    return row(spec, id=id_, name=name, **fields)


NEEDS_DB = {"needs": [NeedPart(name="db")]}
DB_LOADING = other("db", "p1", {"argv": [b"db"], "kind": "model"}, ready="no", started_s=700.0)
DB_QUEUED = other("db", "p1", {"vram_bytes": 30 * GB}, lifecycle="queued", started_s=None, reason="needs 30G of VRAM")
CARD = Device(
    index=0,
    memory_bytes=80 * GB,
    free_bytes=10 * GB,
    promised=(Holder("big (p2)", 60 * GB),),
    strangers=(Holder("pid 4711 (python)", 10 * GB),),
)
KILLED = with_(
    ended(signal=9),
    events=(
        event(
            "struck",
            "SIGKILL that was not sent through aish",
            960.0,
            machine_oom_kills=0,
            memory_used_bytes=4 * GB,
            memory_total_bytes=16 * GB,
            memory_stalled_percent=0.0,
        ),
    ),
)


def struck(**detail: Any) -> Evidence:
    known = KILLED.events[0].detail
    return with_(KILLED, events=(event("struck", "", 960.0, **(known | detail)),))


def tokens(**counts: int) -> TokensPart:
    return TokensPart(**counts)


def parked(**changes: Any) -> Row:
    barred = ParkedPart(
        owner="window:claude/7d",
        what="window_reserve",
        used=0.9,
        budget=0.6,
        until_s=NOW_S + 7200,
        since_s=950.0,
    )
    return row(
        {"kind": "agent", "when_reserved": "park"},
        lifecycle="parked",
        parking=True,
        barred=structs.replace(barred, **changes),
        ended_s=960.0,
        exit=ExitPart(signal=15, reason="parked"),
    )


PARKED = parked()
CASES: dict[str, Evidence] = {
    "for a need": evidence(queued(**NEEDS_DB), others={"db": DB_LOADING}),
    "for a need that nobody started": evidence(queued(needs=[NeedPart(name="db", timeout_s=300.0)])),
    "for a need that waits for a GPU": evidence(queued(**NEEDS_DB), others={"db": DB_QUEUED}, devices=(CARD,)),
    "over two needs": evidence(
        queued(**NEEDS_DB),
        others={
            "db": other("db", "p1", {"needs": [NeedPart(name="disk")]}, lifecycle="queued"),
            "disk": other("disk", "p2", lifecycle="backoff", reason="it was full"),
        },
    ),
    "for itself, over another": evidence(
        queued(**NEEDS_DB),
        others={
            "db": other("db", "p1", {"needs": [NeedPart(name="train")]}, lifecycle="queued"),
            "train": queued(**NEEDS_DB),
        },
    ),
    "for a GPU": evidence(queued(vram_bytes=30 * GB), devices=(CARD,)),
    "for a GPU that is lost": evidence(
        queued(vram_bytes=30 * GB),
        devices=(Device(index=0, memory_bytes=80 * GB, free_bytes=80 * GB, trouble="it fell off the bus"),),
    ),
    "behind others": evidence(queued(vram_bytes=2 * GB), devices=(CARD,), ahead=("a (p2)", "b (p3)")),
    "for its time": evidence(
        row(
            {"schedule": SchedulePart(cron="0 4 * * *", timezone="Europe/Paris")},
            lifecycle="scheduled",
            started_s=None,
        ),
        next_run_s=NOW_S + 7200,
    ),
    "for something else": evidence(row({}, lifecycle="queued", reason="the holder is away")),
    "is being started": evidence(row({"before": [b"true"]}, lifecycle="starting")),
    "is being started, and the holder is silent": evidence(
        row({"before": [b"true"]}, lifecycle="starting", reason="the holder (pid 7) is stopped: `kill -CONT 7` …")
    ),
    "is being stopped": evidence(
        row(lifecycle="stopping", stop_reason="cancelled", ended_by="p9"),
        kill_in_s=4.0,
        events=(event("stopping", "cancelled", 999.0, signal=15, by="p9"),),
    ),
    "waits to be started again": with_(
        ended({"restart": "on-failure"}, code=3),
        row=row({"restart": "on-failure"}, lifecycle="backoff", ended_s=960.0, restarts=2, exit=ExitPart(code=3)),
        restart_in_s=23.0,
        log=("no such table: users",),
    ),
    "is parked": evidence(PARKED, log=("no such table: users",)),
    "is parked, and nobody knows how long": evidence(parked(until_s=None)),
    "is parked where a person's word does not count": evidence(parked(named=True)),
    "is parked without its environment": evidence(parked(stranded=True)),
    "crash loop": ended(code=1, word="crash-loop"),
    "crash loop by its probe": with_(
        ended(code=1, word="crash-loop"),
        events=(event("unhealthy", "its probe failed 3 times in a row: HTTP 500"),),
    ),
    "crash loop after a probe of an earlier run": with_(
        ended(code=1, word="crash-loop"),
        events=(event("unhealthy", "its probe failed 3 times in a row: HTTP 500", time_s=930.0),),
    ),
    "on its terminal": with_(ended({"pty": True}, code=3), log=("no such table: users",)),
    "in its one log": with_(ended({"log": "ordered"}, code=3), log=("no such table: users",)),
    "the hook": ended(word="hook"),
    "a secret": with_(
        ended(word="secret"),
        row=row(
            lifecycle="failed",
            ended_s=960.0,
            exit=ExitPart(reason="secret"),
            reason="its secret T cannot be had from file:/none: No such file or directory",
        ),
    ),
    "the check": with_(ended(code=1, word="check"), log=("2 tests failed",)),
    "a need failed": ended(word="needs"),
    "a probe": with_(
        ended(signal=15, word="unhealthy"),
        events=(event("unhealthy", "its probe failed 3 times in a row: HTTP 500"),),
    ),
    "the watchdog": with_(
        ended(signal=15, word="unhealthy"),
        events=(event("unhealthy", "it did not say WATCHDOG=1 for 5 s"),),
    ),
    "not ready in time": with_(
        ended(signal=15, word="unhealthy"),
        events=(event("unhealthy", "it was not ready within 30 s: connection refused"),),
    ),
    "the run's time": ended(signal=15, word="timeout"),
    "a last message was said": with_(
        ended(signal=15, word="wrapup"),
        runs=(
            RunPart(
                number=1,
                started_s=940.0,
                ended_s=960.0,
                exit=ExitPart(signal=15, reason="wrapup"),
                ended_by="the user",
                reason="it has said its last message",
            ),
        ),
    ),
    "a last message is asked for": evidence(
        row(
            wrapup=Wrapup(last=LastWordPart(message="bye"), until_boot_s=1.0, within_s=30.0, by="the user"),
            reason="it is asked for its last message",
            holds=["budget"],
        ),
        events=(event("wrapup", "by the user, within 30s: requests=1"),),
    ),
    "its group": with_(
        ended({"group": GroupPart(name="front")}, signal=15, word="group"),
        events=(event("group", "web failed: it is to restart, too", 955.0, group="front"),),
    ),
    "what it belongs to": with_(ended(signal=15, word="parent"), parent=row(id="p2", name="fix")),
    "its own word": with_(
        ended(code=75, word="loop"),
        row=row(
            lifecycle="exited",
            ended_s=960.0,
            exit=ExitPart(code=75, reason="loop"),
            reason="it called shell 5 times with the same result",
        ),
    ),
    "handed back": ended(word="handed-back"),
    "VRAM": with_(ended(signal=15, word="quota"), events=(event("quota", "GPU 0: 9.0G of 8.0G", gpu="u"),)),
    "its own limit of memory": ended(signal=9, word="oom"),
    "more processes than it may, where they are watched": with_(
        ended(signal=9, word="pids"),
        row=row(
            lifecycle="exited",
            ended_s=960.0,
            exit=ExitPart(signal=9, reason="pids"),
            reason="60 processes and threads, of at most 50",
        ),
    ),
    "could not fork": with_(
        ended(code=2),
        events=(event("forks-refused", "twice it could not fork at its limit of 3 processes and threads", 959.9),),
        log=("sh: 1: Cannot fork",),
    ),
    "could not fork in an earlier run": with_(
        ended(code=2),
        events=(event("forks-refused", "twice it could not fork at its limit of 3 processes and threads", 930.0),),
    ),
    "cannot fork": evidence(row({"limits": LimitPart(pids=3)}, ready="yes"), forks_refused=7),
    "stopped by a person": with_(
        ended(signal=15, word="cancelled"),
        runs=(
            RunPart(
                number=1,
                started_s=940.0,
                ended_s=960.0,
                ended_by="the user",
                exit=ExitPart(signal=15, reason="cancelled"),
            ),
        ),
    ),
    "stopped while it was queued": evidence(
        row(
            lifecycle="exited",
            ended_s=990.0,
            started_s=None,
            exit=ExitPart(reason="cancelled"),
            reason="stopped before it was started",
            ended_by="the user",
        ),
        runs=(RunPart(number=1, ended_s=990.0, exit=ExitPart(reason="cancelled"), ended_by="the user"),),
    ),
    "stopped between two runs": with_(
        ended(signal=9, word="cancelled"),
        row=row(
            lifecycle="exited",
            ended_s=990.0,
            started_s=None,
            exit=ExitPart(signal=9, reason="cancelled"),
            ended_by="the user",
        ),
        runs=(
            RunPart(
                number=3,
                started_s=940.0,
                ended_s=960.0,
                exit=ExitPart(signal=9, reason="oom"),
                reason="out of memory: the kernel ended it at its limit of 30M",
            ),
        ),
    ),
    "a schedule that was stopped": with_(
        ended(code=0, word="cancelled"),
        row=row(
            {"schedule": SchedulePart(cron="0 4 * * *", timezone="Europe/Paris")},
            lifecycle="exited",
            ended_s=990.0,
            started_s=None,
            exit=ExitPart(code=0, reason="cancelled"),
            ended_by="p9",
        ),
        runs=(RunPart(number=3, started_s=940.0, ended_s=960.0, exit=ExitPart(code=0, reason="done")),),
    ),
    "killed by a person through us": with_(
        ended(signal=9),
        runs=(RunPart(number=1, started_s=940.0, ended_s=960.0, ended_by="p2"),),
        events=(event("signalled", "by p2", 960.0, signal=9),),
    ),
    "the machine's memory, counted by its group": struck(group_oom_kills=1, machine_oom_kills=1),
    "the machine's memory, most likely": struck(machine_oom_kills=2),
    "memory was short": struck(memory_stalled_percent=34.2),
    "somebody outside": KILLED,
    "SIGKILL while nobody looked": ended(signal=9),
    "its parent": with_(ended(signal=15), parent=other("boss", "p1", lifecycle="exited", ended_s=959.0)),
    "its own fault": ended(signal=11),
    "a closed terminal": ended({"pty": True}, signal=1),
    "lost": with_(
        ended(),
        row=row(lifecycle="lost", ended_s=960.0, exit=ExitPart(), reason="the machine was started anew"),
    ),
    "a traceback": with_(
        ended(code=1), log=("Traceback (most recent call last):", '  File "x.py"', "ValueError: bad shape")
    ),
    "the GPU's memory": with_(
        ended(code=1),
        log=("Traceback (most recent call last):", "torch.OutOfMemoryError: CUDA out of memory. Tried …"),
    ),
    "127": ended(code=127),
    "137": ended(code=137),
    "success": ended(code=0, word="done"),
    "paused": evidence(row(holds=["user"]), events=(event("paused", "by the user", 990.0),)),
    "over its parent's budget": evidence(
        row(holds=["budget"], tokens=tokens(input=9000, output=1000, requests=3)),
        others={"p1": other("boss", "p1")},
        events=(event("held", "", owner="p1", what="tokens", used=200_000, budget=200_000),),
    ),
    "over its own budget of money": evidence(
        row(holds=["budget"]), events=(event("held", "", owner="p4", what="usd", used=4.99, budget=5.0),)
    ),
    "over today's budget of the user": evidence(
        row(holds=["budget"]), events=(event("held", "", owner="user", what="usd_per_day", used=20.0, budget=20.0),)
    ),
    "over today's budget of its project": evidence(
        row(holds=["budget"]),
        events=(
            event("held", "", owner="project:/a%20b/web/aish.toml", what="tokens_per_day", used=5000, budget=5000),
        ),
    ),
    "over its own budget of today": evidence(
        row(holds=["budget"]), events=(event("held", "", owner="p4", what="requests_per_day", used=9, budget=9),)
    ),
    "over its own small budget of money": evidence(
        row(holds=["budget"]), events=(event("held", "", owner="p4", what="usd", used=0.00098765, budget=0.001),)
    ),
    "held without memory": evidence(row(holds=["memory"], reason="out of memory: it is held at its limit of 1.0G")),
    "held": evidence(row(holds=["operator"])),
    "not ready": evidence(row({"start_timeout_s": 90.0}, ready="no"), doing="not ready: connection refused"),
    "its server rests": evidence(
        row(ready="yes"),
        events=(event("resting", "it is not asked for 12 s: its server answered 529: Overloaded", rest_s=12.0),),
        doing="rests for 8 s: its server answered 529: Overloaded",
    ),
    "checked": evidence(row(checking=True)),
    "its request waits": evidence(row(ready="yes"), activity="queued", doing="smollm2"),
    "its request waits for a model": evidence(
        row(ready="yes"), activity="queued", doing="waits for smollm2 to get ready"
    ),
    "its request waits for its own budget": evidence(
        row(holds=["budget"]),
        events=(event("held", "", owner="p4", what="usd", used=4.99, budget=5.0),),
        activity="queued",
        doing="over budget",
    ),
    "throttled": evidence(
        row({"limits": LimitPart(cpus=1.5)}, ready="yes"),
        samples=tuple(Sample(time_s=at, throttled={"p4": count}) for at, count in ((900.0, 10), (996.0, 410))),
    ),
    "a busy machine": evidence(
        row(ready="yes"),
        samples=(
            Sample(time_s=999.0, memory_used_bytes=31 * GB, memory_total_bytes=32 * GB, io_stalled_percent=60.0),
        ),
    ),
    "started again": evidence(
        row(ready="yes", restarts=2, begun_by="its restart policy"),
        runs=(RunPart(number=2, started_s=800.0, ended_s=935.0, exit=ExitPart(signal=11)),),
        log=("assertion failed",),
    ),
    "started again after it was handed back": evidence(
        row(ready="yes", restarts=1, begun_by="the user"),
        runs=(RunPart(number=1, started_s=800.0, ended_s=935.0, exit=ExitPart(reason="handed-back")),),
    ),
    "restarted with its group": evidence(
        row({"group": GroupPart(name="front")}, ready="yes", restarts=1, begun_by="its group"),
        runs=(RunPart(number=1, started_s=800.0, ended_s=935.0, exit=ExitPart(signal=15, reason="group")),),
        events=(event("group", "web failed: it is to restart, too", 935.0, group="front"),),
    ),
    "started again long ago": evidence(
        row(ready="yes", restarts=1, begun_by="the user", started_s=-90_000.0),
        runs=(RunPart(number=1, started_s=-95_000.0, ended_s=-91_000.0, exit=ExitPart(code=1)),),
    ),
    "a window that is reserved": evidence(
        row(holds=["budget"]),
        events=(
            event(
                "held",
                "61% of the window claude/5h is used, and what is above 60% is reserved until 14:00",
                owner="window:claude/5h",
                what="window_reserve",
                used=0.61,
                budget=0.6,
            ),
        ),
    ),
    "near a limit": evidence(row(ready="yes"), events=(event("warned", "80 % of its budget is used", 990.0),)),
    "nothing": evidence(
        row(ready="yes", tokens=tokens(input=1, output=1, requests=1)), cpu_seconds=1.25, rss_bytes=GB
    ),
}


def expected() -> dict[str, tuple[str, str]]:
    """name -> (the first rule, the paragraph), as why_paragraphs.txt has them."""
    found = {}
    for block in (Path(__file__).parent / "why_paragraphs.txt").read_text().split("\n\n"):
        head, *lines = block.strip().splitlines()
        name, _, rule = head.partition(": ")
        found[name] = (rule, " ".join(line.strip() for line in lines))
    return found


@pytest.mark.parametrize("name", CASES)
def test_paragraph(name: str) -> None:
    found = explain(CASES[name])
    assert (found.causes[0].rule, found.paragraph) == expected()[name]


def test_each_paragraph_has_its_case() -> None:
    assert list(expected()) == list(CASES)


def test_what_nothing_explains_is_called_so() -> None:
    odd = with_(ended(), row=row(lifecycle="failed", ended_s=960.0, exit=ExitPart(reason="permission")))
    assert (
        explain(odd).paragraph
        == "train (p4) failed 40 s ago, after it had run for 20 s. Nothing recorded explains it."
    )


def test_causes_are_ranked() -> None:
    found = explain(with_(struck(machine_oom_kills=1), parent=other("boss", "p1", lifecycle="exited", ended_s=959.5)))
    assert [cause.rule for cause in found.causes] == ["machine-oom", "parent-ended"]
    assert [cause.weight for cause in found.causes] == sorted((c.weight for c in found.causes), reverse=True)


def test_never_more_than_five_sentences_and_forty_lines() -> None:
    needs = [NeedPart(name=f"n{number}") for number in range(60)]
    found = explain(evidence(queued(needs=needs, vram_bytes=GB), devices=(CARD,) * 30, ahead=("a",) * 9))
    assert found.paragraph.count(". ") <= 4
    assert len(found.evidence) <= 40


def test_what_the_machine_did_before_this_daemon_is_not_known() -> None:
    found = explain(evidence(row(ready="yes"), knows_from_s=NOW_S - 7))
    assert found.paragraph.endswith("What the machine looked like is known only of the last 7.0 s.")


def test_evidence_stands_in_time_with_its_last_words_before_its_end() -> None:
    given = with_(
        CASES["a traceback"], events=(event("started", time_s=940.0), event("exited", time_s=960.0, code=1))
    )
    lines = [(line.source, line.text.split()[0]) for line in explain(given).evidence]
    assert [source for source, _ in lines] == ["event", "log", "log", "log", "event"]
    assert (lines[0][1], lines[-1][1]) == ("started", "exited")
    late = (event("started", time_s=960.1), event("exited", time_s=960.2, code=1))  # it was that quick
    found = [line.source for line in explain(with_(CASES["a traceback"], events=late)).evidence]
    assert found == ["event", "log", "log", "log", "event"], "its words came before its start"


def test_every_rule_has_a_case_and_a_row_on_the_page() -> None:
    """A rule is its name in `Cause(name, …)`; docs/reference/why.md tells what each one means."""
    names: set[str] = set()
    for path in Path(module.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Cause":
                names |= {node.args[0].value} if isinstance(node.args[0], ast.Constant) else set()
            if (
                isinstance(node, ast.Assign)
                and isinstance(node.targets[0], ast.Name)
                and node.targets[0].id == "rule"
            ):
                names |= {node.value.value} if isinstance(node.value, ast.Constant) else set()
    page = (ROOT / "docs" / "reference" / "why.md").read_text().split("## The rules")[1]
    assert set(re.findall(r"^\| `([a-z-]+)` \|", page, re.M)) == names
    found = {cause.rule for given in CASES.values() for cause in explain(given).causes}
    assert names - found == {"start", "hook-after"}, "start and hook-after are tried with real processes"


def test_last_lines_are_harmless_whole_and_bounded() -> None:
    noisy = b"est of a line\n\x1b[31mred\x1b[0m\x07\n\n  10%\r 100%\r\n\x1b]0;title\x07\xff end\n" + b"x" * 999
    assert last_lines(noisy, whole=False) == ("red\\x07", " 100%", "\ufffd end", "x" * 300)
    assert last_lines(b"first\n", whole=True) == ("first",)
    assert last_lines(b"\0" * 100 + b"after a hole\n", whole=True) == ("after a hole",)
    assert last_lines(b"", whole=True) == ()
    assert len(last_lines(b"a\n" * 500, whole=True)) == 12
