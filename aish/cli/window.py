"""`aish window`: rules over the usage windows of subscriptions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aish.cli.arguments import Parser, json_option
from aish.cli.output import print_json, print_table
from aish.cli.usage import print_windows
from aish.client import connect
from aish.client.finding import outside
from aish.errors import NotFoundError, UsageError
from aish.model.nearest import nearest
from aish.wire.message import WindowList, WindowSet, WindowUnset
from aish.wire.reply import Done, Windows

if TYPE_CHECKING:
    from aish.wire.part import WindowRulePart

_ACTIONS = ("set", "ls", "show", "unset")


def main(argv: list[str]) -> int:
    if not argv or argv[0] in ("-h", "--help"):
        Parser(
            "window set|ls|show|unset",
            "Rules over the usage windows of subscriptions (five hours, a week): who may use how much of them.\n"
            "`aish usage --windows` shows the windows.",
            "  set NAME WORD=VALUE …  keep a reserve for the foreground, give shares, in which hours\n"
            "  ls                     all rules\n"
            "  show NAME              one of them, with its windows\n"
            "  unset NAME             take a rule away\n\n"
            "`aish window ACTION --help` tells more of each.",
        ).print_help()
        return 0 if argv else 2
    action, words = argv[0], argv[1:]
    match action:
        case "set":
            return _set(words)
        case "ls":
            return _list(words)
        case "show":
            return _show(words)
        case "unset":
            return _unset(words)
        case _:
            near = nearest(action, _ACTIONS)
            raise UsageError(
                f"no such action: {action}", hint=f"did you mean {near}?" if near else ", ".join(_ACTIONS)
            )


def _set(words: list[str]) -> int:
    parser = Parser(
        "window set",
        "Change the rule over the windows of a model's subscription. A word sets, WORD=none lifts it.",
        "  reserve=40%                no more than 60 % is for what runs in the background\n"
        "  share.@NAME=30%            no more than 30 % is for that process, agent or key (share.key:NAME)\n"
        "  hours=09-18 days=mon-fri   when the rule holds; without: always\n"
        "  background=key:ci,@NAME    who is in the background, whatever is known of it\n"
        "  foreground=@NAME           who is not\n\n"
        "examples:\n"
        "  aish window set claude reserve=40% hours=09-18 days=mon-fri share.@review=30%\n"
        "  aish window set claude/7d reserve=20%",
    )
    parser.add_argument("target", metavar="NAME", help="the model, such as claude; claude/5h: that window alone")
    parser.add_argument("change", nargs="+", metavar="WORD=VALUE")
    json_option(parser)
    options = parser.parse_args(words)
    changes: dict[str, str] = {}
    for change in options.change:
        word, equals, value = change.partition("=")
        if not equals or not value:
            raise UsageError(f"{word} needs a value", hint=f"such as reserve=40%; {word}=none lifts it")
        changes[word] = value
    with connect(start=outside(), program="window") as client:
        done = client.ask(Done, WindowSet(target=options.target, changes=changes))
        found = client.ask(Windows, WindowList())
    rule = _find(found, options.target)
    if options.json:
        print_json({"target": options.target, "changed": done.changed})
    elif rule is None:
        print(f"{options.target}: no rule any more")
    else:
        print(f"{rule.target}: {_words(rule)}")
        if not rule.windows:
            print(f"  no window of {rule.target} is known yet: the next answer of its server tells")
    return 0


def _list(words: list[str]) -> int:
    parser = Parser("window ls", "List all rules over usage windows.")
    json_option(parser)
    options = parser.parse_args(words)
    with connect(start=outside(), program="window") as client:
        rules = client.ask(Windows, WindowList()).rules
    if options.json:
        print_json(rules)
    elif not rules:
        print("there is no rule; such as: aish window set claude reserve=40% hours=09-18")
    else:
        rows = [
            [rule.target, _words(rule), "yes" if rule.holds else "no", " ".join(rule.windows) or "-"]
            for rule in rules
        ]
        print_table(("NAME", "RULE", "HOLDS NOW", "WINDOWS"), rows)
    return 0


def _show(words: list[str]) -> int:
    parser = Parser("window show", "Show a rule, with the windows that it is about.")
    parser.add_argument("target", metavar="NAME")
    json_option(parser)
    options = parser.parse_args(words)
    with connect(start=outside(), program="window") as client:
        found = client.ask(Windows, WindowList())
    rule = _find(found, options.target)
    if rule is None:
        near = nearest(options.target, [each.target for each in found.rules])
        raise NotFoundError(
            f"there is no rule for {options.target}", hint=f"did you mean {near}?" if near else "aish window ls"
        )
    if options.json:
        print_json(rule)
        return 0
    for word, value in rule.words.items():
        print(f"{word:<12} {value}")
    print(f"{'holds now':<12} {'yes' if rule.holds else 'no'}")
    windows = [part for part in found.windows if f"{part.account}/{part.window}" in rule.windows]
    if windows:
        print()
        print_windows(windows)
        for part in windows:
            for subject, used in part.shares.items():
                about = "not known" if used is None else f"about {used:.0%}"
                print(f"{part.account}/{part.window}: {subject} has used {about}")
    return 0


def _unset(words: list[str]) -> int:
    parser = Parser("window unset", "Take a rule away: whom it held goes on.")
    parser.add_argument("target", metavar="NAME")
    json_option(parser)
    options = parser.parse_args(words)
    with connect(start=outside(), program="window") as client:
        done = client.ask(Done, WindowUnset(target=options.target))
    if options.json:
        print_json({"target": options.target, "changed": done.changed})
    elif not done.changed:
        print(f"{options.target} had no rule")
    return 0


def _find(found: Windows, target: str) -> WindowRulePart | None:
    return next((rule for rule in found.rules if rule.target == target.removeprefix("@")), None)


def _words(rule: WindowRulePart) -> str:
    return " ".join(f"{word}={value}" for word, value in rule.words.items())
