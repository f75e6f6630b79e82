"""`aish project`: aish.toml itself: check, schema, show, import."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from aish.cli import declared
from aish.cli.arguments import Parser, json_option
from aish.cli.output import command_line, print_json, print_table
from aish.config import project_file
from aish.errors import UsageError
from aish.model.nearest import nearest
from aish.project.doubt import doubts
from aish.report import clean, report, told
from aish.wire.plain import plain

if TYPE_CHECKING:
    from aish.errors import SourceError
    from aish.project.specify import Wanted

_ACTIONS = ("check", "show", "schema", "import")


def main(argv: list[str]) -> int:
    if not argv or argv[0] in ("-h", "--help"):
        Parser(
            "project check|show|schema|import",
            "aish.toml: the processes of a project. `aish up` has them run.",
            "  check          read it and say everything that is wrong with it\n"
            "  show           what it declares, variables and includes resolved; no value of an environment\n"
            "  schema         its JSON schema, for editors\n"
            "  import FILE…   an aish.toml out of a Procfile, a compose file or systemd units\n\n"
            "`aish project ACTION --help` tells more of each.",
        ).print_help()
        return 0 if argv else 2
    words = argv[1:]
    match argv[0]:
        case "check":
            return _check(words)
        case "show":
            return _show(words)
        case "schema":
            return _schema(words)
        case "import":
            return _import(words)
        case action:
            near = nearest(action, _ACTIONS)
            raise UsageError(
                f"no such action: {action}", hint=f"did you mean {near}?" if near else ", ".join(_ACTIONS)
            )


def _check(words: list[str]) -> int:
    parser = Parser("project check", "Read aish.toml and what it includes, and say everything that is wrong.")
    declared.file_option(parser)
    json_option(parser)
    options = parser.parse_args(words)
    path, found, problems = declared.examined(options.file)
    doubtful = doubts(found, os.environ) if found is not None else []
    if options.json:
        print_json({"file": path, "problems": _placed(problems), "doubts": _placed(doubtful)})
    else:
        for each in (*problems, *doubtful):
            report("aish project", each)
        if found is not None:
            unsure = f", {len(doubtful)} in doubt: see above" if doubtful else ""
            print(clean(f"{project_file.shown(path)}: {len(found.wanted)} entries, no problems{unsure}"))
    return problems[0].exit_status if problems else 0


def _placed(errors: list[SourceError]) -> list[dict[str, object]]:
    return [told(each) | {"file": each.file, "line": each.line} for each in errors]


def _show(words: list[str]) -> int:
    parser = Parser(
        "project show", "What aish.toml declares, variables and includes resolved; no value of an environment."
    )
    declared.file_option(parser)
    json_option(parser)
    options = parser.parse_args(words)
    _, whole, problems = declared.examined(options.file)
    found = declared.accepted(whole, problems, "project")
    if options.json:
        print_json(
            {
                "name": found.project.name,
                "file": found.project.path,
                "files": [document.path for document in found.documents],
                "entries": {name: _shown(each) for name, each in found.wanted.items()},
            }
        )
        return 0
    rows = [
        (
            name,
            each.entry.section.removesuffix("s"),
            ", ".join(each.entry.needs) or "-",
            ", ".join(each.entry.profiles) or "-",
            command_line(each.spec.argv) or (each.spec.route.url if each.spec.route else "from the store"),
        )
        for name, each in found.wanted.items()
    ]
    if rows:
        print_table(("NAME", "KIND", "NEEDS", "PROFILES", "COMMAND"), rows)
    return 0


def _shown(wanted: Wanted) -> dict[str, object]:
    entry = wanted.entry
    return {
        "section": entry.section,
        "file": entry.document.path,
        "line": entry.document.line(entry.at),
        "profiles": entry.profiles,
        "environ_names": sorted(wanted.declared),
        "inherit": wanted.inherit,
        "nice": wanted.nice,
        "umask": wanted.umask,
        "spec": plain(wanted.spec),
    }


def _schema(words: list[str]) -> int:
    parser = Parser(
        "project schema",
        "The JSON schema of aish.toml, for editors: `aish project schema > aish.schema.json`, and in the first line\n"
        "of the file: #:schema ./aish.schema.json",
    )
    json_option(parser)
    parser.parse_args(words)
    from aish.project.json_schema import schema

    print_json(schema())
    return 0


def _import(words: list[str]) -> int:
    parser = Parser(
        "project import",
        "Print an aish.toml out of Procfiles, compose files and systemd units; what was not taken over, and why, on\n"
        "stderr.",
        "example: aish project import Procfile > aish.toml",
    )
    parser.add_argument("source", nargs="+", metavar="FILE")
    parser.add_argument(
        "--from", dest="kind", metavar="KIND", help="procfile, compose or systemd; default: by its name"
    )
    json_option(parser)
    options = parser.parse_args(words)
    from aish.project import importing

    texts = {name: project_file.content_of(os.path.abspath(name), name) for name in options.source}
    sources = [(name, _kind(name, options.kind), texts[name]) for name in options.source]
    imported = importing.imported(sources)
    if options.json:
        left = [{"file": each.file, "what": each.what, "why": each.why} for each in imported.left]
        print_json({"toml": imported.text, "left": left})
        return 0
    print(imported.text, end="", flush=True)  # before what is told on stderr, also where both go to one file
    for each in imported.left:
        print(clean(f"{each.file}: {each.what}: {each.why}"), file=sys.stderr)
    if imported.left:
        print(f"aish project: {len(imported.left)} not taken over, as told above", file=sys.stderr)
    return 0


def _kind(name: str, told: str | None) -> str:
    """Raises UsageError."""
    from aish.project import importing

    if told is not None:
        if told not in importing.KINDS:
            near = nearest(told, importing.KINDS)
            raise UsageError(
                f"--from {told}: no such kind", hint=f"did you mean {near}?" if near else ", ".join(importing.KINDS)
            )
        return told
    kind = importing.kind_of(name)
    if kind is None:
        raise UsageError(f"{name}: what is it?", hint="say so: --from procfile, compose or systemd")
    return kind
