"""`aish completion`: what bash, zsh and fish need to complete `aish …`, and the words that they ask for."""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING, Final, NoReturn

from aish.cli import VERBS
from aish.errors import UsageError
from aish.model.nearest import nearest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aish.cli.arguments import Parser

    Offers = list[tuple[str, str]]

SHELLS: Final = ("bash", "zsh", "fish")
ASKED: Final = "--for"
"""For the scripts alone: `--for SHELL -- WORD …`, the last word being the one that is typed."""
PATIENCE_S: Final = 2.0
"""A daemon that hangs must not hang who pressed Tab."""
FILES: Final = 1
COMMANDS: Final = 2
"""Statuses: the shell completes file names, or commands, as it does without us."""

BASH: Final = r"""
_aish_complete() {
    local line=${COMP_LINE:0:COMP_POINT} current= found word stem status
    local -a typed
    IFS=$' \t\n' read -ra typed <<<"$line"
    case $line in *[[:space:]]) typed+=("") ;; esac
    current=${typed[${#typed[@]} - 1]}
    found=$(command aish completion --for bash -- "${typed[@]:1}" 2>/dev/null)
    status=$?
    stem=${current%"$2"}  # what readline leaves alone: it takes : and = for the end of a word
    COMPREPLY=()
    if ((status == 2)); then
        while IFS= read -r word; do COMPREPLY+=("$word"); done < <(compgen -c -- "$current")
        return
    elif ((status != 0)); then
        compopt -o default -o bashdefault
        return
    fi
    while IFS= read -r word; do
        [[ -n $word ]] || continue
        case $word in *=) compopt -o nospace ;; esac
        COMPREPLY+=("${word#"$stem"}")
    done <<<"$found"
}
complete -F _aish_complete aish
"""
ZSH: Final = r"""
#compdef aish
_aish() {
    local found
    found="$(command aish completion --for zsh -- "${(@)words[2,CURRENT]}" 2>/dev/null)"
    case $? in
        0) [[ -n $found ]] || return 1
           local -a all open closed
           all=("${(@f)found}") open=("${(@M)all:#*=}") closed=("${(@)all:#*=}")
           (( $#closed )) && _describe aish closed
           (( $#open )) && _describe aish open -S '' ;;
        2) shift words; (( CURRENT-- )); _command_names -e ;;
        *) _files ;;
    esac
}
(( $+functions[compdef] )) || { autoload -Uz compinit && compinit }
compdef _aish aish
"""
FISH: Final = r"""
function __aish_complete
    set -l words (commandline -opc) (commandline -ct)
    set -l found (command aish completion --for fish -- $words[2..-1] 2>/dev/null)
    switch $status
        case 0
            printf '%s\n' $found
        case 2
            complete -C (commandline -ct)
        case '*'
            __fish_complete_path (commandline -ct)
    end
end
complete -c aish -f -a '(__aish_complete)'
"""
SCRIPTS: Final = {"bash": BASH, "zsh": ZSH, "fish": FISH}


def main(argv: list[str]) -> int:
    if argv[:1] == [ASKED] and len(argv) > 3:
        answer(argv[1], argv[3:])
    from aish.cli.arguments import Parser  # not where words are asked for

    parser = Parser(
        "completion",
        "Print the script that has a shell complete `aish …`: verbs, options, processes, models, agents, signals.",
        'in ~/.bashrc:  eval "$(aish completion bash)"        in ~/.zshrc:  eval "$(aish completion zsh)"\n'
        "in ~/.config/fish/config.fish:  aish completion fish | source",
    )
    return print_script(parser, argv, SCRIPTS)


def print_script(parser: Parser, argv: list[str], scripts: Mapping[str, str]) -> int:
    """The script for the shell that is named. Raises UsageError."""
    from aish.cli.arguments import json_option
    from aish.cli.output import print_json

    parser.add_argument("shell", metavar="SHELL", help="bash, zsh or fish")
    json_option(parser)
    options = parser.parse_args(argv)
    text = scripts[checked(options.shell)].strip()
    if options.json:
        print_json({"shell": options.shell, "script": text})
    else:
        print(text)
    return 0


def checked(shell: str) -> str:
    """Raises UsageError."""
    if shell not in SHELLS:
        near = nearest(shell, SHELLS)
        hint = f"did you mean {near}?" if near else "one of " + ", ".join(SHELLS)
        raise UsageError(f"{shell}: no such shell", hint=hint)
    return shell


def answer(shell: str, words: list[str]) -> NoReturn:
    """Print what may stand in place of the last word, and leave: 0, FILES or COMMANDS."""
    signal.signal(signal.SIGALRM, lambda *_: os._exit(FILES))
    signal.setitimer(signal.ITIMER_REAL, PATIENCE_S)
    found = offers(words[:-1], words[-1])
    if isinstance(found, int):
        os._exit(found)
    text = "".join(f"{line}\n" for line in shown(shell, found))
    sys.stdout.write(text)
    sys.stdout.flush()
    os._exit(0)


def offers(words: list[str], written: str) -> Offers | int:
    """Behind `aish words…`; FILES or COMMANDS where the shell knows better."""
    if not words:
        found = [(verb, about) for verb, about in VERBS.items() if verb.startswith(written)]
        return found if found or not written else FILES  # else a script
    if words[0] not in VERBS:
        return FILES
    from aish.cli import completing

    if completing.at_command(words):
        return _names(written) if written.startswith("@") else COMMANDS
    after = completing.after(words, written)
    return FILES if after is None else after


def _names(written: str) -> Offers:
    from aish.cli.names import known

    return [(f"@{name}", "") for name in known() if name.startswith(written[1:])]


def shown(shell: str, found: Offers) -> list[str]:
    """A line for each, as that shell wants it. Pure."""
    clean = [(word, " ".join(about.split())) for word, about in found if word.isprintable()]
    match shell:
        case "zsh":
            return [f"{word.replace(':', chr(92) + ':')}" + (f":{about}" if about else "") for word, about in clean]
        case "fish":
            return [f"{word}\t{about}" if about else word for word, about in clean]
        case _:
            return [word for word, _ in clean]
