"""The scripts that shells are measured by. Each prints what it found out: who prints something else is no peer."""

from __future__ import annotations

from typing import NamedTuple


class Script(NamedTuple):
    """`runs`: how much of it an ordinary run has, and a quick one."""

    name: str
    words: str
    text: str
    runs: tuple[int, int]

    def sized(self, quick: bool) -> str:
        return self.text.replace("COUNT", str(self.runs[quick]))


FIFTY_LINES = """\
#!/bin/sh
# What an installer's script looks like: functions, case, expansion.
set -eu

name=${1-tool-1.2.3.tar.gz}
prefix=${PREFIX:-/usr/local}
verbose=
count=0

say() {
    printf '%s\\n' "$*"
}

kind() {
    case $1 in
    *.tar.gz | *.tgz) kind=archive ;;
    *.py | *.sh) kind=script ;;
    README* | *.md) kind=text ;;
    *) kind=other ;;
    esac
}

base() {
    base=${1##*/}
    base=${base%.tar.gz}
    version=${base##*-}
    base=${base%-"$version"}
}

add() {
    files=${files:+$files:}$1
    count=$((count + 1))
}

base "$name"
for file in "$name" setup.py README.md run.sh data.bin; do
    kind "$file"
    case $kind in
    archive | script) add "$file" ;;
    text) [ -z "$verbose" ] || add "$file" ;;
    *) : "${skipped:=$file}" ;;
    esac
done

if [ "$count" -gt 2 ]; then
    say "$base ${version%%.*} goes to $prefix/lib/$base (${#files} letters of names)"
else
    say "nothing to do" >&2
fi
say "${skipped-nothing} was skipped, $count taken"
"""

SCRIPTS = (
    Script(
        "arithmetic",
        "arithmetic loop",
        "i=0 s=0\nwhile [ $i -lt COUNT ]; do\n    s=$(((s + i * 7) % 1000003))\n    i=$((i + 1))\ndone\necho $s\n",
        (100_000, 60_000),
    ),
    Script(
        "read",
        "`while read` over lines",
        "n=0\nwhile read -r a b c; do\n    n=$((n + 1))\ndone <lines\necho $n $a $c\n",
        (0, 0),
    ),
    Script(
        "glob",
        "globbing 10,000 files",
        "n=0 i=0\nwhile [ $i -lt COUNT ]; do\n    set -- many/*\n    n=$((n + $#))\n    set -- many/*5*.txt\n"
        "    n=$((n + $#))\n    i=$((i + 1))\ndone\nfor f in many/*7; do\n    n=$((n + 1))\ndone\necho $n\n",
        (10, 5),
    ),
    Script(
        "recursion",
        "recursive function",
        "fib() {\n    if [ $1 -lt 2 ]; then\n        r=$1\n    else\n        fib $(($1 - 1))\n        set -- $1 $r\n"
        "        fib $(($1 - 2))\n        r=$(($2 + r))\n    fi\n}\nfib COUNT\necho $r\n",
        (20, 19),
    ),
    Script(
        "string",
        "building a string",
        's= i=0\nwhile [ $i -lt COUNT ]; do\n    s=$s"part $i,"\n    i=$((i + 1))\ndone\necho ${#s}\n',
        (20_000, 10_000),
    ),
)

LINES = 50_000
FILES = 10_000

SPAWN = "i=0\nwhile [ $i -lt COUNT ]; do\n    /bin/true\n    i=$((i + 1))\ndone\n"
BALLAST = "x=0123456789abcdef\nwhile [ ${#x} -lt 134217728 ]; do\n    x=$x$x\ndone\n"
"""A variable of 128 MiB: what a shell carries that has run for long."""
