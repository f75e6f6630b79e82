"""`aish prompt`: a segment of bash's, zsh's or fish's prompt that says what is supervised. It costs no process."""

from __future__ import annotations

from typing import Final

from aish.cli.arguments import Parser
from aish.cli.completion import print_script

BASH: Final = r"""
__aish_prompt() {
    AISH_PROMPT=
    local file=${AISH_RUNTIME_DIR:-${XDG_RUNTIME_DIR:+$XDG_RUNTIME_DIR/aish}} line word IFS=$' \t\n'
    local pid=0 running=0 queued=0 held=0 failed=0 asks=0
    file=${file:-/tmp/aish-$UID}/prompt
    [[ -f $file && -O $file ]] && read -r line <"$file" || return
    for word in $line; do
        case $word in
            *= | *=*[!0-9]*) ;;
            pid=*) pid=${word#*=} ;;
            running=*) running=${word#*=} ;;
            queued=*) queued=${word#*=} ;;
            held=*) held=${word#*=} ;;
            failed=*) failed=${word#*=} ;;
            asks=*) asks=${word#*=} ;;
        esac
    done
    [[ -d /proc/$pid ]] || return
    case ${LC_ALL:-${LC_CTYPE:-$LANG}} in
        *[Uu][Tt][Ff]*8*) set -- ⏵ … ⏸ ✗ "" "" "" "" ;;
        *) set -- "" "" "" "" " running" " queued" " held" " failed" ;;
    esac
    [[ $running = 0 ]] || AISH_PROMPT+="$1$running$5 "
    [[ $queued = 0 ]] || AISH_PROMPT+="$2$queued$6 "
    [[ $held = 0 ]] || AISH_PROMPT+="$3$held$7 "
    [[ $failed = 0 ]] || AISH_PROMPT+="$4$failed$8 "
    case $asks in
        0) ;;
        1) AISH_PROMPT+="1 needs you " ;;
        *) AISH_PROMPT+="$asks need you " ;;
    esac
}
"""
_BASH_HOOK: Final = r"""
case ${PROMPT_COMMAND[*]} in
    *__aish_prompt*) ;;
    *) PROMPT_COMMAND="__aish_prompt${PROMPT_COMMAND:+;$PROMPT_COMMAND}" ;;
esac
case $PS1 in *AISH_PROMPT*) ;; *) PS1='${AISH_PROMPT}'$PS1 ;; esac
"""
_ZSH_HOOK: Final = r"""
setopt prompt_subst
(( ${precmd_functions[(I)__aish_prompt]} )) || precmd_functions+=(__aish_prompt)
case $PROMPT in *AISH_PROMPT*) ;; *) PROMPT='${AISH_PROMPT}'$PROMPT ;; esac
"""
FISH: Final = r"""
function __aish_prompt
    set -g AISH_PROMPT ''
    set -l folder /tmp/aish-$EUID
    test -n "$XDG_RUNTIME_DIR"; and set folder $XDG_RUNTIME_DIR/aish
    test -n "$AISH_RUNTIME_DIR"; and set folder $AISH_RUNTIME_DIR
    test -f "$folder/prompt"; and test -O "$folder/prompt"; or return
    read -l line <$folder/prompt; or return
    set -l names running queued held failed
    set -l marks ⏵ … ⏸ ✗
    set -l pid (string match -r '(?:^| )pid=([0-9]+)(?= |$)' -- $line)[2]
    test -n "$pid"; and test -d "/proc/$pid"; or return
    for at in 1 2 3 4
        set -l value (string match -r "(?:^| )$names[$at]=([0-9]+)(?= |\$)" -- $line)[2]
        if test -n "$value" -a "$value" != 0
            set AISH_PROMPT "$AISH_PROMPT$marks[$at]$value "
        end
    end
    set -l asks (string match -r '(?:^| )asks=([0-9]+)(?= |$)' -- $line)[2]
    if test "$asks" = 1
        set AISH_PROMPT "$AISH_PROMPT"'1 needs you '
    else if test -n "$asks" -a "$asks" != 0
        set AISH_PROMPT "$AISH_PROMPT$asks need you "
    end
end
if not functions -q __aish_prompt_before
    functions -q fish_prompt; or function fish_prompt; echo -n '> '; end
    functions -c fish_prompt __aish_prompt_before
    function __aish_status; return $argv[1]; end
    function fish_prompt
        set -l last $status
        __aish_prompt
        echo -n $AISH_PROMPT
        __aish_status $last
        __aish_prompt_before
    end
end
"""
SCRIPTS: Final = {
    "bash": BASH + _BASH_HOOK,
    "zsh": BASH.replace("for word in $line", "for word in ${=line}") + _ZSH_HOOK,
    "fish": FISH,
}


def main(argv: list[str]) -> int:
    parser = Parser(
        "prompt",
        "Print what puts a segment before a shell's prompt: ⏵ how many run, … wait, ⏸ are held, ✗ failed of late,\n"
        "and how many of their questions need you: aish next.\n"
        "The shell reads it from a file that the daemon keeps; nothing is shown where no daemon runs.",
        'in ~/.bashrc:  eval "$(aish prompt bash)"        in ~/.zshrc:  eval "$(aish prompt zsh)"\n'
        "in ~/.config/fish/config.fish:  aish prompt fish | source",
    )
    return print_script(parser, argv, SCRIPTS)
