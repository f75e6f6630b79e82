"""Read tensors from an edge.

    with Reader.from_env() as stream:
        for array in stream:            # a read-only numpy view of shared memory, or a dict of them
            ...
    for frame in stream.frames():       # the same with meta, sequence number, time and trace
        print(frame.meta, frame.value)

A view stays what it is for as long as it lives, whatever becomes of the writer; its memory is used again once it and
all its slices are gone. A program that keeps views gets copies once it holds half of the edge, so it cannot stop the
writer for ever. Iteration ends at EOF and raises HangupError where the writer ended without it.

After a fork only the parent may touch its views: copy what a child needs before (`array.copy()`).
"""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING

import numpy as np

from aish.tensor import wire
from aish.tensor.address import ENV_IN
from aish.tensor.dtypes import to_numpy
from aish.tensor.errors import (
    BudgetError,
    EdgeError,
    HangupError,
    PeerError,
    StorageError,
    TensorError,
    UsageError,
    WireError,
)
from aish.tensor.holdings import Holdings, Room
from aish.tensor.items import DTYPES
from aish.tensor.link import Hangup, Link, take_edge
from aish.tensor.mapping import adopt_endpoint, map_for_reading
from aish.tensor.memfd import check_sealed
from aish.tensor.pool import SEGMENTS_LIMIT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType
    from typing import Any, Self

    from numpy.typing import NDArray

    Value = NDArray[Any] | dict[str, NDArray[Any]]

__all__ = ["EdgeTimeoutError", "Frame", "Reader"]

_GROUP_LIMIT = 4096  # tensors in one dict


class _Phase:
    """Where in the stream the reader is."""

    GREETING = "greeting"  # nothing but HELLO may come
    OPEN = "open"
    GROUP = "group"  # within a dict
    ENDED = "ended"


class EdgeTimeoutError(EdgeError, TimeoutError):
    """Nothing came within the time given to `receive`."""

    code = "timeout"


class Frame:
    """One value with what travelled beside it.

    value: array or dict of arrays. meta: the writer's JSON object, {} for none. seq: number of its (last) tensor,
    from 0. time_ns: CLOCK_MONOTONIC of the writer when it sent it. trace: 16 bytes. dtypes: key -> the name of the
    element type; the key is "" for a bare array. It differs from the array's own where that is seen as integers.
    """

    __slots__ = ("dtypes", "meta", "seq", "time_ns", "trace", "value")

    def __init__(
        self,
        value: Value,
        meta: dict[str, Any],
        seq: int,
        time_ns: int,
        trace: bytes,
        dtypes: dict[str, str],
    ) -> None:
        self.value = value
        self.meta = meta
        self.seq = seq
        self.time_ns = time_ns
        self.trace = trace
        self.dtypes = dtypes

    def arrays(self) -> list[tuple[str, NDArray[Any]]]:
        """(key, array) of each tensor; the key is "" for a bare array."""
        return list(self.value.items()) if isinstance(self.value, dict) else [("", self.value)]


class _Group:
    """A dict of tensors that is arriving."""

    __slots__ = ("arrays", "dtypes", "meta")

    def __init__(self) -> None:
        self.arrays: dict[str, NDArray[Any]] = {}
        self.dtypes: dict[str, str] = {}
        self.meta: dict[str, Any] = {}


