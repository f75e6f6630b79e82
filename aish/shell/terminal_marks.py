"""What a terminal is told beside the text: where prompts, commands and outputs begin (OSC 133), the folder (OSC 7), a
title, and links (OSC 8). Only where its TERM is known to take it; AISH_TERMINAL_MARKS=0 turns it off.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_TAKE_MARKS = (
    "xterm",
    "tmux",
    "screen",
    "alacritty",
    "kitty",
    "foot",
    "wezterm",
    "ghostty",
    "rio",
    "contour",
    "konsole",
    "vte",
    "iterm",
)
_TAKE_LINKS = ("alacritty", "kitty", "xterm-kitty", "foot", "wezterm", "ghostty", "xterm-ghostty", "contour")
_LINK_PROGRAMS = frozenset(["iTerm.app", "WezTerm", "vscode", "ghostty", "Hyper"])
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-~")
_LONGEST_TITLE = 80
_END = "\x1b\\"


def takes_marks(environment: Mapping[str, str]) -> bool:
    """Whether the terminal ignores at least what it does not know."""
    term = environment.get("TERM", "")
    return environment.get("AISH_TERMINAL_MARKS", "1") not in ("0", "no", "off") and term.startswith(_TAKE_MARKS)


def takes_links(environment: Mapping[str, str]) -> bool:
    """Whether it shows links: TERM=xterm alone says nothing about that."""
    if not takes_marks(environment):
        return False
    vte = environment.get("VTE_VERSION", "")
    return (
        environment.get("TERM", "").startswith(_TAKE_LINKS)
        or environment.get("TERM_PROGRAM") in _LINK_PROGRAMS
        or "KONSOLE_VERSION" in environment
        or "WT_SESSION" in environment
        or (vte.isdecimal() and int(vte) >= 5000)
    )


PROMPT_BEGINS = "\x1b]133;A" + _END
PROMPT_ENDS = "\x1b]133;B" + _END


def command_begins(text: str) -> str:
    """Its output comes next; the title is the command."""
    return "\x1b]133;C" + _END + title(text)


def command_ended(status: int) -> str:
    """With this status."""
    return f"\x1b]133;D;{status}" + _END


def folder(path: str) -> str:
    """The folder that a new window is to open in."""
    return f"\x1b]7;{address(path)}" + _END


def address(path: str) -> str:
    """file://host/path"""
    return f"file://{os.uname().nodename}{_percent(path)}"


def title(text: str) -> str:
    """The window's title: one line, nothing in it that a terminal would obey."""
    line = "".join([char if char.isprintable() else " " for char in " ".join(text.split())])
    return f"\x1b]2;{line[:_LONGEST_TITLE]}" + _END


def _percent(path: str) -> str:
    data = path.encode("utf-8", "surrogateescape")
    return "".join([chr(byte) if chr(byte) in _PLAIN else f"%{byte:02X}" for byte in data])
