"""`aish reload`: what aish.toml declares runs, and nothing else of the project."""

from __future__ import annotations

from aish.cli import up
from aish.cli.arguments import Parser


def main(argv: list[str]) -> int:
    parser = Parser(
        "reload",
        "Make what runs what aish.toml declares now: only what changed is restarted, what can take effect at once\n"
        "does, what is not declared any more is ended.",
        "example: aish reload --dry-run",
    )
    parser.set_defaults(name=[])
    up.options(parser)
    return up.bring(parser, argv, "reload", stops=True)
