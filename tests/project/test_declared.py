"""What `aish project check` says of a whole project that the daemon would only find out later."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from aish.project import declared

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("said", ['key_file = "key"', 'key = { file = "key" }'])
def test_a_key_file_that_cannot_be_used_is_told_with_its_line(tmp_path: Path, said: str) -> None:
    file = tmp_path / "aish.toml"
    file.write_text(f'name = "p"\n\n[models.far]\nurl = "https://host/v1"\n{said}\n')
    _, problems = declared.examine(str(file))
    assert ["No such file" in problem.message for problem in problems] == [True]
    assert problems[0].line == 5
    key = tmp_path / "key"
    key.write_text("sk\n")
    key.chmod(0o644)
    _, problems = declared.examine(str(file))
    assert "can be read by others" in problems[0].message
    key.chmod(0o600)
    assert declared.examine(str(file))[1] == []


def test_a_key_that_says_too_much_finds_the_right_one(tmp_path: Path) -> None:
    file = tmp_path / "aish.toml"
    file.write_text('name = "p"\n\n[models.far]\nurl = "https://host/v1"\nupstream_name = "x"\n')
    _, problems = declared.examine(str(file))
    assert "upstream" in (problems[0].hint or "")
