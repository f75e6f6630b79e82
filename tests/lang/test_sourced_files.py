"""Files that people source: what they define and leave behind is what bash has afterwards."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.lang.conftest import Aish

BASH = shutil.which("bash")
COMPLETIONS = Path("/usr/share/bash-completion/completions")
ACTIVATE = Path(sys.prefix) / "bin" / "activate"

CONDA = r"""
export CONDA_EXE='/opt/conda/bin/conda'
__conda_exe() (
    "$CONDA_EXE" ${_CE_M:-} "$@"
)
__conda_reactivate() {
    \local ask_conda
    ask_conda="$(PS1="${PS1:-}" printf 'export CONDA_PREFIX=%s\n' "$1")" || \return
    \eval "$ask_conda"
    \builtin hash -r
}
conda() {
    \local cmd="${1-__missing__}"
    case "$cmd" in
        activate|deactivate) shift; __conda_reactivate "$@" ;;
        *) echo "other: $cmd" ;;
    esac
}
if [ -z "${CONDA_SHLVL+x}" ]; then
    \export CONDA_SHLVL=0
    if [ -n "${ZSH_VERSION:+x}" ]; then echo zsh; fi
    PATH="$(\dirname "$(\dirname "${CONDA_EXE}")")/condabin${PATH:+":${PATH}"}"
    \export PATH
    if [ -z "${PS1+x}" ]; then PS1=; fi
fi
"""

NVM = r"""
{
nvm_is_zsh() { [ -n "${ZSH_VERSION-}" ]; }
nvm_echo() { command printf %s\\n "$*" 2>/dev/null; }
nvm_has() { type "${1-}" >/dev/null 2>&1; }
nvm_cd() { \cd "$@"; }
nvm_tree_contains_path() {
  local tree node
  tree="${1-}"; node="${2-}"
  local previous_pathdir
  previous_pathdir="${node}"
  local pathdir
  pathdir=$(dirname "${previous_pathdir}")
  while [ "${pathdir}" != '' ] && [ "${pathdir}" != '.' ] && [ "${pathdir}" != '/' ] &&
      [ "${pathdir}" != "${tree}" ] && [ "${pathdir}" != "${previous_pathdir}" ]; do
    previous_pathdir="${pathdir}"
    pathdir=$(dirname "${previous_pathdir}")
  done
  [ "${pathdir}" = "${tree}" ]
}
nvm() {
  if [ $# -lt 1 ]; then nvm help; return; fi
  local DEFAULT_IFS
  DEFAULT_IFS=" $(nvm_echo t | command tr t \\t)
"
  if [ "${-#*e}" != "$-" ]; then set +e; local EXIT_CODE; IFS="${DEFAULT_IFS}" nvm "$@"; EXIT_CODE="$?"; set -e
    return "$EXIT_CODE"
  elif [ "${-#*a}" != "$-" ]; then set +a; nvm "$@"; set -a; return; fi
  local COMMAND
  COMMAND="${1-}"; shift
  case $COMMAND in
    'help' | '--help') nvm_echo 'Node Version Manager' ;;
    'which') nvm_tree_contains_path /a /a/b/c && nvm_echo inside || nvm_echo outside ;;
    *) >&2 nvm help; return 127 ;;
  esac
}
nvm_supports_source_options() {
  # shellcheck disable=SC1091,SC2240
  [ "_$( . /dev/stdin yes 2> /dev/null <<'EOF2'
[ $# -gt 0 ] && nvm_echo $1
EOF2
  )" = "_yes" ]
}
if nvm_supports_source_options; then nvm_echo options; fi
}
"""


def _bash(script: str, aish: Aish) -> str:
    assert BASH is not None
    return subprocess.run(
        [BASH, "-c", script], capture_output=True, text=True, cwd=aish.folder, env=aish.environment, timeout=120
    ).stdout


@pytest.mark.skipif(not ACTIVATE.is_file(), reason="needs a virtual environment")
def test_a_virtual_environment_is_entered_and_left(aish: Aish) -> None:
    found = aish(
        f"x=$PATH; . {ACTIVATE}; echo $VIRTUAL_ENV; command -v python; deactivate; "
        '[ "$x" = "$PATH" ] && echo back; echo "[$VIRTUAL_ENV]"; type deactivate >/dev/null 2>&1 || echo gone'
    )
    assert found.out.splitlines()[:4] == [sys.prefix, f"{sys.prefix}/bin/python", "back", "[]"]
    assert found.err == ""


@pytest.mark.skipif(BASH is None, reason="needs bash, which is the oracle")
@pytest.mark.parametrize(
    ("text", "script"),
    [
        (CONDA, "conda activate /env; echo $CONDA_PREFIX $CONDA_SHLVL; conda list; echo ${PATH%%:*}"),
        (
            NVM,
            "nvm; nvm which; set -e; nvm which; echo $-; set +e; nvm x 2>/dev/null; echo $?; nvm_is_zsh || echo no",
        ),
    ],
    ids=["conda", "nvm"],
)
def test_shell_managers(text: str, script: str, aish: Aish) -> None:
    (aish.folder / "manager.sh").write_text(text)
    script = f". ./manager.sh; echo $?; {script}"
    found = aish(script)
    assert (found.out.replace("hB", "B").replace("eh", "e"), found.err) == (
        _bash(script, aish).replace("hB", "B").replace("eh", "e"),
        "",
    )


@pytest.mark.skipif(BASH is None or not COMPLETIONS.is_dir(), reason="needs bash and its completion files")
def test_completion_files_of_this_machine(aish: Aish) -> None:
    """All of them in one shell: what they define and complete is the same. They are written for extglob, without
    which bash ends at the first fault of grammar within a `$( )`."""
    script = (
        f"shopt -s extglob; for f in {COMPLETIONS}/*; do case $f in */debconf*) continue ;; esac; "
        ". $f >/dev/null 2>&1; done; "
        "complete -p | LC_ALL=C sort; declare -F | LC_ALL=C sort"
    )
    found = aish(script, timeout=120)
    assert found.out == _bash(script, aish)
    assert "a fault in aish" not in found.err


def test_a_sourced_file_reads_its_own_stdin(aish: Aish) -> None:
    (aish.folder / "s").write_text("read x; echo got $x\n")
    assert aish(". ./s", input=b"line\n").out == "got line\n"
