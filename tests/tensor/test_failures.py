"""What can go wrong between two stages on one host, each with real processes that really die."""

from __future__ import annotations

import array
import ctypes
import fcntl
import mmap
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aish.tensor import wire
from aish.tensor.dtypes import BY_NAME
from aish.tensor.edge import create
from aish.tensor.errors import ClosedError, DataError, HangupError, PeerError, TensorError, WireError
from aish.tensor.memfd import F_SEAL_FUTURE_WRITE, make_memfd, seal
from aish.tensor.reader import Reader
from aish.tensor.writer import Writer

from .conftest import DEADLINE_S, Edges

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

BIG = 100_000
HELLO = wire.encode(wire.Hello(0, 8, 1 << 30, "uint8", "cpu"))


# -- a stage dies


def test_reader_killed_with_slots_in_hand_unblocks_the_writer(edges: Edges) -> None:
    edge = edges.make(depth=4)
    stage = edges.reader(
        edge, "stream = Reader.from_env(); kept = [next(stream), next(stream)]; say('holding'); hear()"
    )
    writer = edges.own_writer(edge)
    for _ in range(4):
        writer.write(np.zeros(BIG, np.uint8))
    assert stage.hear() == "holding"
    assert writer.in_flight == 4
    killer = _after(edges, edge, stage.process.pid)
    with pytest.raises(ClosedError):
        writer.write(np.zeros(BIG, np.uint8))  # blocks at the depth until the kill
    assert killer.end() == 0
    assert writer.in_flight == 0  # the slots are back
    assert edges.await_stats(edge, lambda stats: stats.state == "broken").in_flight == 0


def _after(edges: Edges, edge: Any, pid: int) -> Any:
    """A process that kills `pid` once the edge's writer is blocked."""
    from .conftest import Stage

    stage = Stage(
        f"""
        import time
        from aish.tensor.stats import read_stats
        while read_stats({edge.stats_fd}).state != "blocked":
            time.sleep(0.002)  # the page wakes nobody
        os.kill({pid}, signal.SIGKILL)
        """,
        (edge.stats_fd,),
        {},
    )
    edges.stages.append(stage)
    return stage


def test_writer_killed_leaves_held_views_valid_and_then_raises(edges: Edges) -> None:
    edge = edges.make()
    stage = edges.writer(
        edge,
        f"""
        out = Writer.from_env()
        for n in range(3):
            out.write(np.full({BIG}, n + 1, np.uint8))
        say('sent'); hear()
        """,
    )
    reader = edges.own_reader(edge)
    first = next(reader)
    assert stage.hear() == "sent"
    stage.kill()
    second = next(reader)  # what was sent before the kill is whole
    third = next(reader)
    for _ in range(2):
        with pytest.raises(HangupError, match="after 3 tensors"):
            next(reader)
    assert [set(np.asarray(view).tolist()) for view in (first, second, third)] == [{1}, {2}, {3}]


def test_writer_that_exits_leaves_everything_to_be_read_then_eof(edges: Edges) -> None:
    edge = edges.make(depth=64)
    stage = edges.writer(
        edge,
        f"""
        with Writer.from_env() as out:
            for n in range(60):
                out.write(np.full({BIG}, n, np.uint8), {{"n": n}})
            out.write(np.arange(5))
        """,
    )
    assert stage.end() == 0  # gone before anyone read
    reader = edges.own_reader(edge)
    frames = list(reader.frames())
    assert [frame.meta.get("n") for frame in frames] == [*range(60), None]
    assert [int(np.asarray(frame.value)[0]) for frame in frames] == [*range(60), 0]
    assert reader.receive() is None


def test_a_writer_that_leaves_credits_unread_loses_nothing(edges: Edges) -> None:
    """Closing a socket with unread data makes the other end's next read fail once, before what is still queued."""
    edge = edges.make(depth=8)
    stage = edges.writer(
        edge,
        f"""
        out = Writer.from_env()
        for n in range(8):
            out.write(np.full({BIG}, n, np.uint8))
        say('sent'); hear()
        out.close()
        """,
    )
    reader = edges.own_reader(edge)
    assert stage.hear() == "sent"
    got = [int(np.asarray(next(reader))[0]) for _ in range(6)]  # credits are under way to a writer that never looks
    stage.tell("go")
    assert stage.end() == 0
    got += [int(np.asarray(value)[0]) for value in reader]
    assert got == list(range(8))


