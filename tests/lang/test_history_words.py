"""History expansion, with bash itself as the oracle where there is one."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aish.lang.control import CommandError
from aish.lang.history_words import expand, split

if TYPE_CHECKING:
    from pathlib import Path

PAST = [
    "echo one two three",
    "cat /usr/share/doc/file.tar.gz",
    "ls -l a b c",
    "echo 'quoted word' x;y",
    "make all -j4",
]
LINES = [(number, line, 0.0) for number, line in enumerate(PAST, 1)]

CASES = [
    "!!", "echo !$", "echo !^", "echo !*", "!1", "!-2", "!cat", "!?share?", "!?share", "!!:0", "!!:1", "!!:$",
    "!!:^", "!!:*", "!echo:2", "!1:1-2", "!1:2*", "!1:1-", "!1:-2", "!1:2-$", "echo !cat:1:h", "!cat:1:t",
    "!cat:1:r", "!cat:1:e", "!cat:$:t:r", "!1:s/one/two/", "!1:gs/o/0/", "!1:s/two/[&]/", "^all^clean",
    "^all^clean^", "^all^clean^ more", "echo a!", "echo ! a", "echo '!!'", 'echo "!!"', 'echo "!"', "echo \\!!",
    "[ a != b ]", "echo ${!x}", "echo $!", "echo [!a]", "! true", "!# x", "a b !#:1", "!1:q", "!1:x",
    "echo !1:1!1:2", "echo '!!' !!", "echo \"a 'b !$' c\"", "!ls:*:s/a/z/:s/z/y/", "!4:1", "!4:$",
    "echo !-1:0 !-2:0", "!!x", "!{", "echo !!; echo !1:1", "(!!)", "!1:1:q", "echo a#!!", "!?one?:%", "!zzz",
    "!99", "!-99", "!1:9", "^nope^x", "!1:s/nope/x/",
]  # fmt: skip


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is the oracle")
def test_as_bash(tmp_path: Path) -> None:
    script = tmp_path / "script"
    history = "\n".join(PAST)
    (tmp_path / "past").write_text(history + "\n")
    (tmp_path / "cases").write_text("\0".join(CASES) + "\0")
    script.write_text(
        "HISTCONTROL=; HISTFILE=\n"
        "while IFS= read -r -d '' case; do\n"
        "    history -c\n"
        '    while IFS= read -r line; do history -s -- "$line"; done < past\n'
        '    history -p "$case" 2>/dev/null || echo FAILED\n'
        "done < cases\n"
    )
    out = subprocess.run(
        ["bash", "--norc", str(script)], capture_output=True, text=True, cwd=tmp_path, env={"PATH": "/usr/bin:/bin"}
    ).stdout
    ours = []
    for case in CASES:
        try:
            ours.append(expand(case, LINES).text)
        except CommandError:
            ours.append("FAILED")
    theirs = out.split("\n")[:-1]
    assert len(theirs) == len(CASES)
    different = [(case, a, b) for case, a, b in zip(CASES, ours, theirs, strict=True) if a != b]
    assert not different


def test_print_only() -> None:
    found = expand("!1:p", LINES)
    assert (found.text, found.print_only, found.changed) == (PAST[0], True, True)


def test_without_a_past() -> None:
    with pytest.raises(CommandError, match="event not found"):
        expand("!!", [])
    assert expand("echo hi!", []).changed is False


@given(st.text("a!$^*:1-?s/&\"'\\ ;#p%gh", max_size=20))
def test_any_line_expands_or_is_refused(text: str) -> None:
    try:
        found = expand(text, LINES)
    except CommandError:
        return
    assert found.changed or found.text == text


def test_words() -> None:
    assert split("a 'b c' d>e;f && g") == ["a", "'b c'", "d", ">", "e", ";", "f", "&&", "g"]
