"""fish as a source of completions, where it is installed: one that stays, asked a line at a time."""

from __future__ import annotations

import os
import select
import subprocess
import time

WITHIN_S = 0.8
_END = "\x1e"
_fish: subprocess.Popen[bytes] | None = None


def complete(line: str, path: str, cwd: str) -> list[tuple[str, str]] | None:
    """(word, what it is) for the last word of `line`; None where there is no fish, or no answer in time."""
    global _fish  # noqa: PLW0603 -- one for this process
    if _fish is None or _fish.poll() is not None:
        places = [os.path.join(folder, "fish") for folder in path.split(":") if folder]
        program = next((place for place in places if os.access(place, os.X_OK)), None)
        if program is None:
            return None
        _fish = subprocess.Popen(
            [program, "--private", "--no-config"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            env={**os.environ, "PATH": path},
        )  # fmt: skip
    answer = _ask(_fish, f"cd {_quoted(cwd)}; complete -C {_quoted(line)}; printf '\\x1e\\n'\n")
    if answer is None:
        _fish.kill()
        _fish = None
        return None
    found = [item.partition("\t") for item in answer.split("\n") if item]
    return [(word, about) for word, _, about in found]


def _ask(fish: subprocess.Popen[bytes], text: str) -> str | None:
    assert fish.stdin is not None
    assert fish.stdout is not None
    try:
        fish.stdin.write(text.encode("utf-8", "surrogateescape"))
        fish.stdin.flush()
    except OSError:
        return None
    end, answer = time.monotonic() + WITHIN_S, b""
    poll = select.poll()
    poll.register(fish.stdout, select.POLLIN)
    while _END.encode() not in answer:
        left = end - time.monotonic()
        if left <= 0 or not poll.poll(left * 1000):
            return None
        chunk = os.read(fish.stdout.fileno(), 1 << 16)
        if not chunk:
            return None
        answer += chunk
    return answer.partition(_END.encode())[0].decode("utf-8", "surrogateescape")


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
