"""fish as a source of completions, where it is installed: one that stays, asked a line at a time."""

from __future__ import annotations

import os
import select
import subprocess
import time

WITHIN_S = 0.8
FIRST_WITHIN_S = 3.0
"""A fish that has just begun may take so long; it is kept, though nobody waits for this answer any more."""
_END = b"\x1e\n"
_LOOP = r"while read -lz where; and read -lz what; cd $where 2>/dev/null; complete -C $what; printf '\x1e\n'; end"

_fish: subprocess.Popen[bytes] | None = None


def complete(line: str, path: str, cwd: str) -> list[tuple[str, str]] | None:
    """(word, what it is) for the last word of `line`; None where there is no fish, or no answer in time."""
    global _fish  # noqa: PLW0603 -- one for this process
    first = _fish is None or _fish.poll() is not None
    if _fish is None or first:
        places = [os.path.join(folder, "fish") for folder in path.split(":") if folder]
        program = next((place for place in places if os.access(place, os.X_OK)), None)
        if program is None:
            return None
        _fish = subprocess.Popen(
            [program, "--private", "-c", _LOOP],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PATH": path},
        )
    question = b"".join([text.encode("utf-8", "surrogateescape") + b"\0" for text in (cwd, line)])
    answer = _ask(_fish, question, FIRST_WITHIN_S if first else WITHIN_S)
    if answer is None:
        _fish.kill()
        _fish.wait()
        _fish = None
        return None
    found = [item.partition("\t") for item in answer.split("\n") if item]
    return [(word, about) for word, _, about in found]


def _ask(fish: subprocess.Popen[bytes], question: bytes, within_s: float) -> str | None:
    assert fish.stdin is not None
    assert fish.stdout is not None
    try:
        fish.stdin.write(question)
        fish.stdin.flush()
    except OSError:
        return None
    end, answer = time.monotonic() + within_s, b""
    poll = select.poll()
    poll.register(fish.stdout, select.POLLIN)
    while not answer.endswith(_END):
        left = end - time.monotonic()
        if left <= 0 or not poll.poll(left * 1000):
            return None
        chunk = os.read(fish.stdout.fileno(), 1 << 16)
        if not chunk:
            return None
        answer += chunk
    return answer.removesuffix(_END).decode("utf-8", "surrogateescape")
