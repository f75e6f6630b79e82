"""What AISH_TENSOR_OUT and AISH_TENSOR_IN say: which inherited file descriptors are an edge. Pure.

    writer   "1:SOCKET:STATS"      reader   "1:SOCKET"

The leading number is the version of the wire. Descriptors may get other numbers on their way through a supervisor
(SCM_RIGHTS): whoever installs them in the stage rewrites the value with `renumber`.
"""

from __future__ import annotations

from aish.tensor.errors import NoEdgeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ENV_IN", "ENV_OUT", "fds_of", "format_address", "renumber"]

ENV_OUT = "AISH_TENSOR_OUT"
ENV_IN = "AISH_TENSOR_IN"
_VERSION = "1"


def format_address(fds: tuple[int, ...]) -> str:
    """The value that names these descriptors: (socket, stats) for a writer, (socket,) for a reader."""
    return ":".join([_VERSION, *(str(fd) for fd in fds)])


def fds_of(value: str) -> tuple[int, ...]:
    """The descriptors that the value names, socket first. Raises NoEdgeError where it is malformed."""
    version, *numbers = value.split(":")
    if version != _VERSION:
        raise NoEdgeError(
            f"an edge of wire version {version[:20]!r}, this program speaks {_VERSION}",
            hint="use the aish.tensor of the aish that started this pipeline",
        )
    if not 1 <= len(numbers) <= 2 or not all(n.isascii() and n.isdigit() and len(n) < 8 for n in numbers):
        raise NoEdgeError(f"{value[:80]!r} is not an edge: expected {_VERSION}:SOCKET or {_VERSION}:SOCKET:STATS")
    fds = tuple(int(number) for number in numbers)
    if min(fds) <= 2:
        raise NoEdgeError(f"{value!r} names a standard stream: an edge is never 0, 1 or 2")
    return fds


def renumber(value: str, numbers: Mapping[int, int]) -> str:
    """The same value with each descriptor `n` replaced by `numbers[n]`.

    Raises NoEdgeError where the value is malformed or a descriptor has no new number.
    """
    try:
        return format_address(tuple(numbers[fd] for fd in fds_of(value)))
    except KeyError as error:
        raise NoEdgeError(f"descriptor {error} of the edge {value!r} was not passed on") from error
