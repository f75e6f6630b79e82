"""The real agent programs with aish in the place of the bash that they run commands by: found as `bash`, and $SHELL.

Claude Code makes a snapshot of functions, aliases and options with it, and sources that before each command.
"""

from __future__ import annotations

import json
import sysconfig
from typing import TYPE_CHECKING

import pytest

from aish.shell.program import VERSION

from .conftest import DEADLINE_S

if TYPE_CHECKING:
    from .conftest import Client

pytestmark = [
    pytest.mark.clients,
    pytest.mark.parametrize("client", ["claude", "gemini", "opencode"], indirect=True),
    pytest.mark.timeout(180),
]
COMMAND = """cat <<'X' | tr a-z A-Z
it's $HOME
X
f() { local n=${1:?}; echo "f $n"; }; f "$AISH_VERSION"
sleep 0.01 & wait $!; echo "waited $?"
cd sub && pwd | sed 's/.*work/work/'; (exit 3)"""
SAYS = ("IT'S $HOME", f"f {VERSION}", "waited 0", "work/sub")


def test_commands_are_run_by_aish(client: Client) -> None:
    folder = client.home.root / "found"
    work = client.home.root / "work" / "sub"
    for made in (folder, work):
        made.mkdir(parents=True)
    shell = folder / "bash"
    shell.symlink_to(f"{sysconfig.get_path('scripts')}/aish")
    client.home.environ |= {
        "SHELL": str(shell),
        "CLAUDE_CODE_SHELL": str(shell),
        "PATH": f"{folder}:{client.home.environ['PATH']}",
    }
    words = ("spawn", "--json", "--model", client.model, "--", f"@{client.name}", client.tool(COMMAND))
    done = client.home.aish(*words, cwd=work.parent)
    assert done.returncode == 0, done.stderr
    process = client.home.client.process(json.loads(done.stdout)["id"])
    client.until(process, "asked")
    assert client.home.aish("answer", process.id, "allow").returncode == 0
    assert process.wait(timeout_s=DEADLINE_S).code == 0, client.log(process)
    told = json.dumps(client.asked()[-1].fields)
    for words_of_it in SAYS:
        assert words_of_it in told, client.log(process)
