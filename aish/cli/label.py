"""`aish label`: give processes labels, and take them away."""

from __future__ import annotations

from aish.cli.arguments import Parser, json_option
from aish.cli.each import each
from aish.errors import UsageError
from aish.model import label
from aish.wire.message import Label


def main(argv: list[str]) -> int:
    parser = Parser(
        "label",
        "Give processes labels (KEY=VALUE) and take others away (KEY-).",
        "example: aish label web worker tier=front old-",
    )
    parser.usage = f"{parser.prog} [OPTION …] PROCESS… KEY=VALUE|KEY- …"
    parser.add_argument("word", nargs="+", metavar="PROCESS… KEY=VALUE|KEY-", help="processes first, then labels")
    json_option(parser)
    options = parser.parse_args(argv)
    at = next((place for place, word in enumerate(options.word) if _is_change(word)), len(options.word))
    options.target, changes = options.word[:at], options.word[at:]
    if not changes:
        raise UsageError("which label?", hint="KEY=VALUE sets it, KEY- takes it away; inspect shows them")
    given, unset = label.parse_changes(changes)
    return each("label", options, lambda target: Label(target=target, set=given, unset=unset))


def _is_change(word: str) -> bool:
    return "=" in word or word.endswith("-")
