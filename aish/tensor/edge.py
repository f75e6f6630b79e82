"""Make a tensor edge: what the shell (or the daemon, for named edges) does for each `|=` of a pipeline.

    edge = create()
    writer stage: inherits edge.writer_fds, with AISH_TENSOR_OUT=edge.writer_env()
    reader stage: inherits edge.reader_fds, with AISH_TENSOR_IN=edge.reader_env()
    views:        read_stats(edge.stats_fd)

The maker closes both stages' descriptors as soon as the stages have them: an end that stays open in the maker hides
that the stage has died. All descriptors are close-on-exec here; who starts a stage makes its own inheritable in the
child. If they arrive there under other numbers, `address.renumber` rewrites the value.

Loads no numpy.
"""

from __future__ import annotations

import fcntl
import os
import resource
import socket

from aish.tensor.address import format_address
from aish.tensor.errors import StorageError, UsageError
from aish.tensor.memfd import make_memfd
from aish.tensor.stats import BYTE_BUDGET, DEPTH, PAGE_BYTES, blank_page

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

__all__ = ["DEFAULT_BYTE_BUDGET", "DEFAULT_DEPTH", "Edge", "create"]

DEFAULT_DEPTH = 16
DEFAULT_BYTE_BUDGET = 1 << 30
_DEPTH_LIMIT = 64  # wire.DEPTH_LIMIT, without loading the codec
_FIRST_FD = 10  # shells leave 3..9 to the redirections of their users


class Edge:
    """One edge that no stage has yet. Use `create`; close what you keep."""

    __slots__ = ("_reader", "_stats", "_writer")

    def __init__(self, writer: tuple[int, ...], reader: tuple[int, ...], stats: int) -> None:
        self._writer = writer
        self._reader = reader
        self._stats = stats

    @property
    def writer_fds(self) -> tuple[int, ...]:
        """(socket, statistics page for writing); empty once closed."""
        return self._writer

    @property
    def reader_fds(self) -> tuple[int, ...]:
        """(socket,); empty once closed."""
        return self._reader

    @property
    def stats_fd(self) -> int:
        """The statistics page, for reading only; -1 once closed."""
        return self._stats

    def writer_env(self) -> str:
        """The value of AISH_TENSOR_OUT for a stage that inherits `writer_fds` under these numbers."""
        return format_address(self._writer)

    def reader_env(self) -> str:
        """The value of AISH_TENSOR_IN for a stage that inherits `reader_fds` under these numbers."""
        return format_address(self._reader)

    def close_writer(self) -> None:
        """Close the writer's descriptors: the stage has them now."""
        fds, self._writer = self._writer, ()
        _close(fds)

    def close_reader(self) -> None:
        """Close the reader's descriptor: the stage has it now."""
        fds, self._reader = self._reader, ()
        _close(fds)

    def close(self) -> None:
        """Close whatever is still open here, the statistics page included. May be called again."""
        self.close_writer()
        self.close_reader()
        stats, self._stats = self._stats, -1
        if stats >= 0:
            os.close(stats)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def create(*, depth: int = DEFAULT_DEPTH, byte_budget: int = DEFAULT_BYTE_BUDGET) -> Edge:
    """A new edge that holds at most `depth` tensors (1 to 64) and `byte_budget` bytes of shared memory.

    One tensor may take half of the budget. Raises UsageError for a bound out of range, StorageError where the system
    has no descriptor or memory left.
    """
    if not 1 <= depth <= _DEPTH_LIMIT:
        raise UsageError(f"depth {depth}: expected 1 to {_DEPTH_LIMIT}")
    if not PAGE_BYTES <= byte_budget <= 1 << 48:
        raise UsageError(f"byte budget {byte_budget}: expected {PAGE_BYTES} to {1 << 48}")
    fds: list[int] = []
    try:
        for end in socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET):
            fds.append(end.detach())
        page = make_memfd("aish-edge-stats", PAGE_BYTES)
        fds.append(page)
        os.pwrite(page, blank_page({DEPTH: depth, BYTE_BUDGET: byte_budget}), 0)
        # Who gets the read-only descriptor may not open the page again for writing; the writer seals it as well.
        os.fchmod(page, 0o400)
        fds.append(os.open(f"/proc/self/fd/{page}", os.O_RDONLY | os.O_CLOEXEC))
        for index, fd in enumerate(fds):
            fds[index] = _raise_fd(fd)
    except OSError as error:
        _close(tuple(fds))
        raise StorageError(
            f"cannot make a tensor edge: {error.strerror or error}",
            hint="`ulimit -n` shows how many files a process may have open",
        ) from error
    except StorageError:
        _close(tuple(fds))
        raise
    writer, reader, stats, stats_read_only = fds
    return Edge((writer, stats), (reader,), stats_read_only)


def _raise_fd(fd: int) -> int:
    """The same file under a number from 10 on; under one from 3 on where the limit on open files is that small."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    first = _FIRST_FD if limit == resource.RLIM_INFINITY or limit > 2 * _FIRST_FD else 3
    if fd >= first:
        return fd
    raised = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, first)
    os.close(fd)
    return raised


def _close(fds: tuple[int, ...]) -> None:
    for fd in fds:
        os.close(fd)
