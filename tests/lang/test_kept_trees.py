"""Trees of sourced files are kept: given back as they were, and never for anything else than they were made of."""

from __future__ import annotations

import ast
import errno
import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from aish.lang import kept_trees, recording
from aish.lang.kept_trees import parser_of
from aish.lang.parser import Parser
from aish.lang.recording import Encoder
from aish.lang.source import ParseError, Source
from tests.lang.conftest import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable

    from aish.lang.tree import Sequence

    Read = Callable[..., tuple[int, list[Sequence]]]

SNIPPETS = (Path(__file__).parent / "snippets.txt").read_text()
SCRIPT = "".join(
    f'f{i}() {{ case $1 in a*|b) echo "x $(echo {i} | cat)" ;; *) ls -l >&2; esac; }}\n' for i in range(30)
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
        parser = parser_of(*file(path))
        assert parser is not None
        for name, value in state.items():
            setattr(parser, name, value)
        while (command := parser.next()) is not None:
            found.append(command)
        parser.close()
        return parsed, found

    return run


def file(path: Path) -> tuple[Source, os.stat_result, str, float]:
    """What parser_of wants to know."""
    return Source(str(path), path.read_text()), path.stat(), str(path.parent / "cache" / "trees"), time.time()


def kept(script: Path) -> Path:
    (found,) = (script.parent / "cache" / "trees").iterdir()
    return found


def test_the_second_time_nothing_is_parsed(script: Path, read: Read) -> None:
    assert read(script)[0] == 30
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
        encoder = Encoder([])
        data = encoder.bytes_of(tree)
        kinds = [kept_trees._kind(*kind) for kind in encoder.kinds]
        assert Encoder(kinds).bytes_of(kept_trees.decoded(data, kinds)) == data


def test_what_was_read_with_other_options_or_aliases_is_read_again(script: Path, read: Read) -> None:
    read(script)
    assert read(script, extended=True)[0] == 30
    assert read(script, extended=True)[0] == 0
    assert read(script, extended=True, aliases={"echo": "printf"})[0] == 30


def test_a_file_that_has_changed_is_read_again(script: Path, read: Read) -> None:
    read(script)
    before = script.stat()
    script.write_text(SCRIPT.replace("f29", "g29"))
    os.utime(script, ns=(before.st_atime_ns, before.st_mtime_ns))  # as fast as the clock allows, or on purpose
    assert read(script)[0] == 30


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.chmod(0o620),
        lambda path: path.write_bytes(path.read_bytes()[:1000]),
        lambda path: path.write_bytes(path.read_bytes().replace(b"echo", bytes(4))),
        lambda path: path.write_bytes(b"garbage"),
        lambda path: path.write_bytes(b""),
        lambda path: (path.rename(path.parent.parent / "moved"), path.symlink_to(path.parent.parent / "moved")),
        lambda path: (path.unlink(), os.mkfifo(path)),
    ],
    ids=["others may write it", "written by half", "zeros within trees", "garbage", "nothing", "a link", "a pipe"],
)
def test_what_is_not_ours_alone_or_damaged_is_not_used(
    spoil: Callable[[Path], object], script: Path, read: Read
) -> None:
    read(script)
    spoil(kept(script))
    assert read(script)[0] == 30


