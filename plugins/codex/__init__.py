"""Codex as an agent. Entry point `codex` of `aish.agent_adapter`.

A turn is `codex app-server`: JSON-RPC by lines, with a thread, one turn of it, and approvals that it asks for.
"""

from __future__ import annotations

from aish.plugins.codex.adapter import Adapter


def adapter() -> Adapter:
    return Adapter()
