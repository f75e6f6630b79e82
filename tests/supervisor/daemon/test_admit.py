"""Which waiting process gets which GPUs."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from aish.supervisor.daemon import admit
from aish.supervisor.daemon.admit import Grant, Never, Request, Room, Waits

G = 1 << 30


def room(index: int, free_g: int, capacity_g: int = 80) -> Room:
    return Room(f"GPU-{index}", index, capacity_g * G, free_g * G)


def test_the_tightest_fit_is_taken() -> None:
    """A large hole must stay whole for a large model."""
    assert admit.plan([Request("p1", 8 * G)], [room(0, 80), room(1, 10), room(2, 9)]) == [Grant("p1", ("GPU-2",))]


def test_what_can_never_fit_fails_at_once_with_the_numbers() -> None:
    (verdict,) = admit.plan([Request("p1", 90 * G)], [room(0, 80), room(1, 40, 40)])
    assert verdict == Never("p1", "needs 90G of VRAM, the largest device has 80G")
    (verdict,) = admit.plan([Request("p1", 60 * G, 2)], [room(0, 80), room(1, 40, 40)])
    assert verdict == Never("p1", "needs 2 devices with 60G of VRAM each, there are 1")
    (verdict,) = admit.plan([Request("p1", G)], [])
    assert isinstance(verdict, Never)


def test_devices_that_are_away_for_a_moment_refuse_nobody() -> None:
    assert admit.plan([Request("p1", G)], [], "nvml: lost") == [Waits("p1", "nvml: lost")]


def test_a_lost_device_gets_nothing_and_keeps_nobody() -> None:
    lost = Room("GPU-0", 0, 80 * G, 80 * G, "nvml: the device is lost")
    rooms = [lost, room(1, 40, 40)]
    queue = [Request("p1", 50 * G), Request("p2", 8 * G, 2), Request("p3", 8 * G), Request("p4", 90 * G)]
    assert admit.plan(queue, rooms) == [
        Waits("p1", "needs 50G of VRAM, GPU 0 gets nothing new: nvml: the device is lost"),
        Waits("p2", "needs 8.0G of VRAM, GPU 0 gets nothing new: nvml: the device is lost"),
        Grant("p3", ("GPU-1",)),
        Never("p4", "needs 90G of VRAM, the largest device has 80G"),
    ]


def test_two_of_one_plan_do_not_get_the_same_memory() -> None:
    verdicts = admit.plan([Request("p1", 50 * G), Request("p2", 50 * G)], [room(0, 80)])
    assert verdicts[0] == Grant("p1", ("GPU-0",))
    assert verdicts[1] == Waits("p2", "needs 50G of VRAM, GPU 0 has 30G of 80G free")


def test_several_devices_are_different_ones() -> None:
    (verdict,) = admit.plan([Request("p1", 10 * G, 2)], [room(0, 80), room(1, 12)])
    assert verdict == Grant("p1", ("GPU-1", "GPU-0"))


def test_a_small_late_one_does_not_starve_a_large_early_one() -> None:
    """Without setting the device aside, a stream of small ones would keep it from ever becoming free."""
    rooms = [room(0, 30), room(1, 6)]
    verdicts = admit.plan([Request("large", 70 * G), Request("small", 4 * G), Request("medium", 20 * G)], rooms)
    assert isinstance(verdicts[0], Waits)
    assert verdicts[1] == Grant("small", ("GPU-1",))
    assert verdicts[2] == Waits(
        "medium", "needs 20G of VRAM; what is free is set aside for an earlier process in the queue"
    )


rooms_ = st.lists(st.tuples(st.integers(0, 80), st.integers(8, 80)), min_size=0, max_size=5).map(
    lambda pairs: [room(i, min(free, capacity), capacity) for i, (free, capacity) in enumerate(pairs)]
)
queue_ = st.lists(st.tuples(st.integers(1, 90), st.integers(1, 3)), max_size=6).map(
    lambda pairs: [Request(f"p{i}", vram * G, count) for i, (vram, count) in enumerate(pairs)]
)


@given(queue_, rooms_)
def test_nothing_is_promised_twice(queue: list[Request], rooms: list[Room]) -> None:
    """Every grant fits beside the others, on as many different devices as were asked for."""
    verdicts = admit.plan(queue, rooms)
    assert [verdict.process for verdict in verdicts] == [request.process for request in queue]
    left = {room.uuid: room.free_bytes for room in rooms}
    for request, verdict in zip(queue, verdicts, strict=True):
        if isinstance(verdict, Grant):
            assert len(set(verdict.uuids)) == request.gpu_count
            for uuid in verdict.uuids:
                left[uuid] -= request.vram_bytes
    assert all(free >= 0 for free in left.values())


@given(queue_, rooms_)
def test_the_first_in_line_gets_in_once_its_devices_drain(queue: list[Request], rooms: list[Room]) -> None:
    """No starvation: whoever else is admitted, the devices that the first waits for only become freer."""
    waiting = [
        request
        for request, verdict in zip(queue, admit.plan(queue, rooms), strict=True)
        if isinstance(verdict, Waits)
    ]
    if not waiting:
        return
    first = waiting[0]
    able = sorted((r for r in rooms if r.capacity_bytes >= first.vram_bytes), key=lambda r: (-r.free_bytes, r.index))
    aside = {r.uuid for r in able[: first.gpu_count]}
    position = queue.index(first)
    earlier = {uuid for v in admit.plan(queue, rooms)[:position] if isinstance(v, Grant) for uuid in v.uuids}
    if earlier:
        return  # then the order of free memory was another one when it was its turn
    for verdict in admit.plan(queue, rooms)[position + 1 :]:
        if isinstance(verdict, Grant):
            assert not aside & set(verdict.uuids)
