"""Lines that look as if they held a secret: history does not keep them. Pure.

A guess, on the careful side: a line too few in the history costs typing it again, a key too many stays on disk.
The work grows with the length of a line, not with its square.
"""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_ASSIGNED = re.compile(
    r"""(?:^|[\s;&|(])\w*(?:key|token|secret|password|passwd|passphrase|credential|_pat|_pwd)s?=
    (?P<value>"[^"]*"|'[^']*'|[^\s;&|]+)""",
    re.IGNORECASE | re.VERBOSE,
)
"""NAME=value, by the name."""

_OPTIONS = re.compile(
    r"(?:^|\s)--?(?:password|passwd|passphrase|token|secret|api[-_]?key|access[-_]?key|auth[-_]?token)"
    r"(?:=|\s+)(?P<value>\"[^\"]*\"|'[^']*'|[^\s;&|]+)",
    re.IGNORECASE,
)

_PROGRAM = re.compile(r"(?:^|[\s;&|(/])(?P<name>curl|sshpass|mysql|mysqldump|mysqladmin|mariadb)(?=\s)")
_PART_ENDS = re.compile(r"[;&|]")
_PASSWORD = re.compile(r"(?<=\s)-p")
_GIVEN_BY = {
    "curl": re.compile(r"""(?<=\s)(?:-[^\Wu]*u\s*|--(?:proxy-)?user[\s=]\s*)["']?[^\s"':;&|]+:"""),
    "sshpass": re.compile(r"(?<=\s)-p\s*"),
    "mysql": _PASSWORD,
    "mysqldump": _PASSWORD,
    "mysqladmin": _PASSWORD,
    "mariadb": _PASSWORD,
}
"""The short options of programs that are given a password by nothing else. What follows is the value."""
_VALUE = re.compile(r"""(?:"[^"]*"|'[^']*'|[^\s;&|]+)""")

_FORMATS = re.compile(
    r"""
    \bsk-[\w-]{16,}                     # OpenAI, Anthropic, OpenRouter
    | \b(?:gh[pousr]_|github_pat_)\w{20,}
    | \bglpat-[\w-]{16,}
    | \bxox[abeoprs]-[\w-]{10,}         # Slack
    | \b(?:AKIA|ASIA)[0-9A-Z]{16}\b     # AWS
    | \bAIza[\w-]{30,}                  # Google
    | \bya29\.[\w-]{20,}
    | \bhf_\w{20,}
    | \bnpm_\w{30,}
    | \bpypi-[\w-]{30,}
    | \bgsk_\w{20,} | \bxai-\w{20,} | \bpplx-\w{20,} | \br8_\w{20,}
    | \b[rs]k_(?:live|test)_\w{16,}     # Stripe
    | \bSG\.[\w-]{16,}\.[\w-]{16,}      # SendGrid
    | \bdop_v1_\w{32,} | \bdckr_pat_[\w-]{20,}
    | (?<![\w-])(?=[\w-]*\beyJ[\w-]{8})[\w-]+\.eyJ[\w-]{8,}\.  # a JSON web token; no word is begun in twice
    | -----BEGIN[ A-Z]*PRIVATE\ KEY
    | \bAGE-SECRET-KEY-1\w{20,}
    | ://[^\s/:@]*:[^\s/@$]+@           # a password in an address
    | \bAuthorization:\s*(?:Bearer|Basic|token)\s+(?!\$)\S{8,}
    | \bx-api-key:\s*(?!\$)\S{8,}
    """,
    re.IGNORECASE | re.VERBOSE,
)


_WORDS = frozenset(["true", "false", "yes", "no", "none", "null"])


def looks_secret(line: str) -> bool:
    """Whether a line seems to hold a key or a password."""
    if _FORMATS.search(line):
        return True
    if any(_literal(found["value"]) for pattern in (_ASSIGNED, _OPTIONS) for found in pattern.finditer(line)):
        return True
    return any(_literal(value) for value in _given_to_programs(line))


def _given_to_programs(line: str) -> Iterator[str]:
    """What stands behind such options. A part of the line is gone through once for each, however many programs stand
    in it: every line that is typed comes here, of any length."""
    end = -1
    searched: set[re.Pattern[str]] = set()
    for program in _PROGRAM.finditer(line):
        begin = program.end()
        if begin > end:
            ends = _PART_ENDS.search(line, begin)
            end = ends.start() if ends else len(line)
            searched.clear()
        option = _GIVEN_BY[program["name"]]
        if option not in searched:
            searched.add(option)
            for found in option.finditer(line, begin, end):
                if value := _VALUE.match(line, found.end()):
                    yield value[0]


def _literal(value: str) -> bool:
    """Whether it is itself the secret: not $OTHER, $(pass show it), a file, a number or a word like true."""
    bare = value.strip("\"'")
    if not bare or bare[0] in "$`<@/~.":
        return False
    return not (bare.isdigit() and len(bare) < 6) and bare.lower() not in _WORDS
