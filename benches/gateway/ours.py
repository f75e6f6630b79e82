"""aish: keeper, holder, daemon and its gateway in private XDG folders; the upstream is a remote model there."""

from __future__ import annotations

import os
import secrets
import signal
from collections.abc import Iterator
from contextlib import contextmanager

from aish.client import connect, launch
from aish.errors import AishError, NotFoundError
from aish.wire.message import Inspect, KeyNew, Shutdown, Spawn
from aish.wire.reply import Inspected, KeyMade, Started
from aish.wire.spec import BudgetPart, PricePart, RoutePart, SpecPart
from benches import machine
from benches.gateway import upstream
from benches.gateway.driver import DEADLINE_S, Address, Driver, began_s

_FAR_TOKENS = 1 << 50
_FAR_USD = 900_000.0
_GATEWAY = "gateway"


class Ours(Driver):
    """With a named key: its tokens and its money are limited, far away, and each request is a row of the usage."""

    name = "aish"
    budgets = True

    def __init__(self, folder: str, upstream_url: str) -> None:
        super().__init__(folder, upstream_url)
        self._made: KeyMade | None = None

    def up(self) -> float | None:
        """All is made known first; then the gateway is killed, and the next one's start is measured."""
        for name in ("r", "s", "d", "c"):
            os.makedirs(f"{self.folder}/{name}", mode=0o700, exist_ok=True)
        tokens = _FAR_TOKENS if self.budgets else None
        budget = BudgetPart(usd=_FAR_USD) if self.budgets else None
        price = PricePart(input_usd=0.01, output_usd=0.04)
        spec = SpecPart(
            argv=[],
            cwd=os.fsencode(self.folder),
            name=upstream.MODEL,
            kind="model",
            route=RoutePart(url=self.upstream_url, upstream_name=upstream.MODEL, price=price),
            model=upstream.MODEL,
        )
        with self._surroundings(), connect() as client:
            client.ask(Started, Spawn(token=secrets.token_hex(16), spec=spec, launch=launch.capture()))
            self._made = client.ask(KeyMade, KeyNew(name="bench", budget_tokens=tokens, budget=budget))
        self.answering()
        before = self._gateway()
        machine.kill(before, signal.SIGKILL)
        machine.wait_gone([before], DEADLINE_S)
        answered_s = self.answering()
        return answered_s - began_s(self._gateway())

    @property
    def address(self) -> Address:
        assert self._made is not None
        return Address(self._made.base_url, {"Authorization": f"Bearer {self._made.key}"}, upstream.MODEL)

    def own(self) -> list[int]:
        return [self._gateway()]

    def whole(self) -> list[int]:
        return self.marked()

    def down(self) -> None:
        try:
            with self._surroundings(), connect(start=False) as client:
                client.request(Shutdown(force=True))
        except AishError:
            pass  # what is left is ended by its mark
        super().down()

    def _gateway(self) -> int:
        found: list[int] = []

        def runs() -> bool:
            with self._surroundings(), connect() as client:
                try:
                    pid = client.ask(Inspected, Inspect(target=_GATEWAY)).process.pid
                except NotFoundError:
                    return False
            if pid is not None and machine.comm(pid):
                found.append(pid)
            return bool(found)

        machine.until(runs, DEADLINE_S, "the gateway runs")
        return found[-1]

    @contextmanager
    def _surroundings(self) -> Iterator[None]:
        """The environment by which clients find this daemon, and which it is started with."""
        before = dict(os.environ)
        for name in ("RUNTIME_DIR", "STATE_HOME", "DATA_HOME", "CONFIG_HOME"):
            os.environ[f"XDG_{name}"] = f"{self.folder}/{name[0].lower()}"
        os.environ.pop("AISH_ID", None)
        os.environ.update(self.environ())
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(before)


class OursWithoutBudget(Ours):
    name = "aish, no budget"
    budgets = False
