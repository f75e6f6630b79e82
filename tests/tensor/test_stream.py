"""Writer and Reader in one process: what arrives, when memory comes back, what is refused."""

from __future__ import annotations

import gc
import os
import select
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import ml_dtypes
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aish.tensor.dtypes import TABLE
from aish.tensor.edge import create
from aish.tensor.errors import BudgetError, ClosedError, HangupError, NoEdgeError, PeerError, UsageError
from aish.tensor.reader import EdgeTimeoutError, Reader
from aish.tensor.stats import read_stats
from aish.tensor.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from numpy.typing import NDArray

    from .conftest import Edges

BIG = 100_000  # bytes: above what travels inline


@pytest.fixture
def pair(edges: Edges) -> Iterator[tuple[Writer, Reader]]:
    edge = edges.make()
    writer, reader = edges.own_writer(edge), edges.own_reader(edge)
    yield writer, reader
    reader.close()
    writer.close()


def one(reader: Reader) -> NDArray[Any]:
    value = next(reader)
    assert isinstance(value, np.ndarray)
    return value


@pytest.mark.parametrize("nbytes", [0, 1, 8192, 8193, BIG, 3_000_000])
def test_what_is_written_arrives(pair: tuple[Writer, Reader], nbytes: int) -> None:
    writer, reader = pair
    sent = np.arange(nbytes, dtype=np.uint8)
    assert writer.write(sent)
    got = one(reader)
    np.testing.assert_array_equal(got, sent)
    with pytest.raises(ValueError, match="read-only"):
        got[:1] = 1
    with pytest.raises(ValueError, match="WRITEABLE"):
        got.setflags(write=True)


def test_eof_ends_the_iteration_for_good(pair: tuple[Writer, Reader]) -> None:
    writer, reader = pair
    writer.write(np.zeros(3))
    writer.write(np.zeros(BIG))
    writer.close()
    assert [array.shape for array in reader if isinstance(array, np.ndarray)] == [(3,), (BIG,)]
    assert list(reader) == []
    assert reader.receive() is None
    with pytest.raises(UsageError, match="closed"):
        writer.write(np.zeros(3))


@pytest.mark.parametrize("dtype", [d.name for d in TABLE if d.storage])
@pytest.mark.parametrize("count", [6, 30_000])
def test_every_element_type_arrives_bit_for_bit(pair: tuple[Writer, Reader], dtype: str, count: int) -> None:
    writer, reader = pair
    kind = np.dtype(getattr(ml_dtypes, dtype, None) or dtype)
    bits = np.random.default_rng(1).integers(0, 2, count * kind.itemsize, np.uint8)
    sent = bits.view(kind).reshape(2, -1)
    writer.write(sent)
    frame = reader.receive()
    assert frame is not None
    assert isinstance(frame.value, np.ndarray)
    assert frame.dtypes == {"": dtype}
    assert frame.value.dtype == kind
    assert frame.value.tobytes() == sent.tobytes()


def test_bfloat16_without_ml_dtypes_is_seen_as_integers() -> None:
    """Neither end may need the package: the bits and the name travel."""
    code = """
import sys
sys.modules['ml_dtypes'] = None
import numpy as np
from aish.tensor import Reader, Writer, create
edge = create()
writer, reader = Writer(*edge.writer_fds), Reader(*edge.reader_fds)
for n in (4, 30_000):
    array = writer.alloc(n, 'bfloat16')
    assert array.dtype == np.uint16
    array[:] = 0x3f80
    writer.write(array)
    frame = reader.receive()
    print(frame.value.dtype, frame.dtypes[''], hex(int(frame.value[-1])))
"""
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, timeout=60, check=True)
    lines = done.stdout.splitlines()
    assert lines[1] == "uint16 bfloat16 0x3f80"
    assert lines[0].startswith("uint16")


def test_order_byte_order_and_strides_are_the_writers_own_business(pair: tuple[Writer, Reader]) -> None:
    writer, reader = pair
    plain = np.arange(60_000, dtype=np.int32).reshape(200, 300)
    for sent in (plain.T, plain[::-2, ::3], np.asfortranarray(plain), plain.astype(">i4"), plain[0, 0], plain[:0]):
        writer.write(sent)
        got = one(reader)
        np.testing.assert_array_equal(got, sent)
        assert got.dtype == np.int32
        assert got.flags.c_contiguous
        assert got.shape == sent.shape


