"""Claude Code as an agent. Entry point `claude` of `aish.agent_adapter`.

A turn is `claude -p` with lines of JSON both ways, as Anthropic's own SDKs have it: what it does is read from its
stdout, permissions are asked for there and answered on its stdin.
"""

from __future__ import annotations

from aish.plugins.claude.adapter import Adapter


def adapter() -> Adapter:
    return Adapter()
