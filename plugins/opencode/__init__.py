"""opencode (https://opencode.ai) as an agent, by the Agent Client Protocol. Entry point `opencode` of
`aish.agent_adapter`."""

from __future__ import annotations

from aish.plugins.opencode.adapter import Adapter


def adapter() -> Adapter:
    return Adapter()