def test_dicts_arrive_as_dicts_with_their_meta(pair: tuple[Writer, Reader]) -> None:
    writer, reader = pair
    batch = {"ids": np.arange(5), "mask": np.ones((300, 300), bool), "äö": np.zeros(0)}
    writer.write(batch, {"label": "notes/ä.md", "n": [1, 2]})
    writer.write({"only": np.ones(1)})
    frame = reader.receive()
    assert frame is not None
    assert isinstance(frame.value, dict)
    assert frame.meta == {"label": "notes/ä.md", "n": [1, 2]}
    assert list(frame.value) == ["ids", "mask", "äö"]
    for key, array in batch.items():
        np.testing.assert_array_equal(frame.value[key], array)
    second = reader.receive()
    assert second is not None
    assert isinstance(second.value, dict)
    assert second.meta == {}


def test_a_dict_larger_than_the_depth_does_not_deadlock(edges: Edges) -> None:
    """All its tensors are held until it is whole: the writer would wait for slots that come back only after."""
    edge = edges.make(depth=2)
    writer, reader = edges.own_writer(edge), edges.own_reader(edge)
    batch = {str(n): np.full(BIG, n, np.uint8) for n in range(20)}
    got: list[Any] = []
    thread = threading.Thread(target=lambda: got.append(next(reader)))
    thread.start()
    writer.write(batch)
    thread.join(30)
    assert not thread.is_alive()
    assert [int(got[0][key][0]) for key in batch] == list(range(20))
    reader.close()
    writer.close()


def test_a_program_that_keeps_everything_does_not_deadlock(edges: Edges) -> None:
    """`list(reader)` holds every view; beyond half of the edge it holds copies."""
    edge = edges.make(depth=4, byte_budget=1 << 20)
    stage = edges.writer(
        edge,
        """
        with Writer.from_env() as out:
            for n in range(50):
                out.write(np.full(100_000, n, np.uint8))
        """,
    )
    reader = edges.own_reader(edge)
    kept = list(reader)
    assert [int(np.asarray(a).max()) for a in kept] == list(range(50))
    assert [int(np.asarray(a).min()) for a in kept] == list(range(50))
    assert reader.copied >= 40
    assert stage.end() == 0


@pytest.mark.slow
def test_a_slot_comes_back_only_when_every_view_of_it_is_gone(edges: Edges) -> None:
    """Slices, reshapes, other dtypes and memoryviews keep it; the trap is a base that numpy shortens away."""
    edge = edges.make(depth=8)
    writer, reader = edges.own_writer(edge), edges.own_reader(edge)
    makers: list[Callable[[NDArray[Any]], Any]] = [
        lambda a: a[5:],
        lambda a: a.reshape(2, -1)[1],
        lambda a: a.view(np.uint32)[3:],
        lambda a: memoryview(a)[5:],
        lambda a: a[5:][5:].T,
        lambda a: np.frombuffer(a, np.uint8),
        lambda a: np.from_dlpack(a[3:]),
    ]
    for make in makers:
        writer.write(np.full(BIG, 7, np.uint8))
        view = make(one(reader))
        gc.collect()
        assert reader.held == 1
        for n in range(20):
            writer.write(np.full(BIG, n, np.uint8))
            one(reader)
        assert set(bytes(memoryview(np.asarray(view)).cast("B"))) == {7}
        del view
        gc.collect()
        assert reader.held == 0
    reader.close()
    writer.close()