def test_a_writer_that_forgets_to_close_is_a_hang_up(edges: Edges) -> None:
    edge = edges.make()
    stage = edges.writer(edge, "out = Writer.from_env(); out.write(np.ones(3))")
    assert stage.end() == 0
    reader = edges.own_reader(edge)
    next(reader)
    with pytest.raises(HangupError) as caught:
        next(reader)
    assert "close" in str(caught.value.hint)


def test_a_writer_that_raises_tells_its_reader(edges: Edges) -> None:
    edge = edges.make()
    stage = edges.writer(edge, "with Writer.from_env() as out:\n    raise ValueError('no such model: smol')")
    reader = edges.own_reader(edge)
    with pytest.raises(PeerError, match="no such model: smol"):
        next(reader)
    assert stage.end() == 1


def test_the_maker_of_the_edge_may_die_in_mid_stream() -> None:
    """A supervisor that restarts has no part in the data path. Here the reader kills it after the first tensor."""
    writer = (
        "import numpy as np; from aish.tensor import Writer\n"
        f"with Writer.from_env() as out:\n for n in range(200): out.write(np.full({BIG}, n, np.uint8))"
    )
    reader = (
        "import os; from aish.tensor import Reader\nstream = Reader.from_env(); next(stream)\n"
        "os.kill(os.getppid(), 9); print(sum(1 for _ in stream), flush=True)"
    )
    maker = f"""
import os, subprocess, sys
from aish.tensor.edge import create
edge = create(depth=4)
subprocess.Popen([sys.executable, "-c", {reader!r}], pass_fds=edge.reader_fds,
    env=dict(os.environ, AISH_TENSOR_IN=edge.reader_env()))
subprocess.Popen([sys.executable, "-c", {writer!r}], pass_fds=edge.writer_fds,
    env=dict(os.environ, AISH_TENSOR_OUT=edge.writer_env())).wait()
"""
    process = subprocess.Popen([sys.executable, "-c", maker], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process.stdout:
        assert process.wait(DEADLINE_S) == -signal.SIGKILL
        assert process.stdout.read().strip() == "199"


# -- back-pressure


def test_slow_reader_blocks_the_writer_at_the_depth_where_views_see_it(edges: Edges) -> None:
    edge = edges.make(depth=5)
    stage = edges.writer(
        edge,
        f"""
        with Writer.from_env() as out:
            for n in range(20):
                out.write(np.full({BIG}, n, np.uint8))
        """,
    )
    seen = edges.await_stats(edge, lambda stats: stats.state == "blocked")
    assert (seen.in_flight, seen.tensors, seen.depth, seen.nbytes) == (5, 5, 5, 5 * BIG)
    assert seen.pid == stage.process.pid
    assert seen.blocked_since_ns is not None
    assert seen.blocked_total_ns(time.monotonic_ns()) > 0
    reader = edges.own_reader(edge)
    assert [int(np.asarray(value)[0]) for value in reader] == list(range(20))
    assert stage.end() == 0
    after = edges.await_stats(edge, lambda stats: stats.state == "ended")
    assert (after.tensors, after.in_flight, after.blocked_since_ns) == (20, 0, None)
    assert after.blocked_ns > 0


def test_small_tensors_without_slots_are_held_back_too(edges: Edges) -> None:
    """INLINE takes no credit: the socket's own room bounds it, and the wait is as visible."""
    edge = edges.make()
    stage = edges.writer(
        edge, "with Writer.from_env() as out:\n    for n in range(5000): out.write(np.full(1000, n, np.int16))"
    )
    seen = edges.await_stats(edge, lambda stats: stats.state == "blocked")
    assert 0 < seen.tensors < 1000
    reader = edges.own_reader(edge)
    assert sum(1 for value in reader if int(np.asarray(value)[0]) >= 0) == 5000
    assert stage.end() == 0


def test_budget_blocks_before_the_depth(edges: Edges) -> None:
    edge = edges.make(depth=64, byte_budget=1 << 20)
    stage = edges.writer(
        edge,
        f"with Writer.from_env() as out:\n    for n in range(40): out.write(np.full({BIG}, n, np.uint8))",
    )
    seen = edges.await_stats(edge, lambda stats: stats.state == "blocked")
    assert seen.in_flight < 12
    assert seen.pool_bytes <= 1 << 20
    reader = edges.own_reader(edge)
    assert [int(np.asarray(value)[0]) for value in reader] == list(range(40))
    assert stage.end() == 0


def test_interrupting_a_blocked_writer_tells_the_reader(edges: Edges) -> None:
    edge = edges.make(depth=2)
    stage = edges.writer(
        edge,
        f"""
        try:
            with Writer.from_env() as out:
                for n in range(20):
                    out.write(np.full({BIG}, n, np.uint8))
        except KeyboardInterrupt:
            sys.exit(130)
        """,
    )
    edges.await_stats(edge, lambda stats: stats.state == "blocked")
    stage.process.send_signal(signal.SIGINT)
    assert stage.end() == 130
    reader = edges.own_reader(edge)
    assert [int(np.asarray(next(reader))[0]) for _ in range(2)] == [0, 1]
    with pytest.raises(PeerError, match="KeyboardInterrupt"):
        next(reader)


# -- forks


def test_a_forked_child_sees_no_recycled_data_and_gives_nothing_back(edges: Edges) -> None:
    """Its views are not counted anywhere, so it must not have them; and its death must not free its parent's."""
    edge = edges.make(depth=4)
    stage = edges.reader(
        edge,
        """
        stream = Reader.from_env()
        view = next(stream)
        touching = os.fork()
        if touching == 0:
            os._exit(int(view[0]))
        say(os.waitstatus_to_exitcode(os.waitpid(touching, 0)[1]))
        dropping = os.fork()
        if dropping == 0:
            del view
            try:
                next(stream)
            except EdgeError as error:
                assert 'forked' in str(error)
            filler = [bytearray(1 << 20) for _ in range(50)]  # lands where the mapping was, unless that is plugged
            stream.close()
            sys.exit(0)
        say(os.waitstatus_to_exitcode(os.waitpid(dropping, 0)[1]))
        say(stream.held)
        rest = [int(value[0]) for value in stream]
        say((int(view.min()), int(view.max()), rest))
        """,
    )
    writer = edges.own_writer(edge)
    for n in range(1, 4):
        writer.write(np.full(BIG, n, np.uint8))
    assert stage.hear() == str(-signal.SIGSEGV)
    assert stage.hear() == "0"
    assert stage.hear() == "1"
    assert writer.in_flight >= 1
    for n in range(4, 60):
        writer.write(np.full(BIG, n, np.uint8))
    writer.close()
    assert stage.hear() == str((1, 1, list(range(2, 60))))
    assert stage.end() == 0


def test_a_childs_copy_of_the_socket_does_not_hide_the_parents_death(edges: Edges) -> None:
    edge = edges.make(depth=2)
    stage = edges.reader(
        edge,
        """
        stream = Reader.from_env(); next(stream)
        child = os.fork()
        if child == 0:
            say('forked')  # the child says it: only when it runs has it let its copy go
            os.close(1)
            hear()
            os._exit(0)
        hear()
        """,
    )
    writer = edges.own_writer(edge)
    writer.write(np.zeros(BIG, np.uint8))
    assert stage.hear() == "forked"
    stage.kill()
    with pytest.raises(ClosedError):
        writer.write(np.zeros(BIG, np.uint8))


def test_a_writer_in_a_forked_child_is_not_the_parents(edges: Edges) -> None:
    edge = edges.make()
    stage = edges.writer(
        edge,
        f"""
        out = Writer.from_env()
        array = out.alloc({BIG}, 'uint8'); array[:] = 1
        child = os.fork()
        if child == 0:
            try:
                out.write(np.zeros(3))
            except EdgeError:
                os._exit(3)
            os._exit(4)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3
        out.write(array)
        out.close()
        """,
    )
    reader = edges.own_reader(edge)
    assert set(np.asarray(next(reader)).tolist()) == {1}
    assert reader.receive() is None
    assert stage.end() == 0


# -- the other end is hostile


@pytest.fixture
def bare_writer() -> Iterator[tuple[socket.socket, Reader]]:
    """The raw socket of a writer that has greeted, and the Reader at the other end."""
    left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    reader = Reader(right.detach())
    left.send(HELLO)
    yield left, reader
    reader.close()
    left.close()


def tensor(**changes: Any) -> wire.Tensor:
    what = wire.Description(0, 4096, 0, bytes(16), 0, BY_NAME["uint8"], (4096,), "", b"")
    place = {key: changes.pop(key) for key in ("segment", "slot", "offset") if key in changes}
    return wire.Tensor(0, 0, 0, what._replace(**changes))._replace(**place)


def send_segment(end: socket.socket, fd: int, size: int, number: int = 0) -> None:
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))]
    end.sendmsg([wire.encode(wire.NewSeg(number, 0, size, bytes(16)))], rights)


