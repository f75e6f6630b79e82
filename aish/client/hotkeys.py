"""The keys that mean something to aish while a terminal is attached. Pure: bytes in, bytes for the process out.

The default to detach is Ctrl-] d. Every single key is some program's own: Ctrl-\\ is SIGQUIT, Ctrl-A and Ctrl-E are
readline's, Ctrl-B is tmux's, Ctrl-P an editor's and every shell's history, `~.` is eaten by the ssh around us and
needs the start of a line, which full-screen programs do not have. Ctrl-] is telnet's old escape and the one that
programs use least; with the d behind it not even an editor that uses it (vi: go to the tag) loses it. What began like
the sequence and did not go on like it is passed on: at the next key, or after PATIENCE_S, so that no key is stuck.

The same keys with Ctrl-Z in place of the last one suspend: for programs that read Ctrl-Z as a plain key.
"""

from __future__ import annotations

from typing import Final, Literal

PATIENCE_S: Final = 1.0
SUSPEND_KEY: Final = b"\x1a"
Deed = Literal["detach", "suspend"]


class Hotkeys:
    """`detach` may be empty: then nothing detaches."""

    def __init__(self, detach: bytes) -> None:
        self._deeds: dict[bytes, Deed] = {}
        if len(detach) > 1:
            self._deeds[detach[:-1] + SUSPEND_KEY] = "suspend"
        if detach:
            self._deeds[detach] = "detach"
        self._begun = b""

    @property
    def begun(self) -> bool:
        """Whether keys are held back because they may be the beginning of a sequence."""
        return bool(self._begun)

    def feed(self, data: bytes) -> tuple[bytes, Deed | None]:
        """What is for the process, and what is to be done after it. What was typed behind a sequence is dropped."""
        passed = bytearray()
        for key in data:
            self._begun += bytes([key])
            deed = self._deeds.get(self._begun)
            if deed is not None:
                self._begun = b""
                return bytes(passed), deed
            while self._begun and not any(keys.startswith(self._begun) for keys in self._deeds):
                passed.append(self._begun[0])
                self._begun = self._begun[1:]
        return bytes(passed), None

    def give_up(self) -> bytes:
        """Nothing came behind what is held back: it is for the process."""
        held, self._begun = self._begun, b""
        return held
