"""How long it takes from starting a shell on a terminal until its first prompt is there and takes keys.

    python -m benches.shell_prompt [RUNS]

prints median, slowest and the processor's time of the runs for aish, and for bash, fish and xonsh where they are.
Each run is a new shell on a pty of its own, in an empty home folder whose first run is not counted.
"""

from __future__ import annotations

import os
import pty
import select
import shutil
import signal
import statistics
import sys
import tempfile
import time

GOAL_S = 0.25
_PROMPT = b"@PROMPT@"
_DEADLINE_S = 30.0


def first_prompt_s(argv: list[str], home: str) -> tuple[float, float]:
    """Seconds until `argv`, started on a pty, has written its prompt, and seconds of the processor that it took: a
    busy machine does not change those much. Raises TimeoutError."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": home,
        "TERM": "xterm-256color",
        "LC_ALL": "C.UTF-8",
        "PS1": _PROMPT.decode(),
        "XDG_STATE_HOME": os.path.join(home, "state"),
        "XDG_CONFIG_HOME": os.path.join(home, "config"),
        "XDG_RUNTIME_DIR": home,
    }
    begin = time.perf_counter()
    pid, fd = pty.fork()
    if pid == 0:
        try:
            os.chdir(home)
            os.execvpe(argv[0], argv, environment)
        finally:
            os._exit(127)
    seen = b""
    try:
        while _PROMPT not in seen:
            left = begin + _DEADLINE_S - time.perf_counter()
            if left <= 0 or not select.select([fd], [], [], left)[0]:
                raise TimeoutError(f"{argv[0]}: no prompt within {_DEADLINE_S:.0f} s: {seen[-200:]!r}")
            seen += os.read(fd, 1 << 16)
        took_s = time.perf_counter() - begin
    finally:
        os.kill(pid, signal.SIGKILL)
        os.close(fd)
        usage = os.wait4(pid, 0)[2]
    return took_s, usage.ru_utime + usage.ru_stime


def shells() -> dict[str, list[str]]:
    """The shells that are here, each as it starts without its user's files."""
    aish = os.path.join(os.path.dirname(sys.executable), "aish")
    found = {
        "aish": [aish if os.path.exists(aish) else "aish"],
        "bash": ["bash", "--norc", "--noprofile"],
        "fish": ["fish", "--no-config", "-C", f"function fish_prompt; echo -n '{_PROMPT.decode()}'; end"],
        "xonsh": ["xonsh", "--no-rc", "-DPROMPT=" + _PROMPT.decode()],
    }
    return {name: argv for name, argv in found.items() if shutil.which(argv[0])}


def measure(runs: int = 10) -> dict[str, tuple[float, float, float]]:
    """(median, slowest, median of the processor's time) in seconds of each shell; a run before is not counted."""
    found = {}
    for name, argv in shells().items():
        with tempfile.TemporaryDirectory() as home:
            first_prompt_s(argv, home)
            times = [first_prompt_s(argv, home) for _ in range(runs)]
        walls, processor = zip(*times, strict=True)
        found[name] = (statistics.median(walls), max(walls), statistics.median(processor))
    return found


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    for name, (median_s, slowest_s, processor_s) in measure(runs).items():
        goal = f"   goal {GOAL_S * 1000:.0f} ms" if name == "aish" else ""
        figures = f"{median_s * 1000:7.1f} ms, slowest {slowest_s * 1000:7.1f} ms of {runs}, processor"
        print(f"first prompt  {name:6} {figures} {processor_s * 1000:7.1f} ms{goal}")


if __name__ == "__main__":
    main()
