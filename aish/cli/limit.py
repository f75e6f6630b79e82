"""`aish limit`: the one verb for every limit."""

from __future__ import annotations

from aish.cli.arguments import Parser, json_option
from aish.cli.each import each
from aish.errors import UsageError
from aish.model.nearest import nearest
from aish.wire import budget
from aish.wire.message import Limit

_OWN = ("tokens", "vram", "memory", "cpus", "pids", "read", "write", "nice")
_KEYS = (*_OWN, *budget.WORDS)


def main(argv: list[str]) -> int:
    parser = Parser(
        "limit",
        "Change the limits of a process. A value sets, +value raises, none lifts.",
        "examples:\n"
        "  aish limit @review tokens=+50k vram=8G memory=16G cpus=2.5 pids=200 read=50M write=20M nice=5\n"
        "  aish limit @review usd=+2 requests=500 rpm=30 concurrent=4 context=32k hard=yes",
    )
    parser.add_argument(
        "target", metavar="PROCESS", help="its id or name; key:NAME for a named key (its budget only)"
    )
    parser.add_argument("change", nargs="+", metavar="KEY=VALUE", help="keys: " + ", ".join(_KEYS))
    json_option(parser)
    options = parser.parse_args(argv)
    changes: dict[str, str] = {}
    asked: dict[str, str] = {}
    for change in options.change:
        key, equals, value = change.partition("=")
        if key not in _KEYS:
            near = nearest(key, _KEYS)
            raise UsageError(f"no such limit: {key}", hint=f"did you mean {near}=?" if near else "; ".join(_KEYS))
        if not equals or not value:
            raise UsageError(f"{key} needs a value", hint=f"{key}=+50k raises it, {key}=none lifts it")
        (changes if key in _OWN else asked)[key] = value
    options.target = [options.target]
    return each("limit", options, lambda target: Limit(target=target, budget=asked, **changes))
