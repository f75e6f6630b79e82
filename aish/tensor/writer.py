"""Write tensors into an edge.

    with Writer.from_env() as out:
        out.write(array)                        # one copy
        out.write({"ids": ids, "mask": mask})   # a dict arrives as a dict
        array = out.alloc((1024, 768), "float32")
        ...                                     # fill it in place
        out.write(array)                        # no copy

Leaving the block sends EOF; leaving it by an exception sends the reader that exception's text. A writer that just
ends looks to its reader like one that was killed.
"""

from __future__ import annotations

import collections
import os
import threading
import time
import weakref
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from aish.tensor import stats, wire
from aish.tensor.address import ENV_OUT
from aish.tensor.dtypes import Dtype, as_storage, to_numpy
from aish.tensor.edge import DEFAULT_BYTE_BUDGET, DEFAULT_DEPTH
from aish.tensor.errors import ClosedError, EdgeError, PeerError, UsageError, WireError
from aish.tensor.gauge import Gauge
from aish.tensor.items import DTYPES, Item, dtype_of, item_of, nbytes_of, pack_meta, parse_bytes, parts_of
from aish.tensor.link import Hangup, Link, take_edge
from aish.tensor.mapping import adopt_endpoint
from aish.tensor.pool import Pool, Slot

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any, Self

    from numpy.typing import ArrayLike, DTypeLike, NDArray

__all__ = ["BLOCK", "DROP", "ENV_BUDGET", "Writer"]

BLOCK = "block"
DROP = "drop"
ENV_BUDGET = "AISH_TENSOR_BUDGET"
_FAREWELL_S = 1.0  # how long `fail` waits for room to say why


class _LocalRef(weakref.ref):  # type: ignore[type-arg]
    """A weak reference to an array that `alloc` gave, with its slot."""

    __slots__ = ("dtype", "slot")

    slot: Slot
    dtype: Dtype


