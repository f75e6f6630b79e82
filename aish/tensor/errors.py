"""Every error that aish.tensor raises on purpose: what happened, whose fault it is, what to do next.

    TensorError               1
    ├── UsageError            2   the caller's words: option, address, dtype, a value that no tensor can hold
    │   └── NoEdgeError       2   AISH_TENSOR_IN or AISH_TENSOR_OUT is missing or names no edge
    ├── NotFoundError         1   no such file or key, or nothing to show
    ├── DataError            65   a file or a stream is not what it claims to be (file, field, what was expected)
    │   └── WireError        65   a datagram on an edge is not of the protocol, or breaks its rules
    ├── EdgeError            74   the other end of an edge
    │   ├── ClosedError     141   the last reader is gone (also a BrokenPipeError)
    │   ├── HangupError      74   the writer left without EOF (also a ConnectionError)
    │   └── PeerError        74   the other end said why it failed
    ├── BudgetError          75   more bytes than the edge may hold (also a MemoryError)
    ├── StorageError         74   a file cannot be read or written
    └── UpstreamError        69   the embeddings endpoint cannot be reached, or refused

The classes have the shape of aish.errors (`hint`, `exit_status`, `code`) but share nothing with it: a program that
imports the pipe library gets nothing else of aish.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import ClassVar

__all__ = [
    "BudgetError",
    "ClosedError",
    "DataError",
    "EdgeError",
    "HangupError",
    "NoEdgeError",
    "NotFoundError",
    "PeerError",
    "StorageError",
    "TensorError",
    "UpstreamError",
    "UsageError",
    "WireError",
]


class TensorError(Exception):
    """Root of the tree. `str(error)` is one line for a person; `hint` says what to do next, None where unknown."""

    code: ClassVar[str] = "tensor"
    exit_status: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message


class UsageError(TensorError):
    """The caller's fault: an option, an address, a shape or a dtype that cannot be meant."""

    code = "usage"
    exit_status = 2


class NoEdgeError(UsageError):
    """The program was not started as a stage of `a |= b`, or opened its edge already."""

    code = "no-edge"


class NotFoundError(TensorError):
    """Nobody's fault: the file, the key or the result is not there."""

    code = "not-found"
    exit_status = 1


class DataError(TensorError):
    """The data's fault. `file` and `field` say where; the message says what was expected."""

    code = "data"
    exit_status = 65

    def __init__(
        self, message: str, *, file: str | None = None, field: str | None = None, hint: str | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.file = file
        self.field = field

    def __str__(self) -> str:
        return ": ".join(part for part in (self.file, self.field, self.message) if part)


class WireError(DataError):
    """The other end's fault: garbage, another version, or a message that the protocol does not allow here."""

    code = "wire"


class EdgeError(TensorError):
    """The other end of the edge is not what it should be."""

    code = "edge"
    exit_status = 74


class ClosedError(EdgeError, BrokenPipeError):
    """The last reader is gone: nobody will take what is written. Mostly no fault at all (`head`)."""

    code = "closed"
    exit_status = 141  # 128 + SIGPIPE: what a shell reports for a stage that its reader outran


class HangupError(EdgeError, ConnectionError):
    """The writer ended without EOF: it crashed, was killed or forgot `close()`. What came before was whole."""

    code = "hang-up"


class PeerError(EdgeError):
    """The other end said what went wrong there. `reason` is its stable word."""

    code = "peer"

    def __init__(self, message: str, *, reason: str = "error", hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.reason = reason


class BudgetError(TensorError, MemoryError):
    """The bytes asked for can never fit the edge's budget. Next: smaller tensors, or a bigger budget."""

    code = "budget"
    exit_status = 75


class StorageError(TensorError):
    """The disk's fault, or a permission: a file cannot be read or written."""

    code = "storage"
    exit_status = 74


class UpstreamError(TensorError):
    """The embeddings endpoint. `status` is its HTTP status, None if it never answered."""

    code = "upstream"
    exit_status = 69

    def __init__(self, message: str, *, status: int | None = None, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.status = status
