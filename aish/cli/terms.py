"""On which terms a process lives, as `aish inspect` shows them: what was asked for, near to how the options say it.
What was not asked for has no line. Pure."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Final

from aish.cli.output import command_line
from aish.model.kind import MODEL
from aish.wire.spec import ProbePart, RestartPart, SpecPart

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aish.wire.spec import NeedPart

_USUAL: Final = SpecPart(argv=[])


def terms(spec: SpecPart) -> list[tuple[str, str | None]]:
    """Lines of `aish inspect`."""
    return [
        ("ready", _probe(spec.ready) if spec.kind != MODEL else None),
        ("live", _probe(spec.live, times=True) if spec.kind != MODEL else None),
        ("before", _words(spec.before)),
        ("after", _words(spec.after)),
        ("check", _words(spec.check)),
        ("needs", ", ".join(map(_need, spec.needs)) or None),
        ("group", _group(spec)),
        ("schedule", _schedule(spec)),
        ("time-outs", _timeouts(spec)),
        ("stop", _stop(spec)),
        ("kept", f"{spec.kept_fds_most} descriptors at most" if spec.kept_fds_most else None),
        ("oom score", None if spec.oom_score_adj is None else str(spec.oom_score_adj)),
        ("ionice", spec.ionice),
    ]


def restart(spec: SpecPart, restarts: int) -> str:
    """Its policy, with what of it is not as usual, and how often it was."""
    part, told = spec.restarts or RestartPart(), [spec.restart]
    usual = RestartPart()
    if (part.delay_s, part.most_s) != (usual.delay_s, usual.most_s):
        told.append(f"after {part.delay_s:g} to {part.most_s:g} s")
    if part.most is None:
        told.append("without end")
    elif (part.most, part.window_s) != (usual.most, usual.window_s):
        told.append(f"at most {part.most} within {part.window_s:g} s")
    return ", ".join([*told, f"{restarts} so far"])


def _probe(probe: ProbePart | None, *, times: bool = False) -> str | None:
    if probe is None:
        return None
    if probe.notify:
        text = "notify"
    elif probe.pattern is not None:
        return f"line:{probe.pattern}"
    elif probe.command:
        text = f"exec:{_words(probe.command)}"
    else:
        text = probe.url or _address(probe.address or "")
    if not times:
        return text
    if probe.notify:
        return f"{text}, within {probe.timeout_s:g} s"
    return f"{text}, every {probe.every_s:g} s, within {probe.timeout_s:g} s, {probe.failures} failures"


def _address(address: str) -> str:
    return address if address.startswith("unix:") else f"tcp:{address}"


def _words(words: Sequence[bytes]) -> str | None:
    """A line for sh without the sh."""
    if not words:
        return None
    line = words[2:] if list(words[:2]) == [b"sh", b"-c"] and len(words) == 3 else None
    return line[0].decode(errors="backslashreplace") if line else command_line(words)


def _need(need: NeedPart) -> str:
    within = "" if need.timeout_s is None else f":{need.timeout_s:g}"
    return f"{need.name}:{need.until}{within}"


def _group(spec: SpecPart) -> str | None:
    group = spec.group
    return None if group is None else f"{group.name}:{group.place}:{group.strategy}"


def _schedule(spec: SpecPart) -> str | None:
    if spec.schedule is None:
        return None
    zone = f" {spec.schedule.timezone}" if spec.schedule.timezone else ""
    return f"{spec.schedule.cron}{zone}, missed: {spec.schedule.missed}"


def _timeouts(spec: SpecPart) -> str | None:
    """That of a run stands among the budget, where `aish limit` has it."""
    told = [f"start {spec.start_timeout_s:g} s"] if spec.start_timeout_s is not None else []
    told += [f"hooks {spec.hook_timeout_s:g} s"] if spec.hook_timeout_s != _USUAL.hook_timeout_s else []
    return ", ".join(told) or None


def _stop(spec: SpecPart) -> str | None:
    if (spec.stop_signal, spec.grace_s) == (_USUAL.stop_signal, _USUAL.grace_s):
        return None
    try:
        name = signal.Signals(spec.stop_signal).name.removeprefix("SIG")
    except ValueError:  # a real-time signal between the named ones
        name = str(spec.stop_signal)
    return f"{name}, SIGKILL after {spec.grace_s:g} s"
