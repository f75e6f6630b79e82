"""GGUF models on llama.cpp's own server, out of the package xllamacpp. Entry point `llamacpp` of `aish.model_server`.

`server` plans, `settings` decides (pure), `__main__` is the child that runs the server. docs/adr/0004 has the reasons
and the traps.
"""

from __future__ import annotations

from aish.plugins.llamacpp.server import Server


def server() -> Server:
    return Server()
