"""Processes in sandboxes, and programs in them that talk to the supervisor."""

from __future__ import annotations

import json
import os
import secrets
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aish.client import launch
from aish.wire.message import Spawn
from aish.wire.reply import Started
from aish.wire.sandbox import SandboxPart
from aish.wire.spec import SpecPart

if TYPE_CHECKING:
    from conftest import Supervised

CLOSED = SandboxPart()
PROGRAM = """
import json, os, secrets, sys
from aish.client import connect, launch
from aish.errors import AishError
from aish.wire.message import *
from aish.wire.reply import *
from aish.wire.sandbox import SandboxPart
from aish.wire.spec import *
def tried(request):
    try:
        return type(client.request(request)).__name__
    except AishError as error:
        return error.code
def spawn(*argv, environ=None, cwd=None, **fields):
    cwd = os.fsencode(cwd or os.getcwd())
    spec = SpecPart(argv=[os.fsencode(word) for word in argv], cwd=cwd, **fields)
    return Spawn(token=secrets.token_hex(16), spec=spec, launch=launch.capture(environ))
def ran(*argv, **fields):
    started = client.ask(Started, spawn(*argv, **fields))
    client.ask(Waited, Wait(target=started.id, timeout_s=60))
    return started.id
"""


CONNECT = "client = connect(start=False)\n"


class Sandboxed:
    def __init__(self, up: Supervised) -> None:
        self.up = up
        self.root = Path(up.home.root).resolve()
        self.project = self.root / "project"
        self.project.mkdir(exist_ok=True)
        (self.root / "other.txt").write_text("secret")
        for path in self.project.iterdir():
            path.unlink() if path.is_file() else None

    def spawn(
        self, *argv: str, sandbox: SandboxPart | None = CLOSED, environ: dict[str, str] | None = None, **fields: Any
    ) -> Started:
        words = [os.fsencode(word) for word in argv]
        spec = SpecPart(argv=words, cwd=os.fsencode(self.project), sandbox=sandbox, **fields)
        request = Spawn(token=secrets.token_hex(16), spec=spec, launch=launch.capture(environ))
        return self.up.client.ask(Started, request)

    def sh(self, script: str, **fields: Any) -> str:
        started = self.spawn("sh", "-c", script, **fields)
        self.up.wait(started.id)
        return self.up.log(started.id)[0]

    def python(self, code: str, **fields: Any) -> Any:
        """What a program prints as JSON on its last line."""
        started = self.spawn(sys.executable, "-c", PROGRAM + code, **fields)
        assert self.up.code(started.id) == 0, self.up.log(started.id)[1]
        return json.loads(self.up.log(started.id)[0].splitlines()[-1])