class Writer:
    """The writing end of an edge. Threads may share it; a forked child may not use it.

    policy: "block" waits for a slow reader, "drop" leaves out values that the reader has no room for.
    """

    def __init__(
        self,
        socket_fd: int,
        stats_fd: int | None = None,
        *,
        policy: str = BLOCK,
        byte_budget: int | None = None,
        trace: bytes = bytes(16),
    ) -> None:
        """Takes over both descriptors. `trace` (16 bytes) goes with each tensor, for whoever follows a request.

        Raises NoEdgeError where they are no fresh edge, ClosedError if the reader is gone already.
        """
        if policy not in (BLOCK, DROP):
            raise UsageError(f"policy {policy!r}: expected {BLOCK!r} or {DROP!r}")
        if len(trace) != 16:
            raise UsageError(f"trace of {len(trace)} bytes: expected 16")
        self._link = Link(socket_fd)
        self._gauge = Gauge(stats_fd)
        depth, budget = self._gauge.bounds()
        self._depth = depth if 1 <= depth <= wire.DEPTH_LIMIT else DEFAULT_DEPTH
        self._pool = Pool(byte_budget or budget or DEFAULT_BYTE_BUDGET)
        self._gauge.set_bounds(self._depth, self._pool.byte_budget)
        self._policy = policy
        self._trace = trace
        self._lock = threading.RLock()
        self._seq = 0
        self._greeted = False
        self._failure: EdgeError | WireError | None = None
        self._in_flight: dict[int, Slot] = {}
        self._local: dict[int, _LocalRef] = {}  # by id of the array
        self._let_go: collections.deque[tuple[int, Slot]] = collections.deque()
        adopt_endpoint(self)
        self._send(wire.encode(wire.Hello(0, self._depth, self._pool.byte_budget, DTYPES, "cpu")))

    @classmethod
    def from_env(cls, *, policy: str = BLOCK, trace: bytes = bytes(16)) -> Self:
        """The edge that this stage was started with (AISH_TENSOR_OUT). AISH_TENSOR_BUDGET=4G overrides its budget.

        Raises NoEdgeError where there is none, UsageError for a malformed budget.
        """
        budget = os.environ.get(ENV_BUDGET)
        byte_budget = parse_bytes(budget, ENV_BUDGET) if budget else None
        fds = take_edge(ENV_OUT)
        return cls(fds[0], fds[1] if len(fds) > 1 else None, policy=policy, byte_budget=byte_budget, trace=trace)

    @property
    def depth(self) -> int:
        """Tensors that may be under way or in use by the reader at once."""
        return self._depth

    @property
    def in_flight(self) -> int:
        """Slots that the reader has, as of the last look."""
        return len(self._in_flight)

    @property
    def sent(self) -> int:
        """Tensors sent so far."""
        return self._seq

    def fileno(self) -> int:
        """Readable when the reader gave something back or is gone: for select and asyncio; see `ready`."""
        return self._link.fileno()

    def ready(self, tensors: int = 1) -> bool:
        """True if a write of that many tensors would not wait. Takes in what the reader gave back."""
        with self._lock:
            self._check_open()
            self._pump()
            room = len(self._in_flight) + min(tensors, self._depth) <= self._depth
            return room and self._link.wait(read=False, write=True, timeout_s=0)

    def alloc(self, shape: int | tuple[int, ...], dtype: DTypeLike | str = "float32") -> NDArray[Any]:
        """A new, uninitialised array in shared memory: fill it, then `write` it, and the reader gets it uncopied.

        It must not be changed after it was written. Dropped unwritten, its memory is used again. Waits while the
        budget is used up by what the reader holds. Raises BudgetError if it can never fit, UsageError for a dtype or
        shape that no tensor has, ClosedError if the reader is gone.
        """
        known = dtype_of(dtype)
        dimensions = (shape,) if isinstance(shape, int) else tuple(int(n) for n in shape)
        nbytes = nbytes_of(dimensions, known)
        if nbytes <= wire.INLINE_BYTES:
            return np.empty(dimensions, to_numpy(known))
        with self._lock:
            self._check_open()
            slot = self._take(nbytes)
            array: NDArray[Any] = np.ndarray(
                dimensions, to_numpy(known), buffer=slot.segment.view, offset=slot.offset
            )
            reference = _LocalRef(array, _let_go(self._let_go, id(array)))
            reference.slot = slot
            reference.dtype = known
            self._local[id(array)] = reference
            return array

    def write(self, value: ArrayLike | Mapping[str, ArrayLike], meta: Mapping[str, object] | None = None) -> bool:
        """Send an array, or a dict of arrays as one. `meta` is a JSON object of at most 2 KiB that goes with it.

        Waits for a slow reader; with policy "drop" gives False instead, and nothing is sent. Raises ClosedError if
        the reader is gone, PeerError if it failed and said why, BudgetError, UsageError for what no tensor can hold.
        """
        with self._lock:
            self._check_open()
            items = [self._item(key, part) for key, part in parts_of(value)]
            packed = pack_meta(meta)
            if self._policy == DROP and not self.ready(sum(not item.inline for item in items)):
                self._gauge.dropped()
                return False
            for index, item in enumerate(items):
                flags = wire.FLAG_MORE if index + 1 < len(items) else 0
                self._write_item(item, packed if index == 0 else b"", flags)
            return True

    def close(self) -> None:
        """Say EOF and close. What was sent stays the reader's. A reader that left is no error here, as with pipes."""
        with self._lock:
            if self._link.closed:
                return
            try:
                self._send(wire.encode(wire.Eof(self._seq)))
            except (EdgeError, WireError):
                return
            self._shut(stats.ENDED)

    def fail(self, message: str, *, reason: str = "error") -> None:
        """Tell the reader why there will be no more, and close. It raises PeerError with that text."""
        with self._lock:
            if self._link.closed:
                return
            text = message.encode("utf-8", "replace")[: wire.TEXT_BYTES - 8].decode("utf-8", "ignore")
            datagram = wire.encode(wire.Error(reason[: wire.NAME_BYTES // 4], text))
            deadline_s = time.monotonic() + _FAREWELL_S
            try:
                while not self._link.send(datagram):
                    if not self._link.wait(read=False, write=True, timeout_s=deadline_s - time.monotonic()):
                        break
            except BrokenPipeError:
                pass  # nobody is left to be told
            self._shut(stats.FAILED)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
        else:
            self.fail(str(error) or type(error).__name__)

    def leave_to_parent(self) -> None:
        """In a forked child: the edge stays the parent's."""
        self._link.close()
        self._gauge.private_copy()
        self._lock = threading.RLock()
        self._failure = EdgeError("this Writer belongs to the process that forked this one")

    # -- one tensor

    def _item(self, key: str, value: ArrayLike) -> Item:
        reference = self._local.get(id(value))
        if reference is not None and isinstance(value, np.ndarray) and reference() is value:
            return Item(key, value, reference.dtype, reference.slot)
        return item_of(key, value)

    def _write_item(self, item: Item, meta: bytes, flags: int) -> None:
        array = item.array
        what = wire.Description(
            self._seq,
            array.nbytes,
            time.monotonic_ns(),
            self._trace,
            flags,
            item.dtype,
            array.shape,
            item.key,
            meta,
        )
        if item.inline:
            payload = np.ascontiguousarray(as_storage(array, item.dtype), item.dtype.storage).tobytes()
            self._send(wire.encode(wire.Inline(what, payload)))
        else:
            self._write_slot(item, what)
        self._seq += 1
        self._gauge.sent(array.nbytes, len(self._in_flight), self._pool.total_bytes)

    def _write_slot(self, item: Item, what: wire.Description) -> None:
        if len(self._in_flight) >= self._depth:
            self._pump()
        while len(self._in_flight) >= self._depth:
            self._wait(write=False)
        slot = item.slot
        in_place = slot is not None and not slot.by_reader  # the same array twice in one dict: the second is a copy
        if slot is None or not in_place:
            slot = self._take(what.nbytes)
            room: NDArray[Any] = np.ndarray(
                what.shape, item.dtype.storage, buffer=slot.segment.view, offset=slot.offset
            )
            np.copyto(room, as_storage(item.array, item.dtype))
            del room
        else:
            item.array.setflags(write=False)
        segment = slot.segment
        if segment.fd >= 0:
            self._announce(slot)
        # From here on the slot counts as the reader's: an interrupt between sending and noting must not free it.
        slot.by_reader = True
        self._in_flight[slot.number] = slot
        self._send(wire.encode(wire.Tensor(segment.number, slot.number, slot.offset, what)))
        if not in_place:
            self._pool.release_writer(slot)

    def _announce(self, slot: Slot) -> None:
        """Give the reader the segment; first tell it which ones it may forget, so that it stays in its budget."""
        for number in self._pool.dropped:
            self._send(wire.encode(wire.DropSeg(number)))
        self._pool.dropped.clear()
        segment = slot.segment
        self._send(
            wire.encode(wire.NewSeg(segment.number, wire.KIND_MEMFD, segment.size_bytes, bytes(16))), segment.fd
        )
        segment.forget_fd()

    def _take(self, nbytes: int) -> Slot:
        """A slot, waiting for the reader where the budget is used up by what it has."""
        # Credits come in batches of a quarter of the depth: looking more often finds nothing.
        if (
            self._let_go
            or len(self._in_flight) * 4 >= self._depth
            or not self._pool.has_free(nbytes)  # before it grows: the reader may have greeted with a smaller bound
        ):
            self._pump()
        while (slot := self._pool.take(nbytes)) is None:
            self._wait(write=False)
        return slot

    # -- the other end

    def _send(self, datagram: bytes, fd: int | None = None) -> None:
        try:
            while not self._link.send(datagram, fd):
                self._wait(write=True)
        except BrokenPipeError as error:
            if isinstance(error, ClosedError):
                raise
            self._pump()  # it may have said why
            self._reader_gone()

    def _wait(self, *, write: bool) -> None:
        """One wait for the reader, seen by the views as blocked."""
        self._gauge.blocked()
        try:
            self._link.wait(read=True, write=write, timeout_s=None)
        finally:
            self._gauge.unblocked()
        self._pump()

    def _pump(self) -> None:
        """Take in whatever the reader has said."""
        while self._let_go:
            key, slot = self._let_go.popleft()
            reference = self._local.get(key)
            if reference is not None and reference.slot is slot:
                del self._local[key]
            self._pool.release_writer(slot)
        try:
            while (received := self._link.receive(wait=False)) is not None:
                if isinstance(received, Hangup):
                    self._reader_gone()
                else:
                    message, fd = received
                    if fd is not None:
                        os.close(fd)
                    self._obey(message)
        except WireError as error:
            self._fail_with(error)
        self._gauge.in_flight(len(self._in_flight))

    def _obey(self, message: wire.Message) -> None:
        match message:
            case wire.Credit(slots):
                for number in slots:
                    # A number that is not under way is ignored: a bad reader harms only itself.
                    slot = self._in_flight.pop(number, None)
                    if slot is not None:
                        self._pool.release_reader(slot)
            case wire.Hello(_, depth, byte_budget, _, _):
                if self._greeted:
                    raise WireError("a second reader greets on this edge: an edge has one")
                self._greeted = True
                self._depth = min(self._depth, depth)
                self._pool.byte_budget = min(self._pool.byte_budget, byte_budget)
                self._gauge.set_bounds(self._depth, self._pool.byte_budget)
            case wire.Cancel():
                self._reader_gone()
            case wire.Error(reason, text):
                self._fail_with(PeerError(f"the reader of this edge failed: {text}", reason=reason))
            case wire.NewSeg() | wire.Tensor() | wire.Inline() | wire.DropSeg() | wire.Eof():
                raise WireError(f"{type(message).__name__} comes from a reader, expected only from a writer")

    def _reader_gone(self) -> None:
        self._fail_with(ClosedError("the last reader of this tensor edge is gone"))

    def _fail_with(self, error: EdgeError | WireError) -> None:
        """The end: give the memory back, and raise this now and on every later use."""
        self._failure = error
        self._shut(stats.BROKEN)
        raise error

    def _shut(self, state: int) -> None:
        self._gauge.state(state)
        for slot in self._in_flight.values():
            self._pool.release_reader(slot)
        self._in_flight.clear()
        self._gauge.in_flight(0)
        self._pool.close()
        self._link.close()

    def _check_open(self) -> None:
        if self._failure is not None:
            raise self._failure.with_traceback(None)
        if self._link.closed:
            raise UsageError("this Writer is closed")


def _let_go(queue: collections.deque[tuple[int, Slot]], key: int) -> Any:
    """What runs when an array from `alloc` dies, in any thread: only append; the next call of the writer does it."""

    def note(reference: _LocalRef) -> None:
        queue.append((key, reference.slot))

    return note
