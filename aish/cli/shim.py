"""`aish shim`: names that you type run supervised, in any shell or editor."""

from __future__ import annotations

import os
import re
import shlex
import sys
from typing import Final

from aish.cli import rc_block, shims, wanted
from aish.cli.arguments import Parser, json_option
from aish.cli.output import print_json, print_table
from aish.cli.shimmed import gateway_option, options_of
from aish.errors import NotFoundError, UsageError
from aish.lang.builtins import TOPIC_OF
from aish.model.nearest import nearest
from aish.report import clean

BLOCK: Final = "shims"
_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+-]*")
_SHELLS: Final = ("sh", "bash", "dash", "ash", "ksh", "mksh", "zsh", "fish", "csh", "tcsh", "nu", "pwsh", "busybox")
_OTHERS: Final = ("aish", "env", "sudo", "doas", "su", "run0", "pkexec", "login", "newgrp", "sg", "nohup", "setsid")
_SYSTEM: Final = ("init", "systemd", "systemctl", "loginctl", "dbus-daemon", "sshd", "ssh-agent", "gpg-agent", "Xorg")
RESERVED: Final = frozenset((*_SHELLS, *_OTHERS, *_SYSTEM))
"""Who logs in, becomes another user, starts the system or only starts others: under a supervisor they would fail, or
take everything with them."""


def main(argv: list[str]) -> int:
    parser = Parser(
        "shim",
        "Have the programs of these names run supervised whoever starts them: a small program of the same name,\n"
        "in a folder that is first on PATH, hands them over. Options are those of `aish run`, kept for each start.\n"
        "Without names: the shims that there are.",
        "example: aish shim claude codex --memory 8G        aish shim --off claude",
    )
    wanted.options(parser)
    parser.usage = "aish shim [NAME …] [OPTION …]\n       aish shim --off [NAME …]"
    parser.add_argument(
        "--off", action="store_true", help="remove these; without names all, and what --install added"
    )
    parser.add_argument(
        "--install", metavar="SHELL", help="put the folder on PATH in bash's, zsh's or fish's start-up"
    )
    gateway_option(parser)
    parser.add_argument("--nested", action="store_true", help="below a supervised process, too")
    json_option(parser)
    names, words = parser.operands(argv)
    options = parser.parse_args(words)
    for name in names:
        _check_name(name)
    if options.off:
        if set(words) - {"--off", "--json"}:
            raise UsageError("--off takes names, no options")
        return _off(names, as_json=options.json)
    if options.install is not None and options.install not in rc_block.SHELLS:
        near = nearest(options.install, rc_block.SHELLS)
        raise UsageError(
            f"--install {options.install}: no such shell",
            hint=f"did you mean {near}?" if near else "one of " + ", ".join(rc_block.SHELLS),
        )
    kept = _kept(words)
    if kept and not names:
        raise UsageError("whose options?", hint="aish shim NAME … [OPTION …]")
    _check_options(kept, names)
    _make(names, kept, nested=options.nested)
    installed = _install(options.install) if options.install is not None else None
    _tell(as_json=options.json, installed=installed)
    return 0


def _kept(words: list[str]) -> list[str]:
    """The options of run among all: what a shim keeps."""
    kept: list[str] = []
    words = list(words)
    while words:
        word = words.pop(0)
        if word in ("--nested", "--json", "--off"):
            continue
        if word == "--install":
            words.pop(0)
        elif not word.startswith("--install="):
            kept.append(word)
    return kept


def _check_options(words: list[str], names: list[str]) -> None:
    """Raises UsageError, NotFoundError for what a shim could not have at any start."""
    options = options_of(words)
    for option, refused in (
        ("--name", options.name is not None),
        ("--cwd", options.cwd is not None),
        ("--restart", options.restart != "never"),
        ("--model", options.model is not None and not options.gateway),
    ):
        if refused:
            hint = "it runs once for each start, where its name is typed; `aish spawn` keeps one running"
            raise UsageError(f"{option} is not for a shim", hint=hint)
    if options.gateway:
        from aish.agents import adapters

        if options.observe is not None:
            raise UsageError("--observe is for what does not pass the gateway", hint="that, or --gateway")
        options.model = None
        for name in names:
            adapters.load(name)
    wanted.spec_of(options, ["true"])


def _check_name(name: str) -> None:
    """Raises UsageError."""
    if not _NAME.fullmatch(name):
        raise UsageError(f"{clean(name)}: not the name of a program", hint="the word that you type, without a path")
    if name in RESERVED:
        raise UsageError(f"{name} is left alone: shells, and what starts or becomes others, are no work to supervise")
    if name in TOPIC_OF:
        raise UsageError(f"{name} is a built-in of shells: its shim would never be asked")


def _make(names: list[str], kept: list[str], *, nested: bool) -> None:
    for name in names:
        if shims.real(name) is None:
            raise NotFoundError(f"no program {name} is on PATH", hint="install it first, or name another")
    for name in names:
        shims.write(shims.Shim(name, tuple(kept), nested))


def _off(names: list[str], *, as_json: bool) -> int:
    removed = shims.remove(names) if names else shims.remove_all()
    for name in names:
        if name not in removed:
            near = nearest(name, [shim.name for shim in shims.listed()])
            raise NotFoundError(f"there is no shim {name}", hint=f"did you mean {near}?" if near else None)
    files = rc_block.remove(BLOCK) if not names else []
    if as_json:
        print_json({"removed": removed, "files": files})
    else:
        for name in removed:
            print(name)
        for file in files:
            print(f"aish shim: {clean(file)} does not put the folder on PATH any more", file=sys.stderr)
    return 0


def line_for(shell: str, folder: str) -> str:
    """What puts the folder first on PATH, once. Pure."""
    if shell == "fish":
        return f"fish_add_path --path --move --prepend {shlex.quote(folder)}"
    quoted = shlex.quote(folder)
    return f'case ":$PATH" in :{quoted}:*) ;; *) PATH={quoted}:"$PATH"; export PATH ;; esac'


def _install(shell: str) -> str:
    return rc_block.install(shell, BLOCK, line_for(shell, shims.folder()))


def _tell(*, as_json: bool, installed: str | None) -> None:
    found = shims.listed()
    if as_json:
        rows = [
            {
                "name": shim.name,
                "path": shims.path(shim.name),
                "program": shims.real(shim.name),
                "options": list(shim.options),
                "nested": shim.nested,
                "active": shims.first(shim.name),
            }
            for shim in found
        ]
        print_json(rows)
    elif not found:
        print("there are no shims; `aish shim NAME …` makes some")
    else:
        cells = [
            [shim.name, shims.real(shim.name) or "-", shlex.join(shim.options), _standing(shim.name)]
            for shim in found
        ]
        print_table(("NAME", "PROGRAM", "OPTIONS", "HERE"), cells)
    sys.stdout.flush()  # what is said on stderr comes behind it
    if installed is not None:
        print(f"aish shim: from the next start of that shell on: {clean(installed)}", file=sys.stderr)
    elif found and not all(shims.first(shim.name) for shim in found):
        shell = os.path.basename(os.environ.get("SHELL", ""))
        print("aish shim: the folder is not first on PATH; put this into your shell's start-up file", file=sys.stderr)
        print(f"aish shim: (or have --install do so):\n{line_for(shell, shims.folder())}", file=sys.stderr)


def _standing(name: str) -> str:
    return "supervised" if shims.first(name) else "not first on PATH"
