"""What is typed at a verb beside what an agent's file says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from aish.cli import wanted
from aish.cli.arguments import Parser
from aish.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path


def asked(*argv: str) -> tuple[int | None, int]:
    parser = Parser("spawn", "")
    wanted.options(parser)
    options, command = parser.command([*argv])
    spec = wanted.spec_of(options, command)
    return spec.vram_bytes, spec.gpu_count


def test_devices_by_its_file_and_by_options_word_by_word(tmp_path: Path) -> None:
    """`--gpus` has a default, which must not take the place of what the file says."""
    file = tmp_path / "fix.md"
    file.write_text("---\nadapter: program\nprogram: sh\nlimits: {vram: 8G, gpus: 2}\n---\n")
    word = f"@{file}"
    assert asked(word) == (8 << 30, 2)
    assert asked("--vram", "4G", "--", word) == (4 << 30, 2)
    assert asked("--gpus", "3", "--", word) == (8 << 30, 3)
    assert asked("--vram", "4G", "--gpus", "1", "--", word) == (4 << 30, 1)
    file.write_text("---\nadapter: program\nprogram: sh\n---\n")
    with pytest.raises(UsageError, match="--gpus says nothing without --vram"):
        asked("--gpus", "3", "--", word)
    assert asked("--", "true") == (None, 1)
