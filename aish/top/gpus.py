"""The part of the frame about devices: a line each, or a box each where there is room. Pure."""

from __future__ import annotations

import re
import zlib
from typing import TYPE_CHECKING, Final

from aish.top import amount
from aish.top.bars import Part, bar, dots, shades
from aish.top.style import BAD, FAINT, GOOD, OWNERS, PLAIN, STRANGER, TITLE, WARN, Span, Style
from aish.top.text import clean, clip, columns, left

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aish.top.style import Line
    from aish.top.ui import Ui
    from aish.wire.part import GpuPart
    from aish.wire.reply import View

BOX_HEIGHT: Final = 6
MIN_BOX_WIDTH: Final = 44
STALE_S: Final = 5.0
"""A sample older than this is told with its age."""
_COMMON: Final = re.compile(r"^(NVIDIA|AMD|Intel)\s+|(GeForce|Radeon|Tesla)\s+|[\s-]*(PCIe|SXM\d?|HBM\d\w?).*$")


def short_name(name: str) -> str:
    """A device's name without the words that all of them have: NVIDIA H100 80GB HBM3 -> H100 80GB."""
    return _COMMON.sub("", clean(name)).strip() or clean(name).strip()


def lines(view: View, ui: Ui, width: int, most: int) -> list[Line]:
    """One line a device, at most `most`; the rest is summed up in the last."""
    if most <= 0 or not view.gpus:
        return []
    shown = view.gpus if len(view.gpus) <= most else view.gpus[: most - 1]
    label = min(max(len(f"GPU{gpu.index} ") + columns(short_name(gpu.name)) for gpu in view.gpus), max(width // 5, 5))
    made = [_line(gpu, ui, width, label) for gpu in shown]
    if len(shown) < len(view.gpus):
        made.append(_rest(view.gpus[len(shown) :], width))
    return made


def _line(gpu: GpuPart, ui: Ui, width: int, label: int) -> Line:
    """GPU0 H100 ▕██████▏ 71% ▕███████▎▏ 61/80G 512W 74C"""
    tail = f" {amount.of(gpu.used_bytes, gpu.memory_bytes):>9}"
    watts, degrees = amount.whole(gpu.power_w, "W"), amount.whole(gpu.temperature_c, "C")
    if width >= 60:
        tail += f" {watts:>5} {degrees:>4}"
    stale = _trouble(gpu)
    room = width - label - 5 - len(tail) - 4 - (columns(stale) + 1 if stale else 0)
    usage_width = min(max(room // 3, 0), 14)
    head = Span(left(f"GPU{gpu.index} {short_name(gpu.name)}", label), TITLE)
    spans = [head]
    if room >= 12:
        spans += edged(usage_bar(gpu, ui, usage_width), ui)
    spans.append(Span(f"{amount.whole(gpu.utilisation_percent, '%'):>5}"))
    if room >= 6:
        memory = room - usage_width if room >= 12 else room
        spans += edged(memory_bar(gpu, {}, ui, memory, labels=False), ui)
    spans.append(Span(tail))
    if stale:
        spans.append(Span(" " + clip(stale, width // 3), BAD))
    return tuple(spans)


def _rest(gpus: Sequence[GpuPart], width: int) -> Line:
    used = [gpu.used_bytes for gpu in gpus if gpu.used_bytes is not None]
    total = sum(gpu.memory_bytes for gpu in gpus)
    text = f"and {len(gpus)} more: {amount.of(sum(used) if len(used) == len(gpus) else None, total)} used"
    return (Span(clip(text, width), FAINT),)


def boxes(view: View, ui: Ui, width: int) -> list[Line]:
    """A box of BOX_HEIGHT lines a device, side by side as many as fit."""
    if not view.gpus:
        return []
    names = owner_names(view)
    across = per_row(len(view.gpus), width)
    made: list[Line] = []
    for start in range(0, len(view.gpus), across):
        group = view.gpus[start : start + across]
        share = width // across
        drawn = [
            _box(gpu, names, view, ui, share if place < across - 1 else width - share * (across - 1))
            for place, gpu in enumerate(group)
        ]
        made += [tuple(span for box in drawn for span in box[at]) for at in range(BOX_HEIGHT)]
    return made


def per_row(count: int, width: int) -> int:
    return max(1, min(count, 2, width // MIN_BOX_WIDTH))


def box_lines(count: int, width: int) -> int:
    """How many lines `boxes` takes for `count` devices."""
    return -(-count // per_row(count, width)) * BOX_HEIGHT if count else 0


def _box(gpu: GpuPart, names: Mapping[str, str], view: View, ui: Ui, width: int) -> list[Line]:
    inner = width - 4
    power, limit = amount.whole(gpu.power_w, "W"), amount.finite(gpu.power_limit_w)
    if limit is not None:
        power = f"{amount.whole(gpu.power_w)}/{limit:.0f}W"
    heat = amount.whole(gpu.temperature_c, "C")
    title = clip(f" GPU{gpu.index} {short_name(gpu.name)} ── {power} ─ {heat} ", width - 4)
    ring = ui.history.gpu_percent.get(gpu.uuid, ())
    graph: list[Line] = [edged(usage_bar(gpu, ui, inner - 12), ui), (Span(" " * (inner - 10)),)]
    if len(ring) > 1:
        graph = [(Span(row, GOOD),) for row in dots(ring, inner - 10, 2, 100.0, ascii_only=ui.ascii_only)]
    tail = amount.of(gpu.used_bytes, gpu.memory_bytes)
    memory = memory_bar(gpu, names, ui, inner - 8 - len(tail), labels=True)
    rows: list[Line] = [
        (Span(f"SM  {amount.whole(gpu.utilisation_percent, '%'):>4}  "), *graph[0]),
        (Span(" " * 10), *graph[1]),
        (Span("MEM "), *edged(memory, ui), Span("  " + tail)),
        (_promise(gpu, view, inner),),
    ]
    return [
        (Span("┌─"), Span(title, TITLE), Span("─" * (width - 3 - columns(title)) + "┐")),
        *((Span("│ "), *row, Span(" │")) for row in rows),
        (Span("└" + "─" * (width - 2) + "┘"),),
    ]


def _promise(gpu: GpuPart, view: View, width: int) -> Span:
    """What of the memory is promised, and the trouble that the device is in, or who waits for it."""
    trouble = _trouble(gpu)
    text = f"promised {amount.size(gpu.promised_bytes)}"
    if trouble:
        return Span(left(f"{text}   {trouble}", width), BAD)
    if view.queue:
        first = view.queue[0]
        text += f"   queue: {clean(first.name)} needs {amount.size(first.vram_bytes)}"
        if len(view.queue) > 1:
            text += f" and {len(view.queue) - 1} more"
    return Span(left(text, width), FAINT)


def _trouble(gpu: GpuPart) -> str:
    if gpu.error:
        return clean(gpu.error) + (f" ({amount.age(gpu.age_s)} ago)" if gpu.age_s is not None else "")
    if gpu.age_s is not None and gpu.age_s > STALE_S:
        return f"sample of {amount.age(gpu.age_s)} ago"
    return ""


def usage_bar(gpu: GpuPart, ui: Ui, width: int) -> Line:
    """The utilisation, green; empty where unknown."""
    busy = amount.finite(gpu.utilisation_percent)
    style = WARN if busy is not None and busy >= 95 else GOOD
    return bar([Part(min(busy or 0.0, 100.0), style)], 100.0, width, ascii_only=ui.ascii_only)


def memory_bar(gpu: GpuPart, names: Mapping[str, str], ui: Ui, width: int, *, labels: bool) -> Line:
    """The memory, split by owner: supervised processes in colours, strangers grey, promises light."""
    return bar(
        parts(gpu, names, labels=labels), gpu.memory_bytes, width, ascii_only=ui.ascii_only, mono=not ui.colour
    )


def parts(gpu: GpuPart, names: Mapping[str, str], *, labels: bool) -> list[Part]:
    """Owners by size, then what strangers hold or nobody accounts for, then what is promised beyond the use."""
    owned: dict[str, int] = {}
    strangers_bytes = 0
    for user in gpu.processes:
        held_bytes = user.vram_bytes or 0
        if user.process is None:
            strangers_bytes += held_bytes
        else:
            owned[user.process] = owned.get(user.process, 0) + held_bytes
    made: list[Part] = []
    last: Style | None = None
    for owner, held_bytes in sorted(owned.items(), key=lambda item: (-item[1], item[0])):
        last = _owner_style(owner, last)
        made.append(Part(held_bytes, last, _labels(names.get(owner, owner), held_bytes) if labels else ()))
    supervised_bytes = sum(owned.values())
    if gpu.used_bytes is not None:
        strangers_bytes = max(strangers_bytes, gpu.used_bytes - supervised_bytes)
    if strangers_bytes > 0:
        made.append(Part(strangers_bytes, STRANGER, _labels("others", strangers_bytes) if labels else ()))
    free_bytes = gpu.memory_bytes - supervised_bytes - strangers_bytes
    unused_bytes = min(gpu.promised_bytes - supervised_bytes, free_bytes)
    if unused_bytes > 0:
        made.append(shades(unused_bytes))
    return made


def _labels(name: str, held_bytes: int) -> tuple[str, ...]:
    return f"{name} {amount.size(held_bytes)}", name, clip(name, 6)


def _owner_style(owner: str, neighbour: Style | None) -> Style:
    """The same colour for the same process in every view, but never that of its neighbour in the bar."""
    at = zlib.crc32(owner.encode()) % len(OWNERS)
    return OWNERS[at] if OWNERS[at] != neighbour else OWNERS[(at + 1) % len(OWNERS)]


def owner_names(view: View) -> dict[str, str]:
    return {process.id: clean(process.name) for process in view.processes}


def edged(line: Line, ui: Ui) -> Line:
    """A bar between its two ends."""
    return (_edge(ui, True), *line, _edge(ui, False))


def _edge(ui: Ui, opening: bool) -> Span:
    if ui.ascii_only:
        return Span("[" if opening else "]", PLAIN)
    return Span("▕" if opening else "▏", FAINT)
