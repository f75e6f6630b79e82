"""The simulated provider in a thread of the tests, which wait for what it saw."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aish.plugins.simprovider import thread

if TYPE_CHECKING:
    from collections.abc import Callable

    from aish.plugins.simprovider.server import Provider

DEADLINE_S = 60.0


class Running(thread.Running):
    def wait_for(self, condition: Callable[[Provider], bool], deadline_s: float = DEADLINE_S) -> None:
        provider = self.provider
        with provider.changed:
            assert provider.changed.wait_for(lambda: condition(provider), deadline_s), (
                "the provider did not get there"
            )