def good_segment(end: socket.socket, size: int = 65536, number: int = 0) -> None:
    fd = make_memfd("test", size)
    send_segment(end, fd, size, number)
    os.close(fd)


def test_a_writer_cannot_truncate_what_its_reader_maps(edges: Edges) -> None:
    edge = edges.make()
    writer, reader = edges.own_writer(edge), edges.own_reader(edge)
    array_ = writer.alloc(BIG, "uint8")
    (segment,) = writer._pool._segments.values()
    seals = fcntl.fcntl(segment.fd, fcntl.F_GET_SEALS)
    wanted = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | F_SEAL_FUTURE_WRITE
    assert seals & wanted == wanted
    for size in (0, 1 << 30):
        with pytest.raises(PermissionError):
            os.ftruncate(segment.fd, size)
    writer.write(array_)
    next(reader)
    reader.close()
    writer.close()


def test_a_reader_cannot_write_truncate_or_open_again_for_writing() -> None:
    fd = make_memfd("test", 4096)
    kept = mmap.mmap(fd, 4096)
    seal(fd)
    kept[0] = 7  # the writer's own mapping goes on
    with pytest.raises(PermissionError):
        os.pwrite(fd, b"x", 0)
    with pytest.raises(PermissionError):
        mmap.mmap(fd, 4096, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
    again = os.open(f"/proc/self/fd/{fd}", os.O_RDWR)
    with pytest.raises(PermissionError):
        os.pwrite(again, b"x", 0)
    view = mmap.mmap(fd, 4096, mmap.MAP_SHARED, mmap.PROT_READ)
    address = np.frombuffer(view, np.uint8).__array_interface__["data"][0]
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.mprotect(ctypes.c_void_p(address), 4096, mmap.PROT_READ | mmap.PROT_WRITE) == -1
    assert view[0] == 7
    for number in (fd, again):
        os.close(number)


def _unsealed(size: int) -> int:
    fd = os.memfd_create("bad", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, size)
    return fd


def _half_sealed(size: int) -> int:
    fd = _unsealed(size)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_GROW)
    return fd


