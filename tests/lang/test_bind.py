"""bind: how readline writes keys, and what is listed. (tests/shell/test_job_control.py presses them.)"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from aish.lang.builtins.bind import _parted, shown

if TYPE_CHECKING:
    from tests.lang.conftest import Aish


@pytest.mark.parametrize(
    ("line", "keys"),
    [
        (r'"\C-o": x', "\x0f"), (r'"\C-x\C-r": x', "\x18\x12"), (r'"\e[24~": x', "\x1b[24~"), (r'"\M-x": x', "\x1bx"),
        (r'"\M-\C-h": x', "\x1b\x08"), (r'"\C-\M-h": x', "\x1b\x08"), (r'"\001\"a\\": x', '\x01"a\\'),
        ("Control-u: x", "\x15"), ("C-x: x", "\x18"), ("Meta-Rubout: x", "\x1b\x7f"), ("TAB: x", "\t"),
        ('"ab":x', "ab"),
    ],
)  # fmt: skip
def test_keys(line: str, keys: str) -> None:
    assert _parted(line) == (keys, "x")
    assert _parted(f'"{shown(keys)}": x') == (keys, "x")


def test_lists(aish: Aish) -> None:
    done = aish(
        r"""bind '"\C-o": "say\n"'; bind -x '"\C-t": "echo \"hi\""'; bind '"\C-g": yank'; bind 'set bell-style none'
        bind -s; bind -X; bind -p; bind -q yank; bind -u yank; bind -q yank; echo $?; bind -r '\C-o'; bind -s
        bind nosuch; bind '"\C-g": nosuch'; echo $?"""
    )
    assert done.out == (
        '"\\C-o": "say\\C-j"\n"\\C-t": "echo \\"hi\\""\n"\\C-g": yank\nyank can be invoked via "\\C-g".\n'
        "yank is not bound to any keys.\n1\n0\n"
    )
    assert "nosuch: no function of the editor" in done.err
