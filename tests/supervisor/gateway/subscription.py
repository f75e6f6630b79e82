"""A scripted server of a subscription: Claude's dialect, and the headers that tell of its usage windows."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from aiohttp import web

from .claude import LOGIN, Claude

if TYPE_CHECKING:
    from collections.abc import Mapping

OTHER = "Bearer sk-ant-oat-another-subscription"
RENEWED = "Bearer sk-ant-oat-the-first-one-renewed"
PREFIX = "anthropic-ratelimit-unified-"
FIVE_HOURS_S = 5 * 3600


class Subscription(Claude):
    """`told` are the headers of every answer by the bearer that asked; `step` is added to the use of five hours with
    each."""

    logins = (LOGIN, OTHER, RENEWED)

    def __init__(self, address: str, **more: Any) -> None:
        super().__init__(address, **more)
        self.told: dict[str | None, dict[str, str]] = {}
        self.step = 0.0

    def _routes(self, app: web.Application) -> None:
        super()._routes(app)
        app.on_response_prepare.append(self._tell)

    async def _tell(self, request: web.Request, response: web.StreamResponse) -> None:
        told = self.told.get(request.headers.get("Authorization"), {})
        response.headers.update(told)
        used = f"{PREFIX}5h-utilization"
        if used in told and self.step and request.path == "/v1/messages":
            told[used] = f"{float(told[used]) + self.step:.2f}"


def unified(
    used: float | None = None, resets_s: float | None = None, window: str = "5h", **more: str
) -> dict[str, str]:
    """Headers of one window; it ends in an hour where nothing else is said."""
    ends_s = time.time() + 3600 if resets_s is None else resets_s
    told = {f"{PREFIX}{window}-reset": f"{ends_s:.0f}", f"{PREFIX}{window}-status": "allowed"}
    if used is not None:
        told[f"{PREFIX}{window}-utilization"] = str(used)
    return told | {PREFIX + name.replace("_", "-"): value for name, value in more.items()}


def joined(*told: Mapping[str, str]) -> dict[str, str]:
    return {name: value for each in told for name, value in each.items()}