def _pipe(_: int) -> int:
    read_end, write_end = os.pipe()
    os.close(write_end)
    return read_end


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (_unsealed, "truncation"),
        (_half_sealed, "truncation"),
        (_pipe, "not a memfd"),
        (lambda _: os.open("/dev/zero", os.O_RDWR), "not a memfd"),
        (lambda _: make_memfd("small", 4096), "has 4096"),
    ],
)
def test_a_reader_refuses_memory_that_could_kill_it(
    bare_writer: tuple[socket.socket, Reader], make: Callable[[int], int], says: str
) -> None:
    end, reader = bare_writer
    fd = make(65536)
    send_segment(end, fd, 65536)
    os.close(fd)
    with pytest.raises(WireError, match=says):
        next(reader)


SCRIPTS: dict[str, tuple[Callable[[socket.socket], object], str]] = {
    "a tensor before its segment": (lambda end: end.send(wire.encode(tensor())), "segment 0 is not known"),
    "a tensor outside its segment": (
        lambda end: (good_segment(end), end.send(wire.encode(tensor(offset=65536 - 64)))),
        "leave the segment",
    ),
    "a tensor at the end of all numbers": (
        lambda end: (good_segment(end), end.send(wire.encode(tensor(offset=2**64 - 64)))),
        "leave the segment",
    ),
    "a segment without memory": (lambda end: end.send(wire.encode(wire.NewSeg(0, 0, 4096, bytes(16)))), "descriptor"),
    "one segment twice": (lambda end: (good_segment(end), good_segment(end)), "twice"),
    "too many segments": (lambda end: [good_segment(end, 4096, n) for n in range(129)], "more than 128"),
    "the wrong number": (lambda end: (good_segment(end), end.send(wire.encode(tensor(seq=1)))), "expected 0"),
    "an unknown segment dropped": (lambda end: end.send(wire.encode(wire.DropSeg(3))), "not known"),
    "a second greeting": (lambda end: end.send(HELLO), "not allowed"),
    "a credit from a writer": (lambda end: end.send(wire.encode(wire.Credit((1,)))), "not allowed"),
    "a cancel from a writer": (lambda end: end.send(wire.encode(wire.Cancel())), "not allowed"),
    "an end that counts wrong": (lambda end: end.send(wire.encode(wire.Eof(5))), "5 tensors"),
    "an end within a dict": (
        lambda end: (
            good_segment(end),
            end.send(wire.encode(tensor(flags=wire.FLAG_MORE, key="a"))),
            end.send(wire.encode(wire.Eof(1))),
        ),
        "not allowed in the phase 'group'",
    ),
    "a dict with a nameless part": (
        lambda end: (good_segment(end), end.send(wire.encode(tensor(flags=wire.FLAG_MORE)))),
        "missing or twice",
    ),
    "a dict with a part twice": (
        lambda end: (
            good_segment(end),
            end.send(wire.encode(tensor(flags=wire.FLAG_MORE, key="a"))),
            end.send(wire.encode(tensor(seq=1, slot=1, key="a"))),
        ),
        "missing or twice",
    ),
    "meta that is no JSON": (lambda end: (good_segment(end), end.send(wire.encode(tensor(meta=b"{")))), "not JSON"),
    "meta that is deeply nested": (
        lambda end: (good_segment(end), end.send(wire.encode(tensor(meta=b"[" * 2048)))),
        "not JSON",
    ),
    "meta that is no object": (
        lambda end: (good_segment(end), end.send(wire.encode(tensor(meta=b"[]")))),
        "a list",
    ),
    "a datagram that is too long": (lambda end: end.send(bytes(20_000)), "more than 16384"),
    "text": (lambda end: end.send(b"GET / HTTP/1.1\r\n\r\n"), "version 71"),
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_reader_refuses(bare_writer: tuple[socket.socket, Reader], name: str) -> None:
    end, reader = bare_writer
    act, says = SCRIPTS[name]
    act(end)
    with pytest.raises(DataError, match=says) as caught:
        next(reader)
    assert caught.value.exit_status == 65
    assert isinstance(wire.decode(end.recv(16384)), wire.Hello)
    told = wire.decode(end.recv(16384))  # and says so to the writer
    assert isinstance(told, wire.Error)
    assert told.reason == "wire"


def test_a_slot_that_comes_again_while_it_is_held_is_refused(bare_writer: tuple[socket.socket, Reader]) -> None:
    end, reader = bare_writer
    good_segment(end)
    end.send(wire.encode(tensor()))
    held = next(reader)
    end.send(wire.encode(tensor(seq=1)))
    with pytest.raises(WireError, match="before it was given back"):
        next(reader)
    assert np.asarray(held).sum() == 0


def test_a_segment_that_is_dropped_while_it_is_held_is_refused(bare_writer: tuple[socket.socket, Reader]) -> None:
    end, reader = bare_writer
    good_segment(end)
    end.send(wire.encode(tensor()))
    held = next(reader)
    end.send(wire.encode(wire.DropSeg(0)))
    with pytest.raises(WireError, match="in use"):
        next(reader)
    assert np.asarray(held).sum() == 0


def test_a_reader_that_greets_no_one_refuses_data_first() -> None:
    left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    reader = Reader(right.detach())
    left.send(wire.encode(wire.Eof(0)))
    with pytest.raises(WireError, match="phase 'greeting'"):
        next(reader)
    left.close()


@settings(max_examples=150, deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=200), min_size=1, max_size=5), st.booleans())
def test_garbage_on_the_socket_never_gets_past_either_end(datagrams: list[bytes], framed: bool) -> None:
    """With a valid header around it or without: an error of ours, nothing else, and the socket closed."""
    for make in (Reader, Writer):
        left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        endpoint = make(right.detach())
        left.send(HELLO)
        for data in datagrams:
            left.send(struct.pack("<BBHI", 1, data[0] % 11, 0, len(data) + 7) + data[1:] if framed else data)
        try:
            if isinstance(endpoint, Reader):
                for _ in datagrams:
                    endpoint.receive(timeout_s=0)
            else:
                endpoint.ready()
        except TensorError:
            pass
        endpoint.close()
        assert endpoint.fileno() == -1
        left.close()