class Reader:
    """The reading end of an edge. One thread reads; views may die in any."""

    def __init__(self, socket_fd: int, *, byte_budget: int | None = None) -> None:
        """Takes over the descriptor. `byte_budget` bounds the shared memory that the writer may make this program
        map; half of the machine's memory where None. Raises NoEdgeError where it is no edge.
        """
        self._link = Link(socket_fd)
        self._bound = byte_budget or os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
        self._holdings = Holdings(self._link)
        self._rooms: dict[int, Room] = {}
        self._mapped_bytes = 0
        self._phase = _Phase.GREETING
        self._seq = 0
        self._group = _Group()
        self._failure: TensorError | None = None
        self.copied = 0  # tensors that were copied because too much was held
        adopt_endpoint(self)
        self._say(wire.Hello(0, wire.DEPTH_LIMIT, min(self._bound, wire.SEGMENT_BYTES_LIMIT), DTYPES, "cpu"))

    @classmethod
    def from_env(cls, *, byte_budget: int | None = None) -> Self:
        """The edge that this stage was started with (AISH_TENSOR_IN). Raises NoEdgeError where there is none."""
        return cls(take_edge(ENV_IN)[0], byte_budget=byte_budget)

    @property
    def held(self) -> int:
        """Slots of the edge that living views hold."""
        return self._holdings.held

    def fileno(self) -> int:
        """Readable when `receive` has something to do: for select and asyncio."""
        return self._link.fileno()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Value:
        frame = self.receive()
        if frame is None:
            raise StopIteration
        return frame.value

    def frames(self) -> Iterator[Frame]:
        """The same as iterating, each value with its meta."""
        # Not a generator: one that waits at its yield would hold the value that its user has let go.
        return iter(self.receive, None)

    def receive(self, timeout_s: float | None = None) -> Frame | None:
        """The next value; None after EOF. Waits for ever, or raises EdgeTimeoutError after `timeout_s`.

        Raises HangupError where the writer ended without EOF, PeerError if it said why it failed, WireError for what
        is not of the protocol, BudgetError where it demands more memory than this end allows.
        """
        if self._failure is not None:
            raise self._failure.with_traceback(None)
        if self._phase == _Phase.ENDED:
            return None
        if self._link.closed:
            raise UsageError("this Reader is closed")
        deadline_s = None if timeout_s is None else time.monotonic() + timeout_s
        try:
            while True:
                frame = self._accept(*self._next(deadline_s))
                if frame is not None or self._phase == _Phase.ENDED:
                    return frame
        except EdgeTimeoutError:
            raise
        except TensorError as error:
            self._fail_with(error)
            raise

    def close(self) -> None:
        """Want no more: the writer's next write raises ClosedError. Views stay valid. May be called again."""
        if not self._link.closed:
            self._say(wire.Cancel())
            self._shut()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, Exception) and self._failure is None and not self._link.closed:
            self._say(wire.Error("reader", str(error)[:200] or type(error).__name__))
            self._shut()
        self.close()

    def leave_to_parent(self) -> None:
        """In a forked child: the edge stays the parent's, and views that die here give nothing back."""
        self._link.close()
        self._holdings.abandon()
        self._rooms.clear()
        self._failure = EdgeError("this Reader belongs to the process that forked this one")

    # -- one message

    def _next(self, deadline_s: float | None) -> tuple[wire.Message, int | None]:
        received = self._link.receive(wait=False)
        if received is None:
            self._holdings.flush()
            if deadline_s is not None:
                timeout_s = deadline_s - time.monotonic()
                if not self._link.wait(read=True, write=False, timeout_s=timeout_s):
                    raise EdgeTimeoutError("nothing came on this tensor edge in time")
            received = self._link.receive(wait=True)
        if received is None or isinstance(received, Hangup):
            raise HangupError(
                f"the writer of this tensor edge ended without EOF after {self._seq} tensors",
                hint="it crashed, was killed, or forgot to close its Writer: see its own messages",
            )
        return received

    def _accept(self, message: wire.Message, fd: int | None) -> Frame | None:
        """What each message does in each phase; anything else is against the protocol."""
        try:
            match self._phase, message:
                case _Phase.GREETING, wire.Hello(_, depth, byte_budget, _, _):
                    self._holdings.depth = depth
                    self._holdings.byte_budget = min(byte_budget, self._bound)
                    self._phase = _Phase.OPEN
                case _Phase.OPEN | _Phase.GROUP, wire.Tensor(_, _, _, what):
                    return self._arrived(self._view(message), what)
                case _Phase.OPEN | _Phase.GROUP, wire.Inline(what, payload):
                    flat: NDArray[Any] = np.frombuffer(payload, to_numpy(what.dtype))
                    return self._arrived(flat.reshape(what.shape), what)
                case _Phase.OPEN | _Phase.GROUP, wire.NewSeg():
                    self._map(message, fd)
                case _Phase.OPEN | _Phase.GROUP, wire.DropSeg(segment):
                    self._forget(segment)
                case _Phase.OPEN, wire.Eof(tensors):
                    if tensors != self._seq:
                        raise WireError(f"says {tensors} tensors, {self._seq} came", field="EOF")
                    self._shut()
                    self._phase = _Phase.ENDED
                case _Phase.GREETING | _Phase.OPEN | _Phase.GROUP, wire.Error(reason, text):
                    raise PeerError(f"the writer of this edge failed: {text}", reason=reason)
                case _:
                    raise WireError(f"{type(message).__name__} is not allowed in the phase {self._phase!r}")
            return None
        finally:
            if fd is not None:
                os.close(fd)

    def _map(self, message: wire.NewSeg, fd: int | None) -> None:
        if fd is None:
            raise WireError("NEWSEG came without a descriptor", field="descriptors")
        if message.segment in self._rooms:
            raise WireError(f"segment {message.segment} comes twice", field="segment")
        if len(self._rooms) >= SEGMENTS_LIMIT:
            raise WireError(f"more than {SEGMENTS_LIMIT} segments", field="segment")
        if self._mapped_bytes + message.size > self._bound:
            raise BudgetError(
                f"the writer wants {self._mapped_bytes + message.size} bytes mapped, this end allows {self._bound}",
                hint="start the writing stage with a smaller AISH_TENSOR_BUDGET",
            )
        check_sealed(fd, message.size)
        try:
            view = map_for_reading(fd, message.size)
        except (OSError, ValueError, OverflowError) as error:
            raise StorageError(f"cannot map {message.size} bytes of shared memory: {error}") from error
        self._rooms[message.segment] = Room(message.segment, message.size, view)
        self._mapped_bytes += message.size

    def _forget(self, segment: int) -> None:
        room = self._rooms.get(segment)
        if room is None:
            raise WireError(f"segment {segment} is not known", field="segment")
        self._holdings.check_unused(room)
        del self._rooms[segment]
        self._mapped_bytes -= room.size_bytes

    def _view(self, message: wire.Tensor) -> NDArray[Any]:
        room = self._rooms.get(message.segment)
        if room is None:
            raise WireError(f"segment {message.segment} is not known", field="segment")
        what = message.what
        if message.offset + what.nbytes > room.size_bytes:
            raise WireError(
                f"{what.nbytes} bytes at {message.offset} leave the segment of {room.size_bytes}", field="offset"
            )
        self._holdings.check_new(message.slot)
        array: NDArray[Any] = np.ndarray(what.shape, to_numpy(what.dtype), buffer=room.view, offset=message.offset)
        if self._holdings.full(room):
            copy = array.copy()
            copy.setflags(write=False)
            self.copied += 1
            self._holdings.owe(message.slot, what.nbytes)
            return copy
        self._holdings.add(array, message.slot, room)
        return array

    def _arrived(self, array: NDArray[Any], what: wire.Description) -> Frame | None:
        """A whole value gives a Frame; a tensor of a dict that goes on gives None."""
        if what.seq != self._seq:
            raise WireError(f"{what.seq}, expected {self._seq}", field="seq")
        self._seq += 1
        group = self._group
        more = bool(what.flags & wire.FLAG_MORE)
        if self._phase == _Phase.OPEN:
            meta = _parse_meta(what.meta)
            if not (more or what.key):
                return Frame(array, meta, what.seq, what.time_ns, what.trace, {"": what.dtype.name})
            group.meta = meta
        if not what.key or what.key in group.arrays:
            raise WireError(f"{what.key!r} is missing or twice in one dict", field="key")
        if len(group.arrays) >= _GROUP_LIMIT:
            raise WireError(f"a dict of more than {_GROUP_LIMIT} tensors", field="flags")
        group.arrays[what.key] = array
        group.dtypes[what.key] = what.dtype.name
        if more:
            self._phase = _Phase.GROUP
            return None
        self._phase = _Phase.OPEN
        self._group = _Group()
        return Frame(group.arrays, group.meta, what.seq, what.time_ns, what.trace, group.dtypes)

    # -- the end

    def _say(self, message: wire.Message) -> None:
        try:
            self._link.send(wire.encode(message))
        except BrokenPipeError:
            pass  # what the writer said before it left is still to be read

    def _fail_with(self, error: TensorError) -> None:
        """Tell the writer, give the edge up, and raise this now and on every later use."""
        self._failure = error
        if not self._link.closed:
            if not isinstance(error, EdgeError):
                self._say(wire.Error(error.code, str(error)[:200]))
            self._shut()

    def _shut(self) -> None:
        self._link.close()
        self._holdings.abandon()
        self._rooms.clear()
        self._group = _Group()


def _parse_meta(meta: bytes) -> dict[str, Any]:
    if not meta:
        return {}
    try:
        parsed = json.loads(meta)
    except (ValueError, RecursionError) as error:
        raise WireError(f"is not JSON: {error}", field="meta") from error
    if not isinstance(parsed, dict):
        raise WireError(f"is a {type(parsed).__name__}, expected an object", field="meta")
    return parsed
