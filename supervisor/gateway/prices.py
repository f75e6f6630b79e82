"""What a request cost: by the price that its model was given, else by what is known of its vendor (genai-prices).

A server on this machine that nobody gave a price costs nothing. A price that nobody knows is None, and never 0.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import math
import threading
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import msgspec

from aish.supervisor.gateway.amounts import FREE as FREE_TOKENS
from aish.supervisor.gateway.amounts import PICO, Price
from aish.supervisor.gateway.log import log
from aish.supervisor.gateway.meter import Used

if TYPE_CHECKING:
    from aish.supervisor.gateway.routes import Server
    from aish.wire.spec import PricePart

MILLION: Final = 1_000_000
HOUR_S: Final = 3600.0
_LIBRARY: Final = "genai_prices"
FREE: Final = "local"


class Cost(msgspec.Struct, frozen=True):
    """`price` says what it was reckoned by, in words that stay true when prices change."""

    usd: float
    price: str


_PROBES: Final = (
    *(Used(MILLION, 0), Used(MILLION, 0, written=MILLION), Used(MILLION, 0, written=MILLION, written_1h=MILLION)),
    *(Used(0, MILLION), Used(MILLION, MILLION)),  # what an answer to a long prompt costs may be more
)


class Prices:
    """One per gateway. The library takes a third of a second to load: `expect` has a thread begin with it."""

    def __init__(self) -> None:
        self._loading = threading.Lock()
        self._library: Any = None
        self._missing = False

    def expect(self, server: Server) -> None:
        """Requests to this server may come."""
        if server.price is None and not server.local and self._library is None:
            threading.Thread(target=self._load, name="prices", daemon=True).start()

    def cost(self, server: Server, used: Used, seconds: float, asked: str = "") -> Cost | None:
        """`asked`: the model's name as the client said it, for a server of several."""
        if server.price is not None:
            return Cost(reckon(server.price, used, seconds), _words(server.price))
        if server.local:
            return Cost(0.0, FREE)
        self._load()
        return None if self._library is None else self._known(server, used, asked)

    def bound(self, server: Server, asked: str = "") -> Price | None:
        """The most that a token of input and of output may cost, without what is asked by the hour; None: unknown."""
        if server.price is not None:
            return _dearest(server.price)
        if server.local:
            return FREE_TOKENS
        self._load()
        found = []
        for used in _PROBES:
            cost = None if self._library is None else self._known(server, used, asked)
            if cost is None:
                return None
            found.append(cost.usd)
        read, written, kept, short, both = found
        return Price(_pico(max(read, written, kept)), _pico(max(short, both - read)))

    def _load(self) -> None:
        with self._loading:
            if self._library is not None or self._missing:
                return
            try:
                self._library = importlib.import_module(_LIBRARY)
            except ImportError:
                self._missing = True
                log("prices", "genai-prices is not installed: what remote models cost is not known")

    def _known(self, server: Server, used: Used, asked: str) -> Cost | None:
        usage = self._library.Usage(
            input_tokens=used.input,
            cache_read_tokens=used.cached,
            cache_write_tokens=used.written,
            output_tokens=used.output,
            cache_write_1h_tokens=used.written_1h or None,
            web_searches=used.searches or None,
        )
        try:
            found = self._library.calc_price(usage, model_ref=server.known_as(asked), provider_api_url=server.url)
        except (LookupError, ValueError):
            return None  # neither vendor nor model is in its lists, or the figures make no sense to it
        source = (
            f"genai-prices {self._library.__version__}: {found.provider.id}/{found.model.id}, {found.model_price}"
        )
        return Cost(float(found.total_price), source)


@cache
def _dearest(price: PricePart) -> Price:
    most = max(price.input_usd, price.cached_usd or 0.0, price.written_usd or 0.0)
    return Price(_pico(most), _pico(price.output_usd))


def _pico(usd_per_million: float) -> int:
    """Picodollars for a token, rounded up."""
    return math.ceil(usd_per_million * (PICO // MILLION))


def reckon(price: PricePart, used: Used, seconds: float) -> float:
    """USD of one request that took so long."""
    plain = used.input - used.cached - used.written
    cached = price.input_usd if price.cached_usd is None else price.cached_usd
    written = price.input_usd if price.written_usd is None else price.written_usd
    tokens = plain * price.input_usd + used.cached * cached + used.written * written + used.output * price.output_usd
    return tokens / MILLION + seconds / HOUR_S * price.hour_usd


@cache
def _words(price: PricePart) -> str:
    told = {
        "input": price.input_usd,
        "cached": price.cached_usd,
        "written": price.written_usd,
        "output": price.output_usd,
        "hour": price.hour_usd or None,
    }
    return "set: " + " ".join(f"{name}={value:g}" for name, value in told.items() if value is not None)
