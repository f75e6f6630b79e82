"""The last text that a program has said: its answer, if nothing follows it; else something said on the way."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aish.spi.agent_adapter import Host


class LastText:
    def __init__(self, host: Host) -> None:
        self._host = host
        self.text = ""

    def said(self, text: str) -> None:
        self.followed()
        self.text = text

    def followed(self) -> None:
        """What it said before was no answer: for the person who watches, and the transcript."""
        if self.text.strip():
            self._host.record("said", text=self.text)
            for line in self.text.strip().splitlines():
                self._host.progress(line)
        self.text = ""
