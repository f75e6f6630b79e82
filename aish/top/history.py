"""What the last minutes looked like: rings for sparklines and graphs. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from aish.top.amount import finite

if TYPE_CHECKING:
    from aish.wire.reply import View

KEEP: Final = 300
Ring = tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class History:
    """One value per view, the newest last, at most KEEP; None where it was unknown."""

    tokens_per_s: Ring = ()
    cpu_percent: Ring = ()
    gpu_percent: dict[str, Ring] = field(default_factory=dict)
    """By device uuid."""

    def add(self, view: View) -> History:
        """This history and one more view."""
        return History(
            tokens_per_s=_push(self.tokens_per_s, tokens_per_s(view)),
            cpu_percent=_push(self.cpu_percent, view.cpu_percent),
            gpu_percent={
                gpu.uuid: _push(self.gpu_percent.get(gpu.uuid, ()), gpu.utilisation_percent) for gpu in view.gpus
            },
        )


def _push(ring: Ring, value: float | None) -> Ring:
    return (*ring[-KEEP + 1 :], finite(value))


def tokens_per_s(view: View) -> float | None:
    """Tokens per second of all models together; where no model tells, of all other processes.

    An agent's tokens are its model's as well: adding both would count each twice.
    """
    models = [process.tokens_per_s for process in view.processes if process.kind == "model"]
    others = [process.tokens_per_s for process in view.processes if process.kind != "model"]
    for rates in (models, others):
        known = [rate for rate in rates if finite(rate) is not None]
        if known:
            return sum(rate for rate in known if rate is not None)
    return None
