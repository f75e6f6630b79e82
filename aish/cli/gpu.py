"""`aish gpu`: devices with what is used, promised and free; who uses them; who waits, and why."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Final

from aish.cli.arguments import Parser, json_option
from aish.cli.output import age, print_json
from aish.client import connect
from aish.client.finding import outside
from aish.top import amount, gpus
from aish.top.main import speaks_unicode
from aish.top.once import screen_size, styled_line
from aish.top.style import BAD, FAINT, PLAIN, TITLE, WARN, Span
from aish.top.text import clean, left, to_ascii
from aish.top.ui import Ui
from aish.wire.message import Gpus, Snapshot
from aish.wire.reply import GpuList, View

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aish.top.style import Line
    from aish.wire.part import GpuPart, GpuProcessPart, QueuePart

MAX_BAR: Final = 100
NONE: Final = "no GPU"
SIMULATED: Final = "to try quotas and the queue without one: `python -m aish.plugins.simgpu create --memory 24G`"


def main(argv: list[str]) -> int:
    parser = Parser("gpu", "Show GPUs: what is used, promised and free, by whom, and what waits for memory.")
    json_option(parser)
    options = parser.parse_args(argv)
    with connect(start=outside(), program="gpu") as client:
        found = client.ask(GpuList, Gpus())
        names = {} if options.json or not found.gpus else gpus.owner_names(client.ask(View, Snapshot()))
    if options.json:
        print_json(found)
        return 0
    unicode, tty = speaks_unicode(os.environ), sys.stdout.isatty()
    colour = tty and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    ui = Ui(interactive=False, colour=colour, ascii_only=not unicode)
    for line in report(found, names, ui, min(screen_size()[0], MAX_BAR), time.time()):
        print(styled_line(line, colour) if colour else "".join(text for text, _ in line).rstrip())
    return 0


def report(found: GpuList, names: Mapping[str, str], ui: Ui, width: int, now_s: float) -> list[Line]:
    """The lines to print. `names` maps ids of processes to names; `now_s` is the wall clock. Pure."""
    lines: list[Line] = []
    for gpu in found.gpus:
        lines += _device(gpu, names, ui, width)
    if not found.gpus:
        lines += [(Span(NONE, TITLE),), (Span(f"  {SIMULATED}"),)]
    if found.queue:
        lines.append((Span(f"queue: {len(found.queue)} waiting", TITLE),))
        lines += [_waiting(entry, now_s) for entry in found.queue]
    for name, word in sorted(found.drivers.items()):
        if word != "ok" or not found.gpus:
            lines.append((Span(f"driver {clean(name)}: {clean(word)}", FAINT),))
    if ui.ascii_only:
        return [tuple(Span(to_ascii(text), style) for text, style in line) for line in lines]
    return lines


def _device(gpu: GpuPart, names: Mapping[str, str], ui: Ui, width: int) -> list[Line]:
    used, limit = amount.whole(gpu.power_w, "W"), amount.finite(gpu.power_limit_w)
    facts = [
        f"busy {amount.whole(gpu.utilisation_percent, '%')}",
        used if limit is None else f"{amount.whole(gpu.power_w)}/{limit:.0f}W",
        amount.whole(gpu.temperature_c, "C"),
        f"driver {clean(gpu.driver)}",
    ]
    lines: list[Line] = [
        (Span(f"GPU{gpu.index}  {clean(gpu.name)}", TITLE), Span("   " + "  ".join(facts))),
        (Span("  "), *gpus.edged(gpus.memory_bar(gpu, names, ui, max(width - 4, 0), labels=True), ui)),
        (
            Span(f"  used {amount.size(gpu.used_bytes)}  promised {amount.size(gpu.promised_bytes)}"),
            Span(f"  free {amount.size(_free_bytes(gpu))}  of {amount.size(gpu.memory_bytes)}"),
            Span("" if gpu.age_s is None or gpu.age_s < gpus.STALE_S else f"  {age(0.0, gpu.age_s)} ago", WARN),
        ),
    ]
    if gpu.error:
        lines.append((Span(f"  {clean(gpu.error)}", BAD),))
    lines += [_user(user, names) for user in sorted(gpu.processes, key=_size_first)]
    return lines


def _free_bytes(gpu: GpuPart) -> int | None:
    """What is neither used by anyone nor promised; None where the use is unknown."""
    if gpu.used_bytes is None:
        return None
    taken = sum(part.amount for part in gpus.parts(gpu, {}, labels=False))
    return max(gpu.memory_bytes - round(taken), 0)


def _size_first(user: GpuProcessPart) -> tuple[bool, int, int]:
    return user.vram_bytes is None, -(user.vram_bytes or 0), user.pid


def _user(user: GpuProcessPart, names: Mapping[str, str]) -> Line:
    who = f"pid {user.pid}" if user.process is None else f"@{clean(user.process)}"
    what = "not started by aish" if user.process is None else names.get(user.process, "")
    figures = f"{amount.size(user.vram_bytes):>6} {amount.whole(user.sm_percent, '%'):>5}"
    return (Span(f"    {left(who, 12)} {left(what, 24)} {figures}", FAINT if user.process is None else PLAIN),)


def _waiting(entry: QueuePart, now_s: float) -> Line:
    wanted = amount.size(entry.vram_bytes) + (f" x {entry.gpu_count}" if entry.gpu_count > 1 else "")
    who = f"    {left('@' + clean(entry.process), 12)} {left(clean(entry.name), 24)} {wanted:>6}"
    return (Span(who), Span(f"  since {age(entry.since_s, now_s)}: {clean(entry.reason)}", WARN))
