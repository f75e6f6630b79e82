"""A program of your own as an agent: its prompt on stdin, its answer on stdout. Entry point `program` of
`aish.agent_adapter`.

It finds the gateway by the variables that the clients of all vendors read, and its model by AISH_MODEL.
"""

from __future__ import annotations

from aish.plugins.program.adapter import Adapter


def adapter() -> Adapter:
    return Adapter()
