"""python -m aish.plugins.simgpu: make simulated cards, and processes that use them."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING, Any, NoReturn

from aish.errors import AishError, ConflictError, UsageError
from aish.model.size import format_bytes, parse_bytes
from aish.plugins.simgpu import card as cards
from aish.plugins.simgpu import runner
from aish.plugins.simgpu.allocation import Allocation, choose

if TYPE_CHECKING:
    from collections.abc import Sequence

PROGRAM = "python -m aish.plugins.simgpu"
EPILOG = """examples:
  %(prog)s create --devices 2 --memory 24G
  %(prog)s hold 6G
  %(prog)s run --alloc 6G --after 2s --alloc 3G --busy 70%% -- sleep 60
"""


def main(argv: Sequence[str]) -> int:
    """The exit status: 1 when an allocation does not fit (as a program that runs out of memory), else as `run`'s
    command left, or of aish.errors."""
    try:
        options = _parser().parse_args(argv)
        status: int = options.act(options)
        return status
    except runner.OutOfMemory as error:
        return _say(error.error, 1)
    except AishError as error:
        return _say(error, error.exit_status)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        return 0


def _say(error: AishError, status: int) -> int:
    print(f"simgpu: {error}", file=sys.stderr)
    if error.hint:
        print(f"  {error.hint}", file=sys.stderr)
    return status


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(message, hint=f"{self.prog} --help")


class _Step(argparse.Action):
    """--alloc and --after make one plan, in the order in which they were written."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option: str | None = None) -> None:
        plan = getattr(namespace, "plan", None) or []
        plan.append((runner.Alloc if option == "--alloc" else runner.After)(values))
        namespace.plan = plan


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog=PROGRAM,
        description="Simulated GPUs.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = parser.add_subparsers(required=True, metavar="VERB")

    create = verbs.add_parser("create", help="make simulated cards")
    create.add_argument("--devices", type=_count, default=1, metavar="N", help="how many (1)")
    create.add_argument("--memory", type=_size, default=24 << 30, metavar="SIZE", help="of each (24G)")
    create.add_argument("--name", help="what they are called")
    create.add_argument("--replace", action="store_true", help="replace other cards that are there")
    create.set_defaults(act=_create)

    remove = verbs.add_parser("remove", help="take the simulated cards away")
    remove.set_defaults(act=_remove)

    run = verbs.add_parser("run", help="run a command as a process that uses a card")
    run.add_argument("--alloc", action=_Step, type=_size, metavar="SIZE", help="take memory (again: more of it)")
    run.add_argument("--after", action=_Step, type=_duration, metavar="TIME", help="wait before the next --alloc")
    run.add_argument("--busy", type=_percent, default=0.0, metavar="PERCENT", help="share of the card kept busy")
    run.add_argument("--device", metavar="INDEX|UUID", help="which card (the process's own, else the first)")
    run.add_argument("command", nargs="+", metavar="COMMAND", help="after --")
    run.set_defaults(act=_run, plan=[])

    hold = verbs.add_parser("hold", help="take memory until killed")
    hold.add_argument("size", type=_size, metavar="SIZE")
    hold.add_argument("--busy", type=_percent, default=0.0, metavar="PERCENT")
    hold.add_argument("--device", metavar="INDEX|UUID")
    hold.set_defaults(act=_hold)
    return parser


def _create(options: argparse.Namespace) -> int:
    path = cards.folder()
    designed = cards.design(path, options.devices, options.memory, options.name)
    if not options.replace:
        existing = cards.load(path).cards
        if existing and existing != designed:
            raise ConflictError(
                f"{path} has other cards already: " + ", ".join(_described(card) for card in existing),
                hint="--replace replaces them",
            )
    cards.save(path, designed)
    for card in designed:
        print(f"GPU{card.index}  {card.name}  {format_bytes(card.memory_bytes)}  {card.uuid}")
    return 0


def _described(card: cards.Card) -> str:
    return f"GPU{card.index} {card.name} {format_bytes(card.memory_bytes)}"


def _remove(_: argparse.Namespace) -> int:
    path = cards.folder()
    try:
        os.unlink(os.path.join(path, cards.FILE_NAME))
    except FileNotFoundError:
        print(f"no simulated cards in {path}", file=sys.stderr)
        return 0
    except OSError as error:
        raise ConflictError(f"cannot remove {path}/{cards.FILE_NAME}: {error.strerror}") from error
    return 0


def _run(options: argparse.Namespace) -> int:
    folder = cards.folder()
    return runner.run(folder, choose(folder, options.device), options.plan, options.busy, options.command)


def _hold(options: argparse.Namespace) -> int:
    import signal

    folder = cards.folder()
    with runner.allocating():
        allocation = Allocation(folder, choose(folder, options.device), options.size)
    allocation.busy(options.busy)
    print(
        f"holding {format_bytes(options.size)} on GPU{allocation.card.index}, pid {os.getpid()}: ends when killed",
        flush=True,
    )
    while True:
        signal.pause()


def _size(text: str) -> int:
    return _plainly(parse_bytes, text)


def _count(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise argparse.ArgumentTypeError(f"not a number: {text!r}")
    return int(text)


def _duration(text: str) -> float:
    factor = 60.0 if text.endswith("m") else 0.001 if text.endswith("ms") else 1.0
    number = text.removesuffix("ms").removesuffix("m").removesuffix("s")
    return _decimal(number, text, "a time such as 2s, 500ms or 1m") * factor


def _percent(text: str) -> float:
    percent = _decimal(text.removesuffix("%"), text, "a share such as 70%")
    if percent > 100:
        raise argparse.ArgumentTypeError(f"{text!r} is more than 100%")
    return percent


def _decimal(number: str, text: str, expected: str) -> float:
    if not (number.isascii() and number.replace(".", "", 1).isdecimal() and len(number) < 16):
        raise argparse.ArgumentTypeError(f"{text!r}: expected {expected}")
    return float(number)


def _plainly(parse: Any, text: str) -> int:
    try:
        value: int = parse(text)
    except UsageError as error:
        raise argparse.ArgumentTypeError(f"{error}; {error.hint}") from error
    return value
