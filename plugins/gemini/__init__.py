"""Gemini CLI (https://geminicli.com) as an agent, by the Agent Client Protocol. Entry point `gemini` of
`aish.agent_adapter`."""

from __future__ import annotations

from aish.plugins.gemini.adapter import Adapter


def adapter() -> Adapter:
    return Adapter()