def test_views_outlive_reader_and_writer(pair: tuple[Writer, Reader], mapped: Callable[[], int]) -> None:
    gc.collect()
    before = mapped()
    writer, reader = pair
    writer.write(np.full(BIG, 9, np.uint8))
    view = one(reader)[10:]
    writer.write(np.full(BIG, 1, np.uint8))
    writer.close()
    reader.close()
    assert set(view.tolist()) == {9}
    assert mapped() == before + 1
    del view
    assert mapped() == before


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.integers(0, 200_000), st.sampled_from(["copy", "alloc", "waste"]), st.booleans()), max_size=40
    )
)
def test_any_mixture_of_sizes_arrives_whole(plan: list[tuple[int, str, bool]]) -> None:
    """A model of the stream: kept views never change while slots of many classes are reused under a small budget."""
    with create(depth=5, byte_budget=1 << 20) as edge:
        fds = (os.dup(edge.writer_fds[0]), os.dup(edge.writer_fds[1]))
        writer, reader = Writer(*fds), Reader(os.dup(edge.reader_fds[0]))
        kept: list[tuple[int, NDArray[Any]]] = []
        for number, (nbytes, way, keep) in enumerate(plan):
            mark = number % 251
            if way == "copy":
                writer.write(np.full(nbytes, mark, np.uint8))
            else:
                array = writer.alloc(nbytes, "uint8")
                array[:] = mark
                if way == "waste":
                    continue
                writer.write(array)
                del array
            got = one(reader)
            assert got.nbytes == nbytes
            assert not got.size or (got.min() == got.max() == mark)
            if keep:
                kept.append((mark, got))
            if len(kept) > 7:
                kept.pop(0)
            assert all(not a.size or (a.min() == a.max() == m) for m, a in kept)
        stats = read_stats(edge.stats_fd)
        assert stats is not None
        assert stats.pool_bytes <= 1 << 20
        writer.close()
        assert reader.receive() is None


def test_built_in_place_is_not_copied_and_closed_to_changes(pair: tuple[Writer, Reader]) -> None:
    writer, reader = pair
    array = writer.alloc((100, 1000), "float32")
    array[:] = 2
    early = array[0]
    writer.write(array)
    with pytest.raises(ValueError, match="read-only"):
        array[0, 0] = 1
    got = one(reader)
    early[0] = 5  # a view from before is still writable: it shows that both are one memory
    assert got[0, 0] == 5


def test_memory_of_an_array_that_was_sent_is_not_recycled_while_the_writer_looks(
    pair: tuple[Writer, Reader],
) -> None:
    """iceoryx2's views outlive samples and change silently: here a slot has two owners, and both must let go."""
    writer, reader = pair
    array = writer.alloc(BIG, "uint8")
    array[:] = 1
    writer.write(array)
    one(reader)
    for _ in range(40):
        writer.write(np.full(BIG, 2, np.uint8))
        one(reader)
    assert set(array.tolist()) == {1}
    writer.write(array)  # and it may be sent again
    assert set(one(reader).tolist()) == {1}


def test_one_array_twice_in_a_dict(pair: tuple[Writer, Reader]) -> None:
    writer, reader = pair
    array = writer.alloc(BIG, "uint8")
    array[:] = 3
    writer.write({"a": array, "b": array})
    got = next(reader)
    assert isinstance(got, dict)
    assert {int(part.max()) for part in got.values()} == {3}


def test_memory_is_reused_by_size(pair: tuple[Writer, Reader], mapped: Callable[[], int]) -> None:
    gc.collect()
    before = mapped()
    writer, reader = pair
    for round_ in range(300):
        writer.write(np.zeros(BIG + round_ * 10, np.uint8))
        one(reader)
    assert mapped() - before <= 2 * 8  # at both ends; depth/4 of a class wait for their credits


def test_more_sizes_than_the_budget_holds_take_turns(edges: Edges, mapped: Callable[[], int]) -> None:
    edge = edges.make(byte_budget=4 << 20)
    writer, reader = edges.own_writer(edge), edges.own_reader(edge)
    for round_ in range(3):
        for kib in range(100, 1000, 50):
            writer.write(np.full(kib << 10, round_, np.uint8))
            assert one(reader)[-1] == round_
    stats = read_stats(edge.stats_fd)
    assert stats is not None
    assert stats.pool_bytes <= 4 << 20
    assert mapped() <= 2 * 40
    reader.close()
    writer.close()


