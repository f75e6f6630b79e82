"""`aish embed`, and `embed` in the shell: the pipe library's command, with the way to the gateway found for it."""

from __future__ import annotations

import os

from aish.tensor import embed


def main(argv: list[str]) -> int:
    return embed.embed_main(argv, None if "OPENAI_BASE_URL" in os.environ else _find_gateway)


def _find_gateway(model: str) -> None:
    """The words are right: have the model that they ask for."""
    from aish.agents.stub import ensure_model
    from aish.cli.env import variables

    ensure_model(model)
    os.environ.update(variables())
