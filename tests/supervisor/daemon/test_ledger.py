"""Whose VRAM is whose."""

from __future__ import annotations

from aish.spi.gpu import GpuDevice, GpuProcess, GpuSample
from aish.supervisor.daemon import ledger
from aish.supervisor.daemon.ledger import Promise

G = 1 << 30
CARD = GpuDevice(index=0, uuid="GPU-0", name="card", memory_bytes=80 * G)


def free_g(
    sample: GpuSample | None, *promises: Promise, owners: dict[int, str] | None = None, reserve_g: int = 0
) -> float:
    samples = {} if sample is None else {sample.uuid: sample}
    (account,) = ledger.accounts([CARD], samples, promises, owners or {}, reserve_g * G)
    return account.free_bytes / G


def sample(used_g: int | None, *entries: tuple[int, int | None]) -> GpuSample:
    processes = [GpuProcess(pid=pid, vram_bytes=None if used is None else used * G) for pid, used in entries]
    return GpuSample(uuid="GPU-0", used_bytes=None if used_g is None else used_g * G, processes=processes)


def promise(vram_g: int, used_g: int | None = None) -> Promise:
    return Promise("p1", vram_g * G, ("GPU-0",), {"GPU-0": None if used_g is None else used_g * G})


def test_an_empty_device_is_free_but_for_the_reserve() -> None:
    assert free_g(None) == 80
    assert free_g(sample(0), reserve_g=2) == 78


def test_a_promise_counts_before_anything_is_used() -> None:
    """Between start and the first allocation a second process would be promised the same memory."""
    assert free_g(sample(0), promise(20, 0), owners={7: "p1"}) == 60


def test_use_above_the_promise_counts_as_what_it_is() -> None:
    assert free_g(sample(30, (7, 30)), promise(20, 30), owners={7: "p1"}) == 50


def test_strangers_are_counted() -> None:
    """Else a model is admitted beside somebody's notebook and runs out of memory (ollama #3765)."""
    assert free_g(sample(35, (7, 5), (99, 30)), promise(20, 5), owners={7: "p1"}) == 30


def test_a_strangers_use_is_not_taken_for_an_unmeasured_promise() -> None:
    assert free_g(sample(30, (99, 30)), promise(20)) == 30


def test_use_that_nobody_owns_is_first_our_unmeasured_processes() -> None:
    """A driver that tells no use per process must not make every promise count twice."""
    assert free_g(sample(18), promise(20)) == 60
    assert free_g(sample(25), promise(20)) == 55


def test_our_process_without_a_quota_counts_as_a_stranger() -> None:
    assert free_g(sample(10, (8, 10)), owners={8: "p2"}) == 70


def test_use_by_process_adds_descendants_and_keeps_unknown_unknown() -> None:
    owners = {7: "p1", 8: "p1", 9: "p2"}
    use = ledger.use_by_process([sample(40, (7, 5), (8, 6), (9, None), (99, 20))], owners)
    assert use == {"p1": {"GPU-0": 11 * G}, "p2": {"GPU-0": None}}
