"""bind: how readline writes keys, and what is listed. (tests/shell/test_job_control.py presses them.)"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from aish.lang.builtins.bind import _parted, shown
from aish.lang.builtins.inputrc import File, Reading, Terminal

if TYPE_CHECKING:
    from tests.lang.conftest import Aish


@pytest.mark.parametrize(
    ("line", "keys"),
    [
        (r'"\C-o": x', "\x0f"), (r'"\C-x\C-r": x', "\x18\x12"), (r'"\e[24~": x', "\x1b[24~"), (r'"\M-x": x', "\x1bx"),
        (r'"\M-\C-h": x', "\x1b\x08"), (r'"\C-\M-h": x', "\x1b\x08"), (r'"\001\"a\\": x', '\x01"a\\'),
        ("Control-u: x", "\x15"), ("C-x: x", "\x18"), ("Meta-Rubout: x", "\x1b\x7f"), ("TAB: x", "\t"),
        ('"ab":x', "ab"), ("Control-Meta-t: x", "\x1b\x14"), ("C-M-u: x", "\x1b\x15"), ("C-\xdf: x", "\x1f"),
        (r'"\C-\xdf": x'.replace(r"\xdf", "\xdf"), "\x1f"), ("M-C-?: x", "\x1b\x7f"),
    ],
)  # fmt: skip
def test_keys(line: str, keys: str) -> None:
    assert _parted(line) == (keys, "x")
    assert _parted(f'"{shown(keys)}": x') == (keys, "x")


_OWN = """default=$(bind -p; bind -m vi-insert -p; bind -m emacs -p)
own() { bind "$@" -p | grep -vxF "$default" | grep -v '^#'; true; }
"""
"""What is bound, without what the editor has by itself."""


def test_lists(aish: Aish) -> None:
    """A function that nobody has is no error, as in bash; nor is one that this editor has not."""
    done = aish(
        _OWN
        + r"""bind '"\C-o": "say\n"'; bind -x '"\C-t": "echo \"hi\""'; bind '"\C-g": redraw-current-line'
        bind 'set bell-style none'
        bind -s; bind -X; own; bind -q redraw-current-line; bind -u redraw-current-line
        bind -q redraw-current-line; echo $?; bind -r '\C-o'; bind -s
        bind '"\C-g": nosuch'; bind '"\C-y": spell-correct-word'; bind -m vi-command '"k": undo'; echo $?; own
        bind nosuch; echo $?; bind -q nosuch; echo $?"""
    )
    assert done.out == (
        '"\\C-o": "say\\C-j"\n"\\C-t": "echo \\"hi\\""\n"\\C-g": redraw-current-line\n'
        'redraw-current-line can be invoked via "\\C-g".\n'
        'redraw-current-line is not bound to any keys.\n1\n0\n"\\C-y": spell-correct-word\n0\n1\n'
    )
    assert "nosuch: keys, a colon" in done.err
    assert "nosuch: no function of the editor" in done.err


def test_keys_of_the_editor_are_listed(aish: Aish) -> None:
    """Nothing was but what somebody had bound."""
    done = aish(
        r"""bind -q beginning-of-line; bind '"\C-a": "x"'; bind -q beginning-of-line; bind -p | grep -c self-insert
        bind -p | grep -e C-y -e dump-macros; bind -P | grep '^yank '; bind -v | grep mode
        set -o vi; bind -v | grep editing-mode; bind -V | grep keymap"""
    )
    assert done.out == (
        'beginning-of-line can be invoked via "\\C-a", "\\eOH", "\\e[H".\n'
        'beginning-of-line can be invoked via "\\eOH", "\\e[H".\n95\n'
        '# dump-macros (not bound)\n"\\C-y": yank\n"\\e\\C-y": yank-nth-arg\nyank can be found on "\\C-y".\n'
        "set horizontal-scroll-mode off\nset show-mode-in-prompt off\nset editing-mode emacs\n"
        "set editing-mode vi\nkeymap is set to `vi-insert'\n"
    )


def test_file_of_readline(aish: Aish) -> None:
    """Its conditions, what it includes, and keys of vi's command mode, which would keep a letter from being typed."""
    (aish.folder / "more").write_text('"\\C-b": undo\n$include ./nosuch\n')
    (aish.folder / "rc").write_text(
        '# keys\nset completion-ignore-case on\n$if mode=vi\n"a": yank\n$if Bash\n"b": yank\n$endif\n$else\n'
        '"\\e[A": history-search-backward\n$endif\n$if Bash\nSpace: magic-space\n$endif\n$if version >= 8.1\n'
        '$include ./more\n$endif\n$if other\n"c": yank\n$endif\nset keymap vi-command\n"k": yank\n'
        'set keymap emacs\n"\\C-x": undo\n"open\n'
    )
    done = aish(_OWN + "bind -f rc; echo $?; own; bind -f nosuch || echo $?")
    assert done.out == '0\n"\\e[A": history-search-backward\n" ": magic-space\n"\\C-b": undo\n"\\C-x": undo\n1\n'
    assert 'rc: "open: keys, a colon' in done.err


