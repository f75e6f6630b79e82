"""What the tensor commands share at their edges: options, tables, JSON lines, errors for people."""

from __future__ import annotations

import argparse
import json
import os
import sys

from aish.tensor.errors import StorageError, TensorError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import NoReturn

__all__ = ["ADDRESS_HELP", "Parser", "clean", "guard", "print_json", "print_table", "put", "report", "size_text"]

_OPERAND = "\0"  # no word of a command line can hold it
ADDRESS_HELP = "FILE, FILE::KEY (with * and ?), or - for the tensor edge of this stage"


class Parser(argparse.ArgumentParser):
    """A command's options. Wrong words raise UsageError instead of leaving the process."""

    def __init__(self, command: str, description: str, examples: str) -> None:
        super().__init__(
            prog=command,
            description=description,
            epilog=f"{examples}\n\nexit status: 0 done, 1 not found or nothing to show, 2 usage, 65 bad data,\n"
            "69 the embeddings endpoint, 74 a file or the other end of an edge, 75 too much memory",
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )

    def read(self, argv: list[str]) -> argparse.Namespace:
        """The options and operands in `argv`. `-::KEY` is an operand, although argparse takes it for an option."""
        options = self.parse_args([_OPERAND + word if word.startswith("-::") else word for word in argv])
        for name, value in vars(options).items():
            if isinstance(value, str):
                setattr(options, name, value.removeprefix(_OPERAND))
            elif isinstance(value, list):
                setattr(options, name, [word.removeprefix(_OPERAND) for word in value])
        return options

    def error(self, message: str) -> NoReturn:
        raise UsageError(message, hint=f"`{self.prog} --help` lists what it takes")


class _Told:
    """How errors are told now: the commands report theirs from within."""

    as_json = False


def guard(command: str, run: Callable[[list[str]], int], argv: list[str]) -> int:
    """Run a command at the edge of its process: errors are told on stderr and become the exit status.

    For who asked with --json an error is one line of JSON, as with every verb of aish.
    """
    before = _Told.as_json
    _Told.as_json = before or "--json" in argv
    try:
        return _guarded(command, run, argv)
    finally:
        _Told.as_json = before


def _guarded(command: str, run: Callable[[list[str]], int], argv: list[str]) -> int:
    try:
        status = run(argv)
        sys.stdout.flush()
        return status
    except TensorError as error:
        if error.exit_status != 141:  # a reader that left is no news, as with SIGPIPE
            report(command, error)
        return error.exit_status
    except SystemExit as leave:  # argparse, after --help
        return leave.code if isinstance(leave.code, int) else 0
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)  # the flush at exit goes nowhere instead of failing
        os.close(null)
        return 141
    except OSError as error:
        report(
            command, StorageError(f"{error.strerror or error}" + (f": {error.filename}" if error.filename else ""))
        )
        return 74
    except MemoryError:
        report(command, TensorError("not enough memory", hint="take fewer tensors at once, or fewer queries"))
        return 75


def report(command: str, error: TensorError) -> None:
    """Tell an error: a line of what happened, a line of what to do; or both as one line of JSON."""
    lines = [f"{command}: {error}"]
    if error.hint:
        lines.append(f"  {error.hint}")
    if _Told.as_json:
        lines = [json.dumps({"error": {"code": error.code, "message": str(error), "hint": error.hint}})]
    try:
        print("\n".join(clean(line) for line in lines), file=sys.stderr, flush=True)
    except OSError:
        pass  # nobody reads stderr any more: the exit status still tells


def clean(text: str) -> str:
    """`text` with control characters as escapes: names in files of others must not steer a terminal or a table."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def put(line: str) -> None:
    """Print a line whatever the terminal's encoding: what it lacks becomes an escape."""
    try:
        print(line)
    except UnicodeEncodeError:
        encoding = getattr(sys.stdout, "encoding", None) or "ascii"
        print(line.encode(encoding, "backslashreplace").decode(encoding))


def print_json(value: dict[str, object]) -> None:
    """One object on one line, so that a stream can be read while it runs."""
    put(json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False))


def print_table(header: Sequence[str], rows: Iterable[Sequence[str]], right: Sequence[str] = ()) -> None:
    """Columns as wide as their widest cell; those named in `right` are aligned to the right."""
    cells = [list(header), *([clean(cell) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    for row in cells:
        padded = (
            cell.rjust(width) if name in right else cell.ljust(width)
            for name, cell, width in zip(header, row, widths, strict=True)
        )
        put("  ".join(padded).rstrip())


def size_text(nbytes: int) -> str:
    """Bytes for people: 512 B, 1.5 KiB, 3.0 GiB."""
    size = float(nbytes)
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if size < 1024 or unit == "TiB":
            break
        size /= 1024
    return f"{nbytes} B" if unit == "B" else f"{size:.1f} {unit}"
