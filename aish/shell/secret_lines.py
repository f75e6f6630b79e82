"""Lines that look as if they held a secret: history does not keep them. Pure.

A guess, on the careful side: a line too few in the history costs typing it again, a key too many stays on disk.
"""

from __future__ import annotations

import re

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

_PROGRAMS = re.compile(
    r"""(?:^|[\s;&|(/])(?:
        curl\s(?:[^;&|]*?\s)?(?:-\w*u\s*|--(?:proxy-)?user[\s=]\s*)["']?[^\s"':;&|]+:
        | sshpass\s(?:[^;&|]*?\s)?-p\s*
        | (?:mysql|mysqldump|mysqladmin|mariadb)\s(?:[^;&|]*?\s)?-p
    )(?P<value>"[^"]*"|'[^']*'|[^\s;&|]+)""",
    re.VERBOSE,
)
"""The short options of programs that are given a password by nothing else."""

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
    | \beyJ[\w-]{8,}\.eyJ[\w-]{8,}\.    # a JSON web token
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
    return any(
        _literal(found["value"]) for pattern in (_ASSIGNED, _OPTIONS, _PROGRAMS) for found in pattern.finditer(line)
    )


def _literal(value: str) -> bool:
    """Whether it is itself the secret: not $OTHER, $(pass show it), a file, a number or a word like true."""
    bare = value.strip("\"'")
    if not bare or bare[0] in "$`<@/~.":
        return False
    return not (bare.isdigit() and len(bare) < 6) and bare.lower() not in _WORDS
