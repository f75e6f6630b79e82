"""The built-in agent: a model, instructions and tools in a loop. Entry point `builtin` of `aish.agent_adapter`."""

from __future__ import annotations

from aish.plugins.builtin.adapter import Adapter


def adapter() -> Adapter:
    return Adapter()
