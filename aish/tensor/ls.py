"""`tensor ls`: what is in a file or on a stream. Reads headers only; loads no numpy for files."""

from __future__ import annotations

from aish.tensor.commandline import ADDRESS_HELP, Parser, print_json, print_table, report, size_text
from aish.tensor.errors import TensorError
from aish.tensor.sources import Address, walk

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from aish.tensor.sources import Found

__all__ = ["run", "shape_text", "walk_all"]

_EXAMPLES = """examples:
  tensor ls model.safetensors
  tensor ls 'model.safetensors::*.weight' data.npz
  embed notes/*.md |= tensor ls -"""


def run(argv: list[str]) -> int:
    """`argv`: the words after `tensor ls`. Raises UsageError."""
    parser = Parser("tensor ls", "List tensors with their types, shapes and sizes. Reads no elements.", _EXAMPLES)
    parser.add_argument("address", nargs="+", metavar="ADDRESS", help=ADDRESS_HELP)
    parser.add_argument("--json", action="store_true", help="one JSON object per line")
    options = parser.read(argv)
    status = [0]
    found = walk_all("tensor ls", options.address, status)
    if options.json:
        for item in found:
            entry = item.entry
            print_json(
                {
                    "file": item.path,
                    "key": entry.key,
                    "dtype": entry.dtype_name,
                    "shape": list(entry.shape),
                    "nbytes": entry.nbytes,
                }
            )
    else:
        many = len(options.address) > 1
        rows = [
            (
                f"{item.path}::{item.entry.key}" if many else item.entry.key,
                item.entry.dtype_name,
                shape_text(item.entry.shape),
                size_text(item.entry.nbytes),
            )
            for item in found
        ]
        if rows:
            print_table(("KEY", "DTYPE", "SHAPE", "SIZE"), rows, right=("SIZE",))
    return status[0]


def walk_all(command: str, addresses: list[str], status: list[int]) -> Iterator[Found]:
    """The tensors of all addresses. One that cannot be read is told and leaves its exit status in `status`."""
    for text in addresses:
        try:
            yield from walk(Address(text))
        except TensorError as error:
            report(command, error)
            status[0] = status[0] or error.exit_status


def shape_text(shape: tuple[int, ...]) -> str:
    """A shape for people: 3x4, or - for a single number."""
    return "x".join(map(str, shape)) or "-"