@pytest.mark.parametrize(
    ("most", "at_most"),
    [("MOST_FILES", lambda size: 2), ("MOST_TOGETHER_BYTES", lambda size: 2 * size + 100)],
    ids=["in number", "in size"],
)
def test_they_are_bounded(
    most: str, at_most: Callable[[int], int], script: Path, read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    read(script)
    monkeypatch.setattr(recording, "_THINNED_EVERY", 1)
    monkeypatch.setattr(recording, most, at_most(kept(script).stat().st_size))
    for name in "abc":
        other = script.parent / name
        other.write_text(SCRIPT)
        read(other)
    assert len(list((script.parent / "cache" / "trees").iterdir())) == 2


def test_where_nothing_can_be_written_nothing_is_prepared(script: Path) -> None:
    """Fault: each run paid for a tree that nobody could keep."""
    (script.parent / "cache").write_text("")
    assert parser_of(*file(script)) is None


def test_nothing_is_made_in_the_home_of_somebody_else(
    script: Path, read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault: under sudo, where HOME stays, ~/.cache became root's."""
    other = os.getuid() + 1
    monkeypatch.setattr(os, "getuid", lambda: other)
    monkeypatch.setattr(os, "geteuid", lambda: other)
    assert read(script)[0] == 30
    assert not (script.parent / "cache").exists()


def test_an_alias_that_is_another_each_time_does_not_make_it_grow(script: Path, read: Read) -> None:
    """What was read with the alias of the last time is gone, and so is that alias."""
    sizes = set()
    for value in "abc":
        assert read(script, aliases={"nosuch": value * 1000})[0] == 30
        sizes.add(kept(script).stat().st_size)
    assert len(sizes) == 1


def test_what_grew_too_large_is_not_kept_and_the_old_file_goes(
    script: Path, read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    read(script)
    monkeypatch.setattr(kept_trees, "MOST_BYTES", kept(script).stat().st_size)
    assert read(script)[0] == 0
    assert read(script, aliases={"nosuch": "a" * 1000})[0] == 30
    assert list((script.parent / "cache" / "trees").iterdir()) == []


@pytest.mark.parametrize("error", [OSError(errno.EMFILE, "no descriptor left"), NotADirectoryError("in a zip")])
def test_where_our_own_files_cannot_be_seen_the_text_is_read(
    error: OSError, script: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(path: str) -> object:
        raise error

    monkeypatch.setattr(os, "scandir", refused)
    assert parser_of(*file(script)) is None


def test_a_shell_from_before_an_upgrade_keeps_nothing(script: Path) -> None:
    """Fault: what the old grammar read was kept as the new one's."""
    source, status, folder, _ = file(script)
    assert parser_of(source, status, folder, Path(kept_trees.__file__).stat().st_ctime - 1) is None


def test_text_that_aliases_changed_is_not_kept(script: Path, read: Read) -> None:
    """Its places are those of another text."""
    aliases = {"f5": "f6"}
    script.write_text("true\n" + SCRIPT.replace("f5()", "f5\nf55()"))
    assert read(script, aliases=aliases)[0] == 32
    assert read(script, aliases=aliases)[0] == 32 - 6


def test_a_change_of_what_reads_is_noticed_in_a_lean_start() -> None:
    """Its image looks only at the files that it loads: those of the grammar, which a kept script does without, have
    to be in _READING."""
    code = "from aish.image import _FIRST, _TOGETHER, _imported\n"
    code += "print(*_imported(_FIRST)); print(*_imported(_TOGETHER[:1]))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    first, grammar = (set(line.split()) for line in done.stdout.splitlines())
    reading, pending = set(), ["aish.lang.parser"]
    while pending:
        name = pending.pop()
        if name not in reading and name not in first:
            reading.add(name)
            pending += _imported(name)
    shown = {name for name in reading if name.startswith("aish.lang.reprint")}  # of errors
    assert reading - grammar - shown == {f"aish.lang.{name}" for name in kept_trees._READING} - grammar


def _imported(name: str) -> set[str]:
    """The modules of ours that a module imports, wherever in it."""
    path = ROOT / name.replace(".", "/")
    tree = ast.parse((path / "__init__.py" if path.is_dir() else path.with_suffix(".py")).read_text())
    checked = [
        node for node in ast.walk(tree) if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    ]
    for node in checked:
        node.body.clear()
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module is not None and node.module.startswith("aish"):
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                found.add(inner if (ROOT / inner.replace(".", "/")).with_suffix(".py").exists() else node.module)
    return found


@pytest.mark.parametrize(
    ("changed", "age_s", "is_kept"), [(0.5, 0.05, False), (0.5, 0.2, True), (0, 2, False), (0, 3, True)]
)
def test_a_file_is_kept_once_its_clock_must_have_gone_on(
    changed: float, age_s: float, is_kept: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second change within the same tick would not be seen. Some file systems count whole seconds."""
    path = tmp_path / "s"
    path.write_text(SCRIPT)
    found = path.stat()
    times = {f"st_{which}time": 1000 + changed for which in "mc"} | {
        f"st_{which}time_ns": int((1000 + changed) * 1e9) for which in "mc"
    }
    fake = SimpleNamespace(**{name: getattr(found, name) for name in dir(found) if name.startswith("st_")} | times)
    monkeypatch.setattr(kept_trees, "time", lambda: 1000 + changed + age_s)
    parser = parser_of(Source("s", SCRIPT), fake, str(tmp_path / "trees"), time.time())  # type: ignore[arg-type]
    assert (parser is not None) is is_kept
