"""OpenAI's Responses as a Dialect of the gateway's clients."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from aish.supervisor.gateway.dialects.responses import head
from aish.supervisor.gateway.dialects.responses.answer import Events, whole
from aish.supervisor.gateway.dialects.unchanged import Unchanged

if TYPE_CHECKING:
    from aish.supervisor.gateway.dialects.call import Call


class Responses(Unchanged):
    """Its errors and lists are those of OpenAI's other paths."""

    name = head.NAME

    def parse(self, path: str, body: bytes) -> Call:
        return head.parse(path, body)

    def status(self, status: int) -> int:
        """Codex gives up at once on this, and tries for long on others (measured by others with 0.169)."""
        return 429 if status == 402 else status

    def answer(self, call: Call, body: bytes) -> bytes:
        return whole(call, body, int(time.time()))

    def writer(self, call: Call) -> Events:
        return Events(call, int(time.time()))
