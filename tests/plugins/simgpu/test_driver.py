"""The simulated driver: real processes hold memory, their end frees it, faults look like a driver's."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from aish.errors import LimitError, NotFoundError, StorageError
from aish.plugins.simgpu import card as cards
from aish.plugins.simgpu import driver, holding
from aish.plugins.simgpu.allocation import allocate
from aish.plugins.simgpu.driver import SimDriver
from aish.spi.gpu import GpuDriver, GpuError

GIB = 1 << 30
Rack = tuple[cards.Card, ...]


def script_faults(folder: str, **faults: object) -> None:
    path = Path(folder, cards.FILE_NAME)
    table = json.loads(path.read_text())
    path.write_text(json.dumps({**table, "faults": faults}))


def test_the_entry_point_makes_a_driver_without_devices_where_nobody_asked_for_any() -> None:
    made = driver()
    assert isinstance(made, GpuDriver)
    assert made.devices() == []
    assert made.sample() == []


def test_cards_made_later_are_seen(folder: str) -> None:
    made = driver()
    cards.save(folder, cards.design(folder, 1, GIB, "late"))
    assert [device.name for device in made.devices()] == ["late"]


def test_an_idle_card(rack: Rack) -> None:
    sample = driver().sample()[0]
    assert sample.uuid == rack[0].uuid
    assert sample.used_bytes == 0
    assert sample.utilisation_percent == 0
    assert sample.processes == ()
    assert sample.power_w is not None
    assert sample.power_limit_w == 350
    assert 0 < sample.power_w < 60


def test_memory_is_held_by_a_living_process_and_freed_by_its_death(
    rack: Rack, started: Callable[..., subprocess.Popen[str]]
) -> None:
    holder = started("hold", "6G", "--busy", "70%", "--device", "1")
    assert holder.stdout is not None
    assert "holding 6.0G on GPU1" in holder.stdout.readline()
    sample = driver().sample()[1]
    assert sample.used_bytes == 6 * GIB
    assert [(p.pid, p.vram_bytes) for p in sample.processes] == [(holder.pid, 6 * GIB)]
    assert sample.utilisation_percent is not None
    assert 60 < sample.utilisation_percent < 80
    holder.kill()
    os.waitid(os.P_PID, holder.pid, os.WEXITED | os.WNOWAIT)  # dead, not reaped: a zombie holds nothing
    assert driver().sample()[1].used_bytes == 0


def test_a_reused_pid_does_not_inherit_memory(rack: Rack, folder: str) -> None:
    holding.change(folder, rack[0], os.getpid(), add_bytes=GIB)
    path = Path(folder, holding.HELD, str(os.getpid()))
    table = json.loads(path.read_text())
    path.write_text(json.dumps({**table, "start": table["start"] - 1}))
    assert holding.living(folder) == []
    path.write_text(json.dumps({**table, "boot": "another"}))
    assert holding.living(folder) == []


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"boot": 1, "start": 2, "cards": 3}', "\xff"])
def test_a_torn_record_holds_nothing_and_is_swept_away(rack: Rack, folder: str, text: str) -> None:
    holding.change(folder, rack[0], os.getpid(), add_bytes=GIB)
    Path(folder, holding.HELD, "1").write_text(text, encoding="latin-1")
    Path(folder, holding.HELD, "junk.new").write_text(text, encoding="latin-1")
    assert [entry.pid for entry in holding.living(folder)] == [os.getpid()]
    holding.change(folder, rack[0], os.getpid(), add_bytes=GIB)
    assert os.listdir(os.path.join(folder, holding.HELD)) == [str(os.getpid())]


def test_what_does_not_fit_is_refused_with_the_numbers(rack: Rack, folder: str) -> None:
    holding.change(folder, rack[0], os.getpid(), add_bytes=20 * GIB)
    with pytest.raises(LimitError, match=r"GPU0: 5\.0G asked for, 4\.0G free of 24G"):
        holding.change(folder, rack[0], os.getpid(), add_bytes=5 * GIB)
    assert [entry.size_bytes for entry in holding.living(folder)] == [20 * GIB]
    holding.change(folder, rack[1], os.getpid(), add_bytes=24 * GIB)  # the other card is another matter


def test_concurrent_allocations_never_exceed_the_card(
    rack: Rack, folder: str, started: Callable[..., subprocess.Popen[str]]
) -> None:
    """Check and take are one step: two processes that both see 24G free must not both get them."""
    holders = [started("hold", "7G") for _ in range(6)]
    refused = [holder for holder in holders if holder.stdout is not None and not holder.stdout.readline()]
    assert [holder.wait(timeout=60) for holder in refused] == [1, 1, 1]
    assert driver().sample()[0].used_bytes == 21 * GIB


def test_a_program_allocates_on_the_card_it_was_given(rack: Rack, monkeypatch: pytest.MonkeyPatch) -> None:
    assert allocate(GIB) is None
    for name, value in driver().environ([rack[1].uuid], 8 * GIB).items():
        monkeypatch.setenv(name, value)
    memory = allocate(3 * GIB)
    assert memory is not None
    sample = driver().sample()
    assert [s.used_bytes for s in sample] == [0, 3 * GIB]
    with memory.working(50):
        assert driver().sample()[1].utilisation_percent > 30  # type: ignore[operator]
    assert driver().sample()[1].utilisation_percent == 0
    memory.resize(5 * GIB)
    more = allocate(2 * GIB)
    assert more is not None
    assert driver().sample()[1].used_bytes == 7 * GIB
    with pytest.raises(LimitError):
        memory.resize(23 * GIB)
    assert memory.size_bytes == 5 * GIB
    memory.free()
    assert driver().sample()[1].used_bytes == 2 * GIB
    more.free()
    assert driver().sample()[1].processes == ()


def test_a_program_whose_card_was_taken_away_is_told(rack: Rack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(cards.DEVICE_VARIABLE, "SIM-gone")
    with pytest.raises(NotFoundError, match="SIM-gone"):
        allocate(GIB)


def test_environ_of_no_cards_says_nothing(rack: Rack) -> None:
    assert driver().environ([], None) == {}


def test_figures_are_the_same_for_the_same_state_and_second_and_plausible(rack: Rack, folder: str) -> None:
    holding.change(folder, rack[0], os.getpid(), add_bytes=GIB, busy_percent=60)
    seen = set()
    for second in range(200):
        once, again = (SimDriver(folder, clock=lambda s=second: float(s)).sample()[0] for _ in range(2))  # type: ignore[misc]
        assert once == again
        assert once.utilisation_percent is not None
        assert once.power_w is not None
        assert once.temperature_c is not None
        assert 50 <= once.utilisation_percent <= 70
        assert 100 < once.power_w < 350
        assert 50 < once.temperature_c < 70
        seen.add(once.utilisation_percent)
    assert len(seen) > 5, "a load that never moves looks broken in top"


def test_processes_together_never_use_more_than_the_card(
    rack: Rack, folder: str, started: Callable[..., subprocess.Popen[str]]
) -> None:
    for _ in range(2):
        holder = started("hold", "1G", "--busy", "90%")
        assert holder.stdout is not None
        holder.stdout.readline()
    sample = driver().sample()[0]
    shares = [p.sm_percent for p in sample.processes if p.sm_percent is not None]
    assert len(shares) == 2
    assert 99 <= sum(shares) <= 100.2
    assert sample.utilisation_percent == pytest.approx(100)


def test_fault_sample_error(rack: Rack, folder: str) -> None:
    script_faults(folder, sample_error="Xid 79: fell off the bus")
    with pytest.raises(GpuError, match="Xid 79"):
        driver().sample()
    assert len(driver().devices()) == 2


def test_fault_lost(rack: Rack, folder: str) -> None:
    script_faults(folder, lost=[0])
    assert [s.uuid for s in driver().sample()] == [rack[1].uuid]
    script_faults(folder, lost=True)
    assert driver().sample() == []


def test_fault_slow(rack: Rack, folder: str) -> None:
    script_faults(folder, slow_s=0.2)
    start = time.monotonic()
    assert len(driver().sample()) == 2
    assert time.monotonic() - start >= 0.2


def test_fault_junk_processes(rack: Rack, folder: str) -> None:
    holding.change(folder, rack[0], os.getpid(), add_bytes=GIB)
    script_faults(folder, junk_processes=True)
    processes = driver().sample()[0].processes
    assert processes[0].pid == os.getpid()
    assert any(p.vram_bytes is None and p.pid != os.getpid() for p in processes)
    assert len({p.pid for p in processes}) < len(processes)


def test_a_damaged_file_is_the_drivers_error_with_the_place(rack: Rack, folder: str) -> None:
    Path(folder, cards.FILE_NAME).write_text('{"devices": oops}')
    for call in (driver().devices, driver().sample):
        with pytest.raises(GpuError, match=r"devices\.json:1:13"):
            call()


def test_a_record_of_another_program_is_not_followed_through_a_link(rack: Rack, folder: str, tmp_path: Path) -> None:
    target = tmp_path / "elsewhere"
    target.mkdir()
    os.symlink(target, os.path.join(folder, holding.HELD))
    with pytest.raises(StorageError):
        holding.change(folder, rack[0], os.getpid(), add_bytes=GIB)
