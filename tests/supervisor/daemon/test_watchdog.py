"""What is done about a process above its VRAM quota: warn, give it a moment, stop it. Never on a guess."""

from __future__ import annotations

from aish.supervisor.daemon import watchdog
from aish.supervisor.daemon.watchdog import Fine, Patience, StopIt, Warn

G = 1 << 30


def test_within_the_quota() -> None:
    assert watchdog.decide(8 * G, {"a": 8 * G}, None, 10.0) == Fine()
    assert watchdog.decide(None, {"a": 80 * G}, None, 10.0) == Fine()
    assert watchdog.decide(8 * G, {}, None, 10.0) == Fine()


def test_unknown_use_is_no_evidence() -> None:
    assert watchdog.decide(8 * G, {"a": None}, None, 10.0) == Fine()
    assert watchdog.decide(8 * G, {"a": None}, 1.0, 10.0) == Patience()


def test_warned_first_then_stopped_with_the_numbers() -> None:
    used = {"a": 2 * G, "b": 9 * G}
    assert watchdog.decide(8 * G, used, None, 10.0) == Warn("b", 9 * G, 8 * G)
    assert watchdog.decide(8 * G, used, 10.0, 10.0 + watchdog.PATIENCE_S / 2) == Patience()
    stop = watchdog.decide(8 * G, used, 10.0, 10.0 + watchdog.PATIENCE_S)
    assert stop == StopIt("b", 9 * G, 8 * G)
    assert str(stop) == "used 9.0G of VRAM, its quota is 8.0G"


def test_going_back_below_the_quota_is_forgiven() -> None:
    assert watchdog.decide(8 * G, {"a": 7 * G}, 10.0, 11.5) == Fine()
