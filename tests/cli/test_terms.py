"""`aish inspect` says on which terms a process lives: group, schedule, needs, probes and hooks stood in JSON only."""

from __future__ import annotations

from aish.cli.terms import restart, terms
from aish.wire.spec import GroupPart, NeedPart, ProbePart, RestartPart, SchedulePart, SpecPart


def told(**fields: object) -> dict[str, str]:
    return {key: value for key, value in terms(SpecPart(argv=[b"true"], **fields)) if value is not None}  # type: ignore[arg-type]


def test_what_was_not_asked_for_has_no_line() -> None:
    assert told() == {}
    assert restart(SpecPart(argv=[b"true"]), 0) == "never, 0 so far"


def test_what_was_asked_for() -> None:
    assert told(
        ready=ProbePart(pattern="up"),
        live=ProbePart(address="127.0.0.1:80", every_s=2, failures=4),
        before=[b"sh", b"-c", b"make db"],
        check=[b"test", b"-s", b"a file"],
        needs=[NeedPart(name="db"), NeedPart(name="job", until="completed", timeout_s=30)],
        group=GroupPart(name="web", place=2, strategy="rest_for_one"),
        schedule=SchedulePart(cron="0 3 * * *", timezone="UTC", missed="once"),
        start_timeout_s=20,
        hook_timeout_s=9,
        stop_signal=2,
        grace_s=0,
        kept_fds_most=3,
        oom_score_adj=0,
        ionice="idle",
    ) == {
        "ready": "line:up",
        "live": "tcp:127.0.0.1:80, every 2 s, within 5 s, 4 failures",
        "before": "make db",
        "check": "test -s 'a file'",
        "needs": "db:ready, job:completed:30",
        "group": "web:2:rest_for_one",
        "schedule": "0 3 * * * UTC, missed: once",
        "time-outs": "start 20 s, hooks 9 s",
        "stop": "INT, SIGKILL after 0 s",
        "kept": "3 descriptors at most",
        "oom score": "0",
        "ionice": "idle",
    }


def test_each_kind_of_probe() -> None:
    for probe, text in (
        (ProbePart(command=[b"sh", b"-c", b"curl a | grep b"]), "exec:curl a | grep b"),
        (ProbePart(url="http://127.0.0.1:{port}/health"), "http://127.0.0.1:{port}/health"),
        (ProbePart(address="unix:/run/x"), "unix:/run/x"),
        (ProbePart(notify=True), "notify"),
    ):
        assert told(ready=probe) == {"ready": text}
    assert told(live=ProbePart(notify=True, timeout_s=20)) == {"live": "notify, within 20 s"}


def test_a_restart_policy_says_what_is_not_as_usual() -> None:
    spec = SpecPart(
        argv=[b"true"], restart="always", restarts=RestartPart(delay_s=1, longest_s=5, most=3, window_s=10)
    )
    assert restart(spec, 2) == "always, after 1 to 5 s, at most 3 within 10 s, 2 so far"
    assert restart(SpecPart(argv=[b"true"], restart="always", restarts=RestartPart(most=None)), 0) == (
        "always, without end, 0 so far"
    )