def test_over_budget_is_a_memory_error_that_says_what_to_do(edges: Edges) -> None:
    edge = edges.make(byte_budget=1 << 20)
    writer, reader = edges.own_writer(edge), edges.own_reader(edge)
    with pytest.raises(BudgetError, match="524289 bytes") as caught:
        writer.write(np.zeros((1 << 19) + 1, np.uint8))
    assert isinstance(caught.value, MemoryError)
    assert "AISH_TENSOR_BUDGET" in str(caught.value.hint)
    kept = [writer.alloc(200_000, "uint8"), writer.alloc(200_000, "uint8")]
    with pytest.raises(BudgetError, match="arrays of its own"):
        writer.alloc(200_000, "uint8")
    assert len(kept) == 2
    kept.clear()
    writer.write(np.ones(1 << 19, np.uint8))  # the edge still works, to its very bound
    assert one(reader).sum() == 1 << 19
    reader.close()
    writer.close()


def test_a_reader_bounds_what_it_maps(edges: Edges) -> None:
    edge = edges.make(byte_budget=64 << 20)
    writer = edges.own_writer(edge)
    writer.write(np.zeros(4 << 20, np.uint8))
    reader = edges.own_reader(edge, byte_budget=1 << 20)
    with pytest.raises(BudgetError, match="allows 1048576"):
        next(reader)
    with pytest.raises(PeerError, match="allows 1048576"):
        writer.write(np.zeros(4 << 20, np.uint8))


def test_a_writer_keeps_to_the_bound_that_its_reader_greets_with(edges: Edges) -> None:
    edge = edges.make(byte_budget=64 << 20)
    reader = edges.own_reader(edge, byte_budget=1 << 20)
    writer = edges.own_writer(edge)
    writer.write(np.zeros(BIG, np.uint8))
    with pytest.raises(BudgetError):
        writer.write(np.zeros(4 << 20, np.uint8))
    stats = read_stats(edge.stats_fd)
    assert stats is not None
    assert stats.byte_budget == 1 << 20
    one(reader)
    reader.close()
    writer.close()


def test_drop_policy_leaves_out_whole_values_and_counts_them(edges: Edges) -> None:
    edge = edges.make(depth=4)
    writer, reader = edges.own_writer(edge, policy="drop"), edges.own_reader(edge)
    sent = [writer.write({"a": np.full(BIG, n, np.uint8), "b": np.zeros(BIG, np.uint8)}) for n in range(10)]
    assert sent == [True, True] + [False] * 8
    stats = read_stats(edge.stats_fd)
    assert stats is not None
    assert (stats.dropped, stats.tensors, stats.blocked_ns) == (8, 4, 0)
    writer.close()
    got = [int(value["a"][0]) for value in reader if isinstance(value, dict)]
    assert got == [0, 1]


def test_ready_and_fileno_serve_an_event_loop(edges: Edges) -> None:
    edge = edges.make(depth=2)
    writer, reader = edges.own_writer(edge), edges.own_reader(edge)
    with pytest.raises(EdgeTimeoutError):
        reader.receive(timeout_s=0)
    while writer.ready():
        writer.write(np.zeros(BIG, np.uint8))
    assert writer.in_flight == 2
    assert select.select([writer], [], [], 0)[0] == []
    assert select.select([reader], [], [], 5)[0] == [reader]
    for _ in range(2):
        assert reader.receive(timeout_s=5) is not None
    with pytest.raises(TimeoutError):
        reader.receive(timeout_s=0.01)
    assert select.select([writer], [], [], 5)[0] == [writer]
    assert writer.ready()
    reader.close()
    writer.close()


def test_a_reader_that_wants_no_more_is_a_broken_pipe(pair: tuple[Writer, Reader]) -> None:
    writer, reader = pair
    writer.write(np.zeros(BIG))
    reader.close()
    with pytest.raises(ClosedError) as caught:
        writer.write(np.zeros(BIG))
    assert isinstance(caught.value, BrokenPipeError)
    assert caught.value.exit_status == 141
    with pytest.raises(ClosedError):
        writer.write(np.zeros(1))
    writer.close()


def test_an_unused_writer_still_ends_the_stream(pair: tuple[Writer, Reader]) -> None:
    writer, reader = pair
    writer.close()
    assert list(reader) == []


