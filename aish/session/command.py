"""One command of a session: from its request to its result, and what of it goes on behind that."""

from __future__ import annotations

import codecs
import os
from typing import TYPE_CHECKING, Any

from msgspec import UNSET

from aish.session.output import Output, Told

if TYPE_CHECKING:
    from typing import Final

    from aish.session.request import Id, Run
    from aish.session.settings import Settings
    from aish.session.shelf import Shelf
    from aish.session.shell import Report

TIMED_OUT, ENDED = "timeout", "end"
_STATUS: Final = {TIMED_OUT: 124, ENDED: 143}
"""As timeout(1) and a death by SIGTERM."""
_DRAIN_BYTES: Final = 4 << 20


class Command:
    """`report` None: the shell is at it, or it waits for its turn."""

    def __init__(self, number: int, request: Run, settings: Settings) -> None:
        self.number = number
        self.request = request
        self.id: Id = f"#{number}" if request.id is None else request.id
        limit = request.output_bytes
        self._limit = settings.output_bytes if limit is None else limit
        timeout_s = request.timeout_s
        self.timeout_s = settings.timeout_s if timeout_s is UNSET else timeout_s
        self.outputs: list[Output] = []
        self.begun_s = 0.0
        self.deadline_s: float | None = None
        self.report: Report | None = None
        self.lost: int | None = None
        """The status of the shell, where it ended with the command."""
        self.is_fresh = False
        """The shell is a new one, in place of one that ended between two commands."""
        self.why: str | None = None
        """Why it was ended."""
        self.answered = False
        self._decoders = [codecs.getincrementaldecoder("utf-8")("replace") for _ in range(2)]
        self._skipped_bytes = 0

    def begin(self, shelf: Shelf, now_s: float) -> tuple[int, int]:
        """Where stdout and stderr go. Raises OSError: no descriptor is left."""
        try:
            for stream in ("stdout",) if self.request.merge else ("stdout", "stderr"):
                self.outputs.append(Output(f"{self.number}.{stream}", self._limit, shelf))
        except OSError:
            self.close()
            raise
        self.begun_s = now_s
        self.deadline_s = None if self.timeout_s is None else now_s + self.timeout_s
        return self.outputs[0].write_fd, self.outputs[-1].write_fd

    @property
    def is_done(self) -> bool:
        """The shell is not at it any more."""
        return self.report is not None or self.lost is not None

    @property
    def is_open(self) -> bool:
        """Somebody may still write to its output."""
        return any(output.is_open for output in self.outputs)

    def read(self, output: Output) -> dict[str, Any] | None:
        """Take what is there; the event that tells it, where one was asked for."""
        data = output.read()
        if not data or self.answered or not self.request.stream:
            return None
        return self._event(self.outputs.index(output), data)

    def _event(self, place: int, data: bytes, *, final: bool = False) -> dict[str, Any] | None:
        text = self._decoders[place].decode(data, final)
        if not text:
            return None
        event = {"type": "output", "id": self.id, "stream": ("stdout", "stderr")[place], "text": text}
        if self._skipped_bytes:
            event["skipped_bytes"] = self._skipped_bytes
            self._skipped_bytes = 0
        return event

    def skipped(self, event: dict[str, Any]) -> None:
        """It was not told, as the client does not read; the next one says so."""
        self._skipped_bytes += event.get("skipped_bytes", 0) + len(event["text"].encode())

    def drain(self) -> list[dict[str, Any]]:
        """What was written before the end, and nothing that comes later; the events that tell it."""
        events = []
        for place, output in enumerate(self.outputs):
            waiting = min(output.waiting_bytes(), _DRAIN_BYTES)
            while waiting > 0:
                data = output.read()
                if not data:
                    break
                waiting -= len(data)
                if self.request.stream:
                    events.append(self._event(place, data))
            if output.is_open:
                data = output.read()  # the end, where nobody has it open
                if data and self.request.stream:
                    events.append(self._event(place, data))
            if self.request.stream:
                events.append(self._event(place, b"", final=True))
        return [event for event in events if event is not None]

    def result(self, now_s: float, cwd: str, background: list[dict[str, Any]]) -> dict[str, Any]:
        """Its one answer."""
        self.answered = True
        told = [output.told() for output in self.outputs]
        found: dict[str, Any] = {
            "type": "result",
            "id": self.id,
            "status": self.status,
            "timed_out": self.why == TIMED_OUT,
            "ended": self.why is not None,
            "state_lost": self.is_fresh or self.lost is not None,
        }
        if len(told) == 1:
            told.append(Told("", 0, 0, False, None))
        for stream, each in zip(("stdout", "stderr"), told, strict=True):
            found[stream] = each.text
            found[f"{stream}_bytes"] = each.size_bytes
            found[f"{stream}_omitted_bytes"] = each.omitted_bytes
            found[f"{stream}_lossy"] = each.lossy
            found[f"{stream}_file"] = each.file
        return found | {"cwd": cwd, "duration_s": round(now_s - self.begun_s, 6), "background": background}

    @property
    def status(self) -> int:
        if self.why is not None:
            return _STATUS[self.why]
        if self.lost is not None:
            return 128 + os.WTERMSIG(self.lost) if os.WIFSIGNALED(self.lost) else os.WEXITSTATUS(self.lost)
        assert self.report is not None
        return self.report.status

    def close(self) -> None:
        for output in self.outputs:
            output.close()
