"""What a process has used. Unknown is None: a GPU that does not tell is not a GPU that is unused."""

from __future__ import annotations


class Tokens:
    """Counted by the gateway from the model server's own figures; `estimated` of them were cut streams."""

    __slots__ = ("estimated", "input", "output", "requests")

    def __init__(self, input: int = 0, output: int = 0, requests: int = 0, estimated: int = 0) -> None:
        self.input = input
        self.output = output
        self.requests = requests
        self.estimated = estimated

    @property
    def total(self) -> int:
        return self.input + self.output


class Usage:
    """One sample of a process and its descendants; CPU share in percent of one core."""

    __slots__ = ("cpu_percent", "cpu_seconds", "rss_bytes", "vram_bytes")

    def __init__(
        self,
        cpu_percent: float | None = None,
        cpu_seconds: float | None = None,
        rss_bytes: int | None = None,
        vram_bytes: int | None = None,
    ) -> None:
        self.cpu_percent = cpu_percent
        self.cpu_seconds = cpu_seconds
        self.rss_bytes = rss_bytes
        self.vram_bytes = vram_bytes
