"""`aish key`: gateway keys for programs that aish did not start."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aish.cli.arguments import Parser, json_option
from aish.cli.output import age, print_json, print_table
from aish.client import connect
from aish.client.finding import outside
from aish.errors import UsageError
from aish.model import niceness
from aish.model.nearest import nearest
from aish.model.size import format_count, parse_count
from aish.wire import budget
from aish.wire.message import KeyList, KeyNew, KeyRevoke
from aish.wire.reply import Done, KeyMade, Keys

if TYPE_CHECKING:
    from aish.wire.part import KeyPart

_ACTIONS = ("new", "ls", "revoke")
_NICE = "nice="


def main(argv: list[str]) -> int:
    if not argv or argv[0] in ("-h", "--help"):
        Parser(
            "key new|ls|revoke",
            "Keys by which programs that aish did not start may use the gateway.",
            "  new NAME     make a key; it is shown this once\n"
            "  ls           keys, their budgets and use\n"
            "  revoke NAME  make a key invalid, at once and for good\n\n"
            "`aish key ACTION --help` tells more of each.",
        ).print_help()
        return 0 if argv else 2
    action, words = argv[0], argv[1:]
    match action:
        case "new":
            return _new(words)
        case "ls":
            return _list(words)
        case "revoke":
            return _revoke(words)
        case _:
            near = nearest(action, _ACTIONS)
            raise UsageError(f"no such action: {action}", hint=f"did you mean {near}?" if near else "new, ls, revoke")


def _new(words: list[str]) -> int:
    parser = Parser("key new", "Make a key. It is shown this once.")
    parser.add_argument("name", metavar="NAME")
    parser.add_argument("--tokens", metavar="COUNT", help="how many tokens it may use, such as 200k")
    parser.add_argument("--budget", metavar="LIMITS", help="tokens=200k,usd=5,requests=100,rpm=30,concurrent=4,hard")
    parser.add_argument("change", nargs="*", metavar="nice=N", help="how much less than others it wants of a model")
    json_option(parser)
    options = parser.parse_args(words)
    nice = 0
    for change in options.change:
        if not change.startswith(_NICE):
            raise UsageError(f"no such setting of a key: {change}", hint="nice=5; limits are for --budget")
        nice = niceness.parse(change.removeprefix(_NICE))
    tokens, part, wall_s = budget.parse(options.budget, "--budget") if options.budget else budget.Asked(None, None)
    if wall_s is not None:
        raise UsageError("--budget wall: a key does not run", hint="it is a limit of a process")
    tokens = parse_count(options.tokens) if options.tokens else tokens
    with connect(start=outside(), program="key") as client:
        made = client.ask(KeyMade, KeyNew(name=options.name, budget_tokens=tokens, budget=part, nice=nice))
    if options.json:
        print_json(made)
    else:
        print(f"OPENAI_BASE_URL={made.base_url}\nOPENAI_API_KEY={made.key}")
    return 0


def _list(words: list[str]) -> int:
    parser = Parser("key ls", "List keys, their budgets and use.")
    json_option(parser)
    options = parser.parse_args(words)
    with connect(start=outside(), program="key") as client:
        keys = client.ask(Keys, KeyList()).keys
    if options.json:
        print_json(keys)
        return 0
    rows = [
        [
            key.name,
            "revoked" if key.revoked else "valid",
            format_count(key.tokens.input + key.tokens.output),
            _budget(key),
            str(key.nice),
            age(key.created_s),
            key.doing,
        ]
        for key in keys
    ]
    print_table(
        ("NAME", "STATE", "TOKENS", "BUDGET", "NICE", "AGE", "DOING"), rows, ("TOKENS", "BUDGET", "NICE", "AGE")
    )
    return 0


def _budget(key: KeyPart) -> str:
    tokens = [] if key.budget_tokens is None else [format_count(key.budget_tokens)]
    return " ".join([*tokens, *(budget.typed(word, most) for word, most in key.budget.items())]) or "-"


def _revoke(words: list[str]) -> int:
    parser = Parser("key revoke", "Make a key invalid, at once and for good.")
    parser.add_argument("name", metavar="NAME")
    json_option(parser)
    options = parser.parse_args(words)
    with connect(start=outside(), program="key") as client:
        done = client.ask(Done, KeyRevoke(name=options.name))
    if options.json:
        print_json({"target": options.name, "changed": done.changed})
    return 0
