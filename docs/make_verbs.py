"""Write docs/reference/verbs.md: what `aish VERB --help` prints, for every verb and every action of a verb.

python docs/make_verbs.py            rewrite it
python docs/make_verbs.py --check    exit 1 where it is not current
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import sys
from pathlib import Path

from aish import cli

PAGE = Path(__file__).resolve().parent / "reference" / "verbs.md"
HEAD = """# Verbs

Made by `docs/make_verbs.py` from what each verb prints for `--help`. Every verb is `aish VERB` in scripts and other
shells; at aish's own prompt the name alone is enough where no Unix program has it (`type NAME` tells).

PROCESS is an id (`p12`) or a name, with or without `@`. Every verb that prints has `--json`: stdout is then one JSON
document (one object per line for `events` and `logs`), and an error is one JSON line on stderr:
`{"error": {"code", "message", "hint"}}`. Verbs that take several names (`stop`, `kill`, `pause`, `model rm` …) tell
what became of each on stdout, its error included: a list of `{"target", "error", …}`, `error` null where it worked;
what went wrong as a whole is on stderr. Exit statuses are those of [errors](errors.md).
"""


def helped(words: list[str]) -> str:
    os.environ["COLUMNS"] = "100"
    text = io.StringIO()
    with contextlib.redirect_stdout(text):
        cli.main([*words, "--help"])
    return text.getvalue().strip()


def actions(text: str) -> list[str]:
    """The actions that a help lists, one a line: `  pull   get a model…`, `  new NAME     make …`."""
    listed = text.partition("…\n")[2] or text.partition("exit\n")[2]
    return re.findall(r"(?m)^  ([a-z]+)(?: [A-Z]+…?)?  +\S", listed)


def page() -> str:
    parts = [HEAD]
    for verb, summary in cli.VERBS.items():
        text = helped([verb])
        parts.append(f"## {verb}\n\n{summary[0].upper()}{summary[1:]}.\n\n```text\n{text}\n```\n")
        if "ACTION --help" in text:
            parts += [f"### {verb} {each}\n\n```text\n{helped([verb, each])}\n```\n" for each in actions(text)]
    return "\n".join(parts)


def main(argv: list[str]) -> int:
    current = page()
    if "--check" in argv:
        return int(PAGE.read_text().split() != current.split())  # where lines are broken is Python's to say
    PAGE.write_text(current)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
