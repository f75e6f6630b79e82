"""Arguments of a verb: argparse, with its errors in our tree and the nearest option named."""

from __future__ import annotations

import argparse
from typing import NoReturn

from aish.errors import UsageError
from aish.model.nearest import nearest


class _Help(argparse.RawDescriptionHelpFormatter):
    """`-l, --label KEY=VALUE`, as Python has it from 3.13 on: before, the value stood behind each name."""

    def _format_action_invocation(self, action: argparse.Action) -> str:
        if not action.option_strings or action.nargs == 0:
            return super()._format_action_invocation(action)
        value = self._format_args(action, self._get_default_metavar_for_optional(action))
        return f"{', '.join(action.option_strings)} {value}"


class Parser(argparse.ArgumentParser):
    """`aish VERB`'s parser. Wrong words raise UsageError instead of leaving the process."""

    def __init__(self, verb: str, description: str, epilog: str | None = None) -> None:
        super().__init__(
            prog=f"aish {verb}",
            description=description,
            epilog=epilog,
            formatter_class=_Help,
            allow_abbrev=False,
        )

    def parse_args(self, args: list[str], namespace: None = None) -> argparse.Namespace:  # type: ignore[override]
        """Options may stand between and after the plain words; what follows a `--` is plain."""
        if "--" in args:
            return super().parse_args(args)
        return self.parse_intermixed_args(args)

    def error(self, message: str) -> NoReturn:
        hint = f"`{self.prog} --help` lists what it takes"
        if message.startswith("unrecognized arguments: "):
            word = message.split(": ", 1)[1].split()[0]
            options = [option for action in self._actions for option in action.option_strings]
            near = nearest(word.split("=")[0], options) if word.startswith("-") else None
            if near:
                hint = f"did you mean {near}? " + hint
        raise UsageError(message, hint=hint)

    def command(self, argv: list[str]) -> tuple[argparse.Namespace, list[str]]:
        """Options before `--`, the command after it. Without `--` the command begins at the first plain word."""
        if "--" in argv:
            at = argv.index("--")
            return self.parse_args(argv[:at]), argv[at + 1 :]
        for at, word in enumerate(argv):
            if word.startswith("-"):
                continue
            if at and self._takes_value(argv[at - 1]):
                continue
            return self.parse_args(argv[:at]), argv[at:]
        return self.parse_args(argv), []

    def operands(self, argv: list[str]) -> tuple[list[str], list[str]]:
        """Plain words, and options with their values, however they are mixed."""
        plain: list[str] = []
        options: list[str] = []
        for at, word in enumerate(argv):
            is_value = at > 0 and argv[at - 1].startswith("-") and self._takes_value(argv[at - 1])
            (options if word.startswith("-") or is_value else plain).append(word)
        return plain, options

    def _takes_value(self, word: str) -> bool:
        """Whether the next word is its value; one that may have a value has it behind a `=`."""
        takers = (action for action in self._actions if action.nargs not in (0, "?"))
        return "=" not in word and any(word in action.option_strings for action in takers)


def targets(parser: Parser, *, many: bool = True, none: str = "", labels: bool = False, tree: bool = False) -> None:
    """The operand of verbs that act on processes. `none` says what it means where there is none of it; with `labels`
    they can be chosen by those instead, with `tree` what they have started can come with them: see aish.cli.each."""
    parser.add_argument(
        "target",
        nargs="*" if none or labels else "+" if many else None,
        metavar="PROCESS",
        help="an id (p12) or a name, with or without @" + (f"; {none}" if none else ""),
    )
    if labels:
        label_option(parser, "instead of names: all that have this label")
    if tree:
        parser.add_argument("--tree", action="store_true", help="and all supervised processes below them")


def label_option(parser: Parser, meaning: str) -> None:
    parser.add_argument(
        "-l", "--label", action="append", default=[], metavar="KEY=VALUE", help=f"{meaning}; KEY alone: any value"
    )


def json_option(parser: Parser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON for programs")
