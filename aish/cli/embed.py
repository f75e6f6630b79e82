"""`aish embed`, and `embed` in the shell: the pipe library's command, with the way to the gateway found for it."""

from __future__ import annotations

import os

from aish.agents.agent import DEFAULT_MODEL
from aish.tensor import embed


def main(argv: list[str]) -> int:
    if "OPENAI_BASE_URL" not in os.environ and not {"-h", "--help"} & set(argv):
        from aish.agents.stub import ensure_model
        from aish.cli.env import variables

        ensure_model(os.environ.get("AISH_EMBED_MODEL", DEFAULT_MODEL))
        os.environ.update(variables())
    return embed.embed_main(argv)
