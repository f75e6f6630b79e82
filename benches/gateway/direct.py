"""No gateway: the client asks the upstream itself."""

from __future__ import annotations

from benches.gateway import upstream
from benches.gateway.driver import Address, Driver


class Direct(Driver):
    name = "direct"

    def up(self) -> float | None:
        self.answering()
        return None

    @property
    def address(self) -> Address:
        return Address(self.upstream_url, {"Authorization": "Bearer sk-bench"}, upstream.MODEL)
