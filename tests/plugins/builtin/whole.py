"""The built-in agent in a private home, with the gateway, the daemon and a scripted model: words for its tests."""

from __future__ import annotations

import json
import subprocess
import textwrap
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from conftest import Home


def call(tool: str, **arguments: Any) -> str:
    return f"call {tool} {json.dumps(arguments)}"


def agent(home: Home, head: str, body: str = "Do what is asked.", name: str = "fix") -> None:
    folder = home.root / ".aish" / "agents"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.md").write_text(f"---\n{textwrap.dedent(head)}---\n{body}")


def run(home: Home, *words: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return home.aish("run", *words, **{"cwd": home.root, "input": ""} | options)


def spawned(home: Home, *words: str) -> Any:
    done = home.aish("spawn", "--json", "--", *words, cwd=home.root)
    assert done.returncode == 0, done.stderr
    return home.client.process(json.loads(done.stdout)["id"])


def until_event(home: Home, id_: str, kind: str) -> None:
    for event in home.client.events(follow=True, names=[id_]):
        if event.kind == kind:
            return
        assert event.kind not in ("exited", "failed", "lost"), f"it ended before it was {kind}"


def entries(home: Home, name: str = "fix") -> list[dict[str, Any]]:
    row = [row for row in home.client.processes(all=True) if row.name == name][-1]
    (path,) = (home.state / "agents").glob(f"*-{row.id}/transcript.jsonl")
    return [json.loads(line) for line in path.read_text().splitlines()]
