"""Trees of sourced files are kept: given back as they were, and never for anything else than they were made of."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from aish.lang import kept_trees
from aish.lang.kept_trees import parser_of
from aish.lang.parser import Parser
from aish.lang.source import ParseError, Source

if TYPE_CHECKING:
    from collections.abc import Callable

    from aish.lang.tree import Sequence

    Read = Callable[..., tuple[int, list[Sequence]]]

SNIPPETS = (Path(__file__).parent / "snippets.txt").read_text()
SCRIPT = "".join(
    f'f{i}() {{ case $1 in a*|b) echo "x $(echo {i} | cat)" ;; *) ls -l >&2; esac; }}\n' for i in range(99)
)


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(kept_trees, "_SETTLED_S", -60.0)
    path = tmp_path / "s.sh"
    path.write_text(SCRIPT)
    return path


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> Read:
    """How many commands of a file were parsed, and all of them."""
    parsed = 0
    original = Parser.next

    def counted(self: Parser) -> Sequence | None:
        nonlocal parsed
        found = original(self)
        parsed += found is not None
        return found

    monkeypatch.setattr(Parser, "next", counted)

    def run(path: Path, **state: object) -> tuple[int, list[Sequence]]:
        nonlocal parsed
        parsed, found = 0, []
        parser = parser_of(Source(str(path), path.read_text()), path.stat(), str(path.parent / "cache" / "trees"))
        assert parser is not None
        for name, value in state.items():
            setattr(parser, name, value)
        while (command := parser.next()) is not None:
            found.append(command)
        parser.close()
        return parsed, found

    return run


def kept(script: Path) -> Path:
    (found,) = (script.parent / "cache" / "trees").iterdir()
    return found


def test_the_second_time_nothing_is_parsed(script: Path, read: Read) -> None:
    assert read(script)[0] == 99
    assert read(script)[0] == 0
    assert kept(script).stat().st_mode & 0o777 == 0o600
    assert kept(script).parent.stat().st_mode & 0o777 == 0o700


def test_any_tree_is_given_back_as_it_was() -> None:
    for text in SNIPPETS.split("\n\n"):
        parser = Parser(Source("s", text))
        try:
            tree = parser.next()
        except ParseError:
            continue
        data = kept_trees._encoded(tree)
        assert kept_trees._encoded(kept_trees._decoded(data)) == data


def test_what_was_read_with_other_options_or_aliases_is_read_again(script: Path, read: Read) -> None:
    read(script)
    assert read(script, extended=True)[0] == 99
    assert read(script, extended=True)[0] == 0
    assert read(script, extended=True, aliases={"echo": "printf"})[0] == 99


def test_a_file_that_has_changed_is_read_again(script: Path, read: Read) -> None:
    read(script)
    before = script.stat()
    script.write_text(SCRIPT.replace("f98", "g98"))
    os.utime(script, ns=(before.st_atime_ns, before.st_mtime_ns))  # as fast as the clock allows, or on purpose
    assert read(script)[0] == 99


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.chmod(0o620),
        lambda path: path.write_bytes(path.read_bytes()[:1000]),
        lambda path: path.write_bytes(b"garbage"),
        lambda path: (path.rename(path.parent.parent / "moved"), path.symlink_to(path.parent.parent / "moved")),
        lambda path: (path.unlink(), os.mkfifo(path)),
    ],
    ids=["others may write it", "written by half", "garbage", "a link", "a pipe"],
)
def test_what_is_not_ours_alone_or_damaged_is_not_used(
    spoil: Callable[[Path], object], script: Path, read: Read
) -> None:
    read(script)
    spoil(kept(script))
    assert read(script)[0] == 99


def test_they_are_bounded(script: Path, read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_trees, "MOST_FILES", 2)
    for name in "abc":
        other = script.parent / name
        other.write_text(SCRIPT)
        read(other)
    assert len(list((script.parent / "cache" / "trees").iterdir())) == 2


def test_a_folder_that_cannot_be_written_is_no_fault(script: Path, read: Read) -> None:
    (script.parent / "cache").write_text("")
    assert read(script)[0] == 99
    assert read(script)[0] == 99


def test_text_that_aliases_changed_is_not_kept(script: Path, read: Read) -> None:
    """Its places are those of another text."""
    aliases = {"f5": "f6"}
    script.write_text("true\n" + SCRIPT.replace("f5()", "f5\nf55()"))
    assert read(script, aliases=aliases)[0] == 101
    assert read(script, aliases=aliases)[0] == 101 - 6