def test_a_writer_that_fails_tells_why(pair: tuple[Writer, Reader]) -> None:
    writer, reader = pair
    writer.write(np.ones(3))
    with pytest.raises(ZeroDivisionError), writer:
        raise ZeroDivisionError("the model divided by zero")
    assert one(reader).sum() == 3
    for _ in range(2):
        with pytest.raises(PeerError, match="divided by zero"):
            next(reader)


def test_a_reader_that_fails_tells_why(pair: tuple[Writer, Reader]) -> None:
    writer, reader = pair
    writer.write(np.ones(3))
    with pytest.raises(RuntimeError), reader:
        raise RuntimeError("no index here")
    with pytest.raises(PeerError, match="no index here"):
        writer.write(np.ones(3))


def test_a_writer_that_just_goes_is_a_hang_up(edges: Edges) -> None:
    edge = edges.make()
    writer, reader = edges.own_writer(edge), edges.own_reader(edge)
    writer.write(np.ones(BIG))
    writer._link.close()
    assert one(reader).sum() == BIG
    for _ in range(2):
        with pytest.raises(HangupError, match="after 1 tensors") as caught:
            next(reader)
        assert isinstance(caught.value, ConnectionError)


def test_the_first_message_reaches_a_reader_that_comes_late(edges: Edges) -> None:
    edge = edges.make()
    writer = edges.own_writer(edge)
    writer.write(np.ones(BIG))
    writer.close()
    reader = edges.own_reader(edge)
    assert one(reader).sum() == BIG
    assert list(reader) == []


@pytest.mark.parametrize(
    "value",
    [
        np.array(["a"]),
        np.array([object()]),
        np.zeros(2, "M8[s]"),
        np.zeros(2, [("x", "f4")]),
        [[1], [2, 3]],
        {},
        {"": np.zeros(1)},
        {1: np.zeros(1)},
        {"k" * 257: np.zeros(1)},
        {"\ud800": np.zeros(1)},
        {"a": "text"},
        np.zeros((1,) * 33),
    ],
)
def test_refuses_what_no_tensor_can_hold_and_goes_on(pair: tuple[Writer, Reader], value: Any) -> None:
    writer, reader = pair
    with pytest.raises(UsageError):
        writer.write(value)
    writer.write(np.ones(1))
    assert one(reader).sum() == 1


@pytest.mark.parametrize("meta", [{"x": "y" * 2048}, {"x": object()}, {"x": b"bytes"}, {"ä": "\ud800"}])
def test_refuses_meta_that_does_not_travel(pair: tuple[Writer, Reader], meta: dict[str, object]) -> None:
    writer, _ = pair
    with pytest.raises(UsageError, match="meta"):
        writer.write(np.ones(1), meta)


@pytest.mark.parametrize(("shape", "dtype"), [((-1,), "f4"), ((1,) * 33, "f4"), (3, "text"), (3, "U5"), (3, object)])
def test_refuses_to_allocate_what_no_tensor_is(pair: tuple[Writer, Reader], shape: Any, dtype: Any) -> None:
    with pytest.raises(UsageError):
        pair[0].alloc(shape, dtype)


def test_two_writers_or_two_readers_on_one_edge_are_refused(edges: Edges) -> None:
    """`{ a; b; } |= c`: the second writer would start the numbering anew."""
    edge = edges.make()
    fds = edge.writer_fds
    spare = (os.dup(fds[0]), os.dup(fds[1]))
    readers = [os.dup(edge.reader_fds[0]) for _ in range(2)]
    writer = edges.own_writer(edge)
    with pytest.raises(NoEdgeError, match="fresh statistics page"):
        Writer(*spare)
    first, second = (Reader(fd) for fd in readers)
    with pytest.raises(Exception, match="second reader"):
        writer.ready()
    for reader in (first, second):
        reader.close()


def test_from_env_takes_the_edge_over(monkeypatch: pytest.MonkeyPatch, edges: Edges) -> None:
    edge = edges.make()
    monkeypatch.setenv("AISH_TENSOR_OUT", edge.writer_env())
    monkeypatch.setenv("AISH_TENSOR_IN", edge.reader_env())
    monkeypatch.setenv("AISH_TENSOR_BUDGET", "3M")
    fds = (*edge.writer_fds, *edge.reader_fds)
    for fd in fds:
        os.set_inheritable(fd, True)
    with Writer.from_env() as writer, Reader.from_env() as reader:
        edge._writer = edge._reader = ()
        assert "AISH_TENSOR_OUT" not in os.environ
        assert "AISH_TENSOR_IN" not in os.environ
        assert not any(os.get_inheritable(fd) for fd in (writer.fileno(), reader.fileno()))
        assert writer._pool.byte_budget == 3 << 20
        with pytest.raises(NoEdgeError, match="not set"):
            Writer.from_env()