def test_what_stands_behind_a_value_is_no_part_of_it(aish: Aish) -> None:
    """A comment behind a function's name freed the key, and a macro went on to the last quote of the line."""
    done = aish(
        _OWN + r"""bind '"\C-o": yank # text' '"\C-t": "a\"b" "c"' "'\C-x': x" "C-y: 'a\"b' # \""; own; bind -s"""
    )
    assert done.out == '"\\C-o": yank\n"\\C-t": "a\\"b"\n"\\C-y": "a\\"b"\n'


def test_keymaps(aish: Aish) -> None:
    """What was bound for vi counted in emacs mode as well, and letters of emacs-meta were no letters any more."""
    (aish.folder / "rc").write_text(
        'set keymap vi-insert\n"jj": vi-movement-mode\nset keymap emacs-meta\n"x": yank\nset keymap emacs-ctlx\n'
        '"x": undo\n$if mode=vi\n"\\C-o": undo\n$endif\nset editing-mode vi\n$if mode=vi\n"\\C-t": undo\n$endif\n'
    )
    done = aish(_OWN + "set -o emacs; bind -f rc; own; echo; own -m emacs; bind -m vi-command -p | grep -v '^#'")
    assert done.out == '"\\C-t": undo\n"jj": vi-movement-mode\n\n"\\C-t": undo\n"\\C-xx": undo\n"\\ex": yank\n'


def test_a_file_that_cannot_be_read_is_told(aish: Aish) -> None:
    """A pipe was waited for, and of a device there is no end."""
    os.mkfifo(aish.folder / "pipe")
    (aish.folder / "large").write_bytes(b"\n" * (256 * 1024 + 1))
    done = aish("for f in pipe /dev/zero . large; do bind -f $f; done; echo $?")
    assert done.out == "1\n"
    assert done.err.count("not a regular file") == 3
    assert "large: larger than 256 KiB" in done.err


def test_files_that_include_one_another_end() -> None:
    """Each line of each doubled the work, sixteen times over."""
    files = {name: File((0, number), f"$include a\n$include b\n{name}:\n") for number, name in enumerate("ab")}
    reading = Reading(Terminal("", "emacs"), files.get)
    assert list(reading.lines(files["a"])) == ["b:", "a:"]
    many = Reading(Terminal("", "emacs"), lambda name: File((0, int(name)), f"a:\n$include {int(name) + 1}\n" * 2))
    assert len(list(many.lines(File((0, 0), "$include 1\n")))) < 100


def test_nothing_in_a_file_ends_the_shell(aish: Aish) -> None:
    (aish.folder / "rc").write_bytes(
        b'Control-Meta-t: x\n"\\C-\xc3\x9f": x\n$include a\0b\n$include ~\0\nC-: x\n\xff: x\n"\\C-o": undo'
    )
    assert aish(_OWN + "bind -f rc; own").out == '"\\C-o": undo\n'


def test_inputrc_is_read_by_a_shell_at_a_prompt(aish: Aish) -> None:
    menu = 'menu-complete can be invoked via "\\C-i".\n'
    (aish.folder / "keys").write_text("TAB: menu-complete\n")
    environment = aish.environment | {"INPUTRC": str(aish.folder / "keys")}
    assert aish.run(["-ic", "bind -q menu-complete"], env=environment).out == menu
    assert "not bound" in aish.run(["-c", "bind -q menu-complete"], env=environment).out
    (aish.folder / ".inputrc").write_text("TAB: menu-complete\n")
    homeless = {name: value for name, value in aish.environment.items() if name not in ("HOME", "INPUTRC")}
    assert "not bound" in aish.run(["-ic", "bind -q menu-complete"], env=homeless).out


def test_inputrc_chooses_vi(aish: Aish) -> None:
    """It said so before the editor was on, and nobody heard it. Where no line is edited it chooses nothing."""
    (aish.folder / "rc").write_text('set editing-mode vi\n$if mode=vi\n"\\C-o": undo\n$endif\n')
    environment = aish.environment | {"INPUTRC": str(aish.folder / "rc")}
    ask = b"echo $SHELLOPTS | grep -o '[:]vi'; bind -m vi-insert -q undo | grep C-o\n"
    assert aish.run(["-i"], input=ask, env=environment).out == ':vi\nundo can be invoked via "\\C-o".\n'
    assert aish.run(["-i", "--noediting"], input=ask, env=environment).out == ""
