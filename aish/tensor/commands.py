"""`tensor COMMAND`, also `aish tensor COMMAND` and `python -m aish.tensor COMMAND`."""

from __future__ import annotations

import importlib

from aish.tensor.commandline import guard
from aish.tensor.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["COMMANDS", "main"]

COMMANDS = {
    "ls": "names, types and shapes, from headers alone",
    "stat": "min max mean std nan inf zeros of each tensor",
    "knn": "the k nearest rows of an index to each query, by cosine similarity",
    "embed": "text to embeddings, through an OpenAI-compatible endpoint",
}


def main(argv: list[str]) -> int:
    """Run `tensor argv...`; the exit status. Errors are told on stderr."""
    return guard("tensor", _run, argv)


def _run(argv: list[str]) -> int:
    if not argv or argv[0] in ("-h", "--help", "help"):
        print(_overview())
        return 0 if argv else UsageError.exit_status
    name, words = argv[0], argv[1:]
    if name not in COMMANDS:
        from difflib import get_close_matches

        near = get_close_matches(name, COMMANDS, n=1)
        raise UsageError(
            f"{name!r} is no tensor command",
            hint=f"did you mean {near[0]}?" if near else f"there are {', '.join(COMMANDS)}",
        )
    run: Callable[[list[str]], int] = importlib.import_module(f"aish.tensor.{name}").run
    return guard(f"tensor {name}" if name != "embed" else name, run, words)


def _overview() -> str:
    lines = ["tensor: look into tensors in files and on tensor edges", ""]
    lines += [f"  tensor {name:<6} {what}" for name, what in COMMANDS.items()]
    lines += [
        "",
        "Files are .safetensors, .npy and .npz; FILE::KEY names tensors in them, with * and ?;",
        "- is the stream of a tensor pipeline: a |= tensor ls -",
        "`tensor COMMAND --help` tells the rest.",
    ]
    return "\n".join(lines)
