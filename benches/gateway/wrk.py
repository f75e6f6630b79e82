"""Whole answers as fast as they come: wrk with a script that posts a chat and tells its figures as JSON."""

from __future__ import annotations

import json
import os
import subprocess
from typing import NamedTuple

from benches import fetch
from benches.gateway import cores
from benches.gateway.driver import DEADLINE_S, Address

_SCRIPT = """
wrk.method = "POST"
wrk.body = {body}
{headers}
done = function(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    '\\n{{"requests": %d, "duration_us": %d, "p50_us": %d, "p99_us": %d, "failed": %d}}\\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
"""


class Load(NamedTuple):
    """What one run of wrk found."""

    requests: int
    duration_us: int
    p50_us: int
    p99_us: int
    failed: int

    @property
    def per_s(self) -> float:
        return self.requests * 1e6 / self.duration_us


def fetched() -> str:
    """The path of wrk. Raises NotToBeHadError."""
    return fetch.debian("wrk", "wrk")


def load(address: Address, connections: int, seconds: int, *, folder: str, core: int | None) -> Load:
    """Keep `connections` busy for so long. Raises RuntimeError if a request failed."""
    path = f"{folder}/chat.lua"
    with open(path, "w", encoding="utf-8") as file:
        file.write(script(address.headers, address.body()))
    argv = [fetched(), "-t1", f"-c{connections}", f"-d{seconds}s", f"--timeout={DEADLINE_S:.0f}s", "-s", path]
    with cores.on(core):
        done = subprocess.run(
            [*argv, f"{address.url}/chat/completions"],
            env={"PATH": os.environ["PATH"]},
            capture_output=True,
            text=True,
            timeout=seconds + DEADLINE_S,
            check=False,
        )
    if done.returncode != 0:
        raise RuntimeError(f"wrk: {(done.stderr or done.stdout).strip()[-200:]}")
    found = told(done.stdout)
    if found.failed:
        raise RuntimeError(f"{found.failed} of {found.requests} requests failed")
    return found


def script(headers: dict[str, str], body: bytes) -> str:
    """In Lua. Pure."""
    lines = [f"wrk.headers[{_quoted(name)}] = {_quoted(value)}" for name, value in headers.items()]
    return _SCRIPT.format(body=_quoted(body.decode()), headers="\n".join(lines))


def told(output: str) -> Load:
    """The line of JSON that the script writes at the end. Raises RuntimeError where there is none. Pure."""
    for line in reversed(output.splitlines()):
        if line.startswith("{"):
            found = json.loads(line)
            return Load(**{name: int(found[name]) for name in Load._fields})
    raise RuntimeError(f"wrk told no figures: {output.strip()[-200:]}")


def _quoted(text: str) -> str:
    """A string of Lua."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
