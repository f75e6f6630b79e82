"""A sandbox around one program that is about to be started: by the launcher, or by the host of an agent."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final, NamedTuple

from aish.errors import UnavailableError
from aish.model.sandbox import BWRAP, NONE, VARIABLE
from aish.sandbox import order, outlets, tier
from aish.sandbox.profile import plan
from aish.sandbox.settle import settle

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aish.sandbox.around import Around
    from aish.sandbox.outlets import Outlets
    from aish.sandbox.profile import Plan
    from aish.sandbox.tier import Holding
    from aish.wire.sandbox import SandboxPart

_VARIABLE: Final = os.fsencode(VARIABLE)


class Wanted(NamedTuple):
    """What would be started without a sandbox. `candidates`: the paths that exec would try."""

    argv: Sequence[bytes]
    env: Sequence[bytes]
    candidates: Sequence[bytes]
    cwd: bytes
    gpu: bool = False


class Wrapping(NamedTuple):
    around: Around
    holding: Holding

    def plan(self, part: SandboxPart, wanted: Wanted, own: Sequence[str]) -> Plan:
        """`own`: what it may write to of aish's folders."""
        part = settle(part, wanted.cwd, wanted.env, _program(wanted), self.around)
        cwd = os.path.realpath(wanted.cwd)  # where it is, by whatever name: links on the way are not there inside
        return plan(part, cwd, self.around, own, gpu=wanted.gpu)

    def _kept_out(self, part: SandboxPart) -> str | None:
        """By what its programs do not reach the supervisor; None: they do."""
        if self.holding.tier != BWRAP:
            return f"{part.profile}, {self.holding.tier}"
        return None if part.spawn else part.profile

    def order(
        self,
        part: SandboxPart,
        wanted: Wanted,
        *,
        to: Outlets,
        folder: str,
        sockets: Sequence[str] = (),
        stays: Sequence[str] = (),
    ) -> bytes:
        """What is written to the descriptor that `order.words` names. `folder`: private and its own; `stays`: such as
        are there for the next one, too; `sockets`: of aish, that it may speak to; only in the better tier.

        Raises UnavailableError."""
        if self.holding.tier == NONE:
            raise unavailable(self.holding)
        os.makedirs(folder, 0o700, exist_ok=True)
        own = [
            os.path.realpath(folder),
            *map(os.path.realpath, stays),
            *(sockets if self.holding.tier == BWRAP else ()),
        ]
        plan = self.plan(part, wanted, own)
        env = wanted.env if plan.network == "open" else outlets.environ(wanted.env, plan.doors, to, part.hosts)
        return order.encode(
            self.holding,
            plan,
            argv=wanted.argv,
            env=_marked(env, self._kept_out(part)),
            candidates=wanted.candidates,
            folder=own[0],
            ports=to.ports,
            channel=to.channel,
        )


def unavailable(holding: Holding) -> UnavailableError:
    why = "; ".join(f"{name}: {text}" for name, text in holding.why_not)
    return UnavailableError(f"no sandbox holds here ({why})", hint=tier.INSTALL)


def _marked(env: Sequence[bytes], by: str | None) -> list[bytes]:
    kept = [entry for entry in env if entry.partition(b"=")[0] != _VARIABLE]
    return kept if by is None else [*kept, _VARIABLE + b"=" + os.fsencode(by)]


def _program(wanted: Wanted) -> bytes:
    """The one that exec takes, as far as that can be told before it."""
    for path in wanted.candidates:
        if os.access(os.path.join(wanted.cwd, path), os.X_OK):
            return path
    return wanted.argv[0]
