"""Aider as an agent: text out. Entry point `aider` of `aish.agent_adapter`.

It has no language in which it could be asked or would tell what it does: what its lines mean is guessed from their
place, and questions of its own are answered beforehand.
"""

from __future__ import annotations

from aish.plugins.aider.adapter import Adapter


def adapter() -> Adapter:
    return Adapter()
