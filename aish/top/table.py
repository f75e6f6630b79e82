"""The table of processes: its columns, which of them fit, and its lines. Pure."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Final, NamedTuple

from aish.model import state
from aish.top import amount
from aish.top.style import BAD, CHOSEN, FAINT, GOOD, HEAD, NOTE, PLAIN, WARN, Span
from aish.top.text import clean, columns, decoded, left, right

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from aish.top.rows import Related, Row
    from aish.top.style import Line, Style
    from aish.top.ui import Ui
    from aish.wire.part import ProcessPart
    from aish.wire.reply import View

VRAM_ALERT: Final = 0.95
"""Of the quota; from here on the cell carries a '!'."""
BUDGET_ALERT: Final = 0.9
MIN_NAME: Final = 9
MAX_NAME: Final = 32
_STATE_STYLES: Final[dict[str, Style]] = (
    dict.fromkeys(("generating", "tool", "running", "ready"), GOOD)
    | dict.fromkeys(
        ("needs-input", "paused", "over-budget", "out-of-memory", "held", "backoff", "parked", "waiting"), WARN
    )
    | dict.fromkeys(("queued", "starting", "loading", "stopping"), NOTE)
    | dict.fromkeys(("failed", "lost"), BAD)
    | dict.fromkeys(("idle", "asleep", "exited"), FAINT)
)


class Cell(NamedTuple):
    text: str
    style: Style = PLAIN


class Column(NamedTuple):
    """`keep` orders what goes first when the screen is narrow: the highest number."""

    title: str
    width: int
    most: int
    keep: int
    to_right: bool
    cell: Callable[[Row, Related, View], Cell]


def table(
    view: View, listed: Sequence[Row], facts: Related, ui: Ui, width: int, height: int, chosen: int
) -> list[Line]:
    """The heading and as many rows as fit; the chosen one is always among them."""
    if height <= 0:
        return []
    room = height - 1
    first = max(0, min(chosen - room // 2, len(listed) - room))
    shown = listed[first : first + room]
    cells = [[column.cell(row, facts, view) for column in COLUMNS] for row in shown]
    widths = _widths(cells, width)
    lines: list[Line] = [(Span(_line([Cell(c.title) for c in COLUMNS], widths, width), HEAD),)]
    for at, row in enumerate(cells, first):
        if ui.interactive and at == chosen:
            lines.append((Span(_line(row, widths, width), CHOSEN),))
        else:
            lines.append(_spans(row, widths))
    return lines


def _widths(cells: Sequence[Sequence[Cell]], width: int) -> list[int]:
    """The width of each column, 0 where it is left out.

    NAME and DOING share what is left, by the width of the screen alone: they must not jump from view to view.
    """
    wanted = [
        min(max([column.width] + [columns(row[at].text) for row in cells]), column.most)
        for at, column in enumerate(COLUMNS)
    ]
    wanted[_NAME] = min(max(width // 6, MIN_NAME), MAX_NAME)
    wanted[_DOING] = COLUMNS[_DOING].width
    chosen = [0] * len(COLUMNS)
    used = -1  # no gap before the first
    for at in sorted(range(len(COLUMNS)), key=lambda at: COLUMNS[at].keep):
        if used + 1 + wanted[at] > width:
            break
        chosen[at] = wanted[at]
        used += 1 + wanted[at]
    if not any(chosen):
        chosen[_NAME] = width
    elif chosen[_DOING]:
        chosen[_DOING] += width - used
    else:
        chosen[_NAME] += min(width - used, max(MAX_NAME - chosen[_NAME], 0))
    return chosen


def _line(cells: Sequence[Cell], widths: Sequence[int], width: int) -> str:
    return left(" ".join(_padded(cells, widths)), width)


def _spans(cells: Sequence[Cell], widths: Sequence[int]) -> Line:
    made: list[Span] = []
    texts = _padded(cells, widths)
    styles = [cell.style for cell, columns_ in zip(cells, widths, strict=True) if columns_]
    for at, (text, style) in enumerate(zip(texts, styles, strict=True)):
        if at:
            text = " " + text
        if made and made[-1].style == style:
            made[-1] = Span(made[-1].text + text, style)
        else:
            made.append(Span(text, style))
    return tuple(made)


def _padded(cells: Sequence[Cell], widths: Sequence[int]) -> list[str]:
    return [
        (right if column.to_right else left)(cell.text, columns_)
        for cell, column, columns_ in zip(cells, COLUMNS, widths, strict=True)
        if columns_
    ]


def _name(row: Row, facts: Related, view: View) -> Cell:
    return Cell(row.stem + (clean(row.process.name) or amount.UNKNOWN))


def _state(row: Row, facts: Related, view: View) -> Cell:
    word = clean(row.process.state)
    return Cell(word, _STATE_STYLES.get(word, PLAIN))


def _gpu(row: Row, facts: Related, view: View) -> Cell:
    """The devices it is on; of an agent, the model that it uses over the gateway."""
    process = row.process
    if process.gpus:
        return Cell(",".join(str(index) for index in process.gpus))
    if process.model is not None and process.model in facts.model_ids and process.kind != "model":
        return Cell("→" + clean(facts.model_ids[process.model]), FAINT)
    return _UNKNOWN


def _vram(row: Row, facts: Related, view: View) -> Cell:
    used, quota = row.process.vram_bytes, row.process.vram_quota_bytes
    if quota is None:
        return _UNKNOWN if used is None else Cell(amount.size(used))
    if used is not None and used >= VRAM_ALERT * quota:
        return Cell(amount.of(used, quota) + "!", BAD)
    return Cell(amount.of(used, quota))


def _sm(row: Row, facts: Related, view: View) -> Cell:
    return Cell(amount.whole(facts.sm_percent.get(row.process.id)))


def _cpu(row: Row, facts: Related, view: View) -> Cell:
    return Cell(amount.whole(row.process.cpu_percent))


def _rss(row: Row, facts: Related, view: View) -> Cell:
    return Cell(amount.size(row.process.rss_bytes))


def _rate(row: Row, facts: Related, view: View) -> Cell:
    return Cell(amount.count(row.process.tokens_per_s))


def _tokens(row: Row, facts: Related, view: View) -> Cell:
    tokens, budget = row.process.tokens, row.process.budget_tokens
    spent = None if tokens is None else tokens.input + tokens.output
    if budget is None:
        return Cell(amount.count(spent))
    text = f"{amount.count(spent)}/{amount.count(budget)}"
    if spent is not None and spent >= BUDGET_ALERT * budget:
        return Cell(text + "!", BAD)
    return Cell(text)


def _age(row: Row, facts: Related, view: View) -> Cell:
    process = row.process
    until_s = process.ended_s if process.ended_s is not None else view.time_s
    return Cell(amount.age(until_s - (process.started_s or process.created_s)))


def _doing(row: Row, facts: Related, view: View) -> Cell:
    return Cell(doing(row.process), FAINT)


def doing(process: ProcessPart) -> str:
    """How it ended, why it waits, what it does, or else its command line."""
    if process.lifecycle in state.ENDED:
        return ended(process)
    if process.lifecycle == state.BACKOFF and not process.reason:
        return f"{ended(process)}: restart {process.restarts + 1} follows"
    return clean(process.reason or process.doing or "") or _command(process)


def _command(process: ProcessPart) -> str:
    """The command line, the program without its folder."""
    words = [decoded(word) for word in process.argv]
    return " ".join([words[0].rpartition("/")[2] or words[0], *words[1:]]) if words else ""


def ended(process: ProcessPart) -> str:
    """The end in a few words: 'exit 3', 'exit 75: budget', 'killed by SIGTERM', 'exit unknown'."""
    how = process.exit
    if how is None or (how.code is None and how.signal is None):
        if process.never_ran and process.reason:
            return clean(process.reason)
        text = "exit unknown" if process.lifecycle != state.FAILED else ""
    elif how.signal is not None:
        text = f"killed by {_signal_name(how.signal)}"
    else:
        text = f"exit {how.code}"
    reason = how.reason if how is not None and how.reason not in (None, "done") else process.reason
    return ": ".join(part for part in (text, clean(reason or "")) if part)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


_UNKNOWN: Final = Cell(amount.UNKNOWN)

COLUMNS: Final = (
    Column("ID", 4, 8, 1, False, lambda row, facts, view: Cell(clean(row.process.id))),
    Column("NAME", MIN_NAME, MAX_NAME, 0, False, _name),
    Column("KIND", 5, 7, 7, False, lambda row, facts, view: Cell(clean(row.process.kind))),
    Column("STATE", 10, 13, 2, False, _state),
    Column("GPU", 3, 6, 8, False, _gpu),
    Column("VRAM/QUOTA", 10, 13, 5, True, _vram),
    Column("SM%", 3, 4, 9, True, _sm),
    Column("CPU%", 4, 6, 3, True, _cpu),
    Column("RSS", 5, 5, 4, True, _rss),
    Column("TOK/S", 5, 5, 10, True, _rate),
    Column("TOKENS", 6, 12, 6, True, _tokens),
    Column("AGE", 5, 5, 11, True, _age),
    Column("DOING", 12, 200, 12, False, _doing),
)
"""In the order in which they stand."""

_NAME: Final = 1
_DOING: Final = len(COLUMNS) - 1