def test_descriptors_that_nobody_asked_for_are_closed(
    bare_writer: tuple[socket.socket, Reader], open_files: Callable[[], int]
) -> None:
    end, reader = bare_writer
    extra = [os.open("/dev/null", os.O_RDONLY) for _ in range(3)]
    end.sendmsg([wire.encode(wire.DropSeg(0))], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", extra))])
    before = open_files()
    with pytest.raises(WireError, match="3 descriptors"):
        next(reader)
    assert open_files() == before - 1  # the reader's own socket
    for fd in extra:
        os.close(fd)


def test_credits_for_what_was_never_sent_are_ignored() -> None:
    """A bad reader cannot free another tensor's memory: the counts are the writer's own."""
    with create(depth=4) as edge:
        end = socket.socket(fileno=os.dup(edge.reader_fds[0]))
        writer = Writer(*(os.dup(fd) for fd in edge.writer_fds))
        for _ in range(3):
            writer.write(np.zeros(BIG, np.uint8))
        end.send(wire.encode(wire.Credit((77, 2**32 - 1, 1, 1, 1))))
        assert writer.ready()
        assert writer.in_flight == 2
        writer.close()
        end.close()


@pytest.mark.parametrize(
    "message",
    [wire.DropSeg(0), wire.Eof(0), wire.NewSeg(0, 0, 4096, bytes(16)), tensor()],
    ids=lambda m: type(m).__name__,
)
def test_a_writer_refuses_what_only_writers_say(message: wire.Message) -> None:
    with create() as edge:
        end = socket.socket(fileno=os.dup(edge.reader_fds[0]))
        writer = Writer(*(os.dup(fd) for fd in edge.writer_fds))
        end.send(wire.encode(message))
        with pytest.raises(WireError, match="comes from a reader"):
            writer.ready()
        with pytest.raises(WireError):
            writer.write(np.zeros(1))
        end.close()


def test_memory_that_runs_out_is_an_error_of_ours(edges: Edges) -> None:
    """RLIMIT_NOFILE reached by somebody else's files: the write fails with a reason, and later ones work."""
    edge = edges.make()
    stage = edges.writer(
        edge,
        f"""
        import resource
        out = Writer.from_env()
        resource.setrlimit(resource.RLIMIT_NOFILE, (30, 1000))
        files = []
        try:
            while True: files.append(os.open('/dev/null', os.O_RDONLY))
        except OSError: pass
        try:
            out.write(np.zeros({BIG}, np.uint8)); say('written')
        except StorageError as error:
            say(error.hint is not None)
        for fd in files: os.close(fd)
        out.write(np.ones({BIG}, np.uint8))
        out.close()
        """,
    )
    assert stage.hear() == "True"
    reader = edges.own_reader(edge)
    assert [int(np.asarray(value).sum()) for value in reader] == [BIG]
    assert stage.end() == 0
