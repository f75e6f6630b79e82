"""Progress of long steps: a bar on a terminal, else a line for each step, each quarter of it, each ten seconds."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Final

from aish.model.size import format_bytes
from aish.report import clean

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID


SILENT_MOST_S: Final = 10.0
"""Over a slow line a quarter takes long: it goes on all the same, and says so."""


class Shown:
    """An aish.store.progress.Progress that shows itself on stderr. A context: leave it before printing results."""

    def __init__(self) -> None:
        self._bar: RichProgress | None = None
        self._task: TaskID | None = None
        self._step = ""
        self._quarter = 0
        self._said_s = 0.0

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

            columns = (
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                DownloadColumn(),
                TransferSpeedColumn(),
            )
            self._bar = Progress(*columns, console=Console(stderr=True), transient=True)
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, step: str, done_bytes: int, total_bytes: int | None) -> None:
        step = clean(step)  # names of files on the hub are in it
        if self._bar is not None:
            self._draw(self._bar, step, done_bytes, total_bytes)
        else:
            self._write(step, done_bytes, total_bytes)

    def _draw(self, bar: RichProgress, step: str, done_bytes: int, total_bytes: int | None) -> None:
        if step != self._step or self._task is None:
            if self._task is not None:
                bar.remove_task(self._task)
            self._step = step
            self._task = bar.add_task(step, total=None)
        bar.update(self._task, completed=done_bytes, total=total_bytes)

    def _write(self, step: str, done_bytes: int, total_bytes: int | None) -> None:
        now_s = time.monotonic()
        if step != self._step:
            self._step, self._quarter, self._said_s = step, 0, now_s
            print(step, file=sys.stderr, flush=True)
        quarter = 4 * done_bytes // total_bytes if total_bytes else 0
        if quarter > self._quarter or (done_bytes and now_s - self._said_s >= SILENT_MOST_S):
            self._quarter, self._said_s = quarter, now_s
            of = f" of {format_bytes(total_bytes)}" if total_bytes else ""
            print(f"{step}: {format_bytes(done_bytes)}{of}", file=sys.stderr, flush=True)
