"""The keys that the editor has by itself, as `bind -p` lists them, and what of readline's variables is true of it."""

from __future__ import annotations

BOTH = {
    "accept-line": ("\r", "\n"),
    "backward-char": ("\x1b[D", "\x1bOD"),
    "backward-delete-char": ("\x08", "\x7f"),
    "beginning-of-line": ("\x1b[H", "\x1bOH"),
    "bracketed-paste-begin": ("\x1b[200~",),
    "clear-screen": ("\x0c",),
    "complete": ("\t",),
    "delete-char": ("\x1b[3~",),
    "end-of-line": ("\x1b[F", "\x1bOF"),
    "forward-char": ("\x1b[C", "\x1bOC"),
    "forward-search-history": ("\x13",),
    "next-history": ("\x1b[B", "\x1bOB"),
    "previous-history": ("\x1b[A", "\x1bOA"),
    "quoted-insert": ("\x16",),
    "reverse-search-history": ("\x12",),
    "self-insert": tuple([chr(code) for code in range(32, 127)]),
    "unix-line-discard": ("\x15",),
    "unix-word-rubout": ("\x17",),
}
"""Of both modes, in which lines are typed."""
EMACS = {
    "abort": ("\x07",),
    "backward-char": ("\x02",),
    "backward-kill-word": ("\x1b\x08", "\x1b\x7f"),
    "backward-word": ("\x1bb", "\x1b[1;5D"),
    "beginning-of-history": ("\x1b<",),
    "beginning-of-line": ("\x01",),
    "call-last-kbd-macro": ("\x18e",),
    "capitalize-word": ("\x1bc",),
    "character-search": ("\x1d",),
    "delete-char": ("\x04",),
    "delete-horizontal-space": ("\x1b\\",),
    "downcase-word": ("\x1bl",),
    "edit-and-execute-command": ("\x18\x05",),
    "end-kbd-macro": ("\x18)",),
    "end-of-history": ("\x1b>",),
    "end-of-line": ("\x05",),
    "forward-char": ("\x06",),
    "forward-word": ("\x1bf", "\x1b[1;5C"),
    "insert-comment": ("\x1b#",),
    "kill-line": ("\x0b",),
    "kill-word": ("\x1bd",),
    "next-history": ("\x0e",),
    "operate-and-get-next": ("\x0f",),
    "previous-history": ("\x10",),
    "quoted-insert": ("\x11",),
    "start-kbd-macro": ("\x18(",),
    "transpose-chars": ("\x14",),
    "transpose-words": ("\x1bt",),
    "undo": ("\x18\x15", "\x1f"),
    "upcase-word": ("\x1bu",),
    "yank": ("\x19",),
    "yank-last-arg": ("\x1b.", "\x1b_"),
    "yank-nth-arg": ("\x1b\x19",),
    "yank-pop": ("\x1by",),
}
VI = {"vi-eof-maybe": ("\x04",), "vi-movement-mode": ("\x1b",)}
_VARIABLES = (
    "bind-tty-special-chars on",
    "blink-matching-paren off",
    "completion-ignore-case off",
    "convert-meta off",
    "disable-completion off",
    "echo-control-characters on",
    "expand-tilde off",
    "horizontal-scroll-mode off",
    "input-meta on",
    "mark-directories on",
    "output-meta on",
    "show-mode-in-prompt off",
    "bell-style audible",
    "comment-begin #",
)


def keys(*, vi: bool) -> dict[str, str]:
    """The function of each."""
    found: dict[str, str] = {}
    for table in (BOTH, VI if vi else EMACS):
        found |= {key: name for name, some in table.items() for key in some}
    return found


def variables(*, vi: bool, paste: bool) -> list[tuple[str, str]]:
    """Name and value of each."""
    brackets = f"enable-bracketed-paste {'on' if paste else 'off'}"
    mode = ["editing-mode vi", "keymap vi-insert"] if vi else ["editing-mode emacs", "keymap emacs"]
    return [(name, value) for name, _, value in [line.partition(" ") for line in (*_VARIABLES, brackets, *mode)]]