@pytest.mark.parametrize("value", ["1:9999", "1:9999:9998", "nonsense"])
def test_from_env_without_a_real_edge_says_so(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("AISH_TENSOR_IN", value)
    with pytest.raises(NoEdgeError) as caught:
        Reader.from_env()
    assert caught.value.exit_status == 2


def test_refuses_descriptors_that_are_no_edge(tmp_path: Any) -> None:
    import socket

    read_end, write_end = os.pipe()
    left, right = socket.socketpair()
    try:
        with pytest.raises(NoEdgeError):
            Reader(os.dup(read_end))
        with pytest.raises(NoEdgeError, match="not that of a tensor edge"):
            Reader(os.dup(left.fileno()))
        with create() as edge, pytest.raises(NoEdgeError, match="statistics page"):
            Writer(os.dup(edge.writer_fds[0]), os.dup(write_end))
    finally:
        os.close(read_end)
        os.close(write_end)
        left.close()
        right.close()


def test_credits_come_back_while_the_reader_only_works(edges: Edges) -> None:
    """A view that dies between two reads gives its slot back then, not at the next read."""
    edge = edges.make(depth=4)
    writer, reader = edges.own_writer(edge), edges.own_reader(edge)
    for n in range(4):
        writer.write(np.full(BIG, n, np.uint8))
    held = one(reader)
    del held
    assert select.select([writer], [], [], 5)[0] == [writer]
    assert writer.ready()
    reader.close()
    writer.close()


def test_threads_may_drop_views_and_share_a_writer(edges: Edges) -> None:
    edge = edges.make(depth=16)
    writer, reader = edges.own_writer(edge), edges.own_reader(edge)
    kept: list[Any] = []

    def produce(mark: int) -> None:
        for _ in range(100):
            writer.write(np.full(20_000, mark, np.uint8))

    def drop() -> None:
        while not done.is_set() or kept:
            try:
                array = kept.pop()
            except IndexError:
                done.wait(0.001)
                continue
            assert array.min() == array.max()

    done = threading.Event()
    threads = [threading.Thread(target=produce, args=(n,)) for n in range(3)]
    threads.append(threading.Thread(target=drop))
    for thread in threads:
        thread.start()
    counts = [0, 0, 0]
    for _ in range(300):
        array = one(reader)
        counts[int(array[0])] += 1
        kept.append(array)
        del array
    done.set()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()
    assert counts == [100, 100, 100]
    writer.close()
    assert reader.receive() is None


@pytest.mark.slow
def test_no_descriptor_and_no_mapping_is_left_after_many_rounds(
    open_files: Callable[[], int], mapped: Callable[[], int]
) -> None:
    def round_(number: int) -> None:
        edge = create(depth=4)
        writer, reader = Writer(*edge.writer_fds), Reader(*edge.reader_fds)
        edge._writer = edge._reader = ()
        for _ in range(6):
            writer.write({"a": np.zeros(BIG, np.uint8), "b": np.zeros(20_000)})
            next(reader)
        match number % 4:
            case 0:
                writer.close()
                assert reader.receive() is None
            case 1:
                reader.close()
                with pytest.raises(ClosedError):
                    writer.write(np.zeros(BIG))
            case 2:
                writer.fail("enough")
                with pytest.raises(PeerError):
                    next(reader)
            case _:
                writer.alloc(BIG, "uint8")
                writer.close()
                reader.close()
        edge.close()

    for number in range(8):
        round_(number)
    gc.collect()
    files, maps, objects = open_files(), mapped(), len(gc.get_objects())
    for number in range(200):
        round_(number)
    gc.collect()
    assert (open_files(), mapped()) == (files, maps)
    assert len(gc.get_objects()) - objects < 100  # half an object a round
