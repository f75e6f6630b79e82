"""What requests cost: by a price that was set, by a vendor's list, nothing on this machine, unknown."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import msgspec
import pytest

from aish.supervisor.gateway.amounts import PICO
from aish.supervisor.gateway.dialects.anthropic import reply
from aish.supervisor.gateway.meter import Used
from aish.supervisor.gateway.prices import Prices, reckon
from aish.supervisor.gateway.routes import Server
from aish.wire.spec import PricePart

if TYPE_CHECKING:
    from .conftest import World

USED = Used(1000, 100, cached=500, written=200)


@pytest.mark.parametrize(
    ("price", "seconds", "usd"),
    [
        (PricePart(input_usd=2, output_usd=10), 0.0, 1000 * 2e-6 + 100 * 10e-6),
        (
            PricePart(input_usd=2, output_usd=10, cached_usd=0.2, written_usd=2.5),
            0.0,
            300 * 2e-6 + 500 * 0.2e-6 + 200 * 2.5e-6 + 100 * 10e-6,
        ),
        (PricePart(hour_usd=0.36), 10.0, 0.001),
    ],
)
def test_a_price_that_was_set(price: PricePart, seconds: float, usd: float) -> None:
    assert reckon(price, USED, seconds) == pytest.approx(usd)
    server = Server("p1", "m", "https://api.openai.com/v1", upstream_name="gpt-4o", price=price)
    cost = Prices().cost(server, USED, seconds)
    assert cost is not None
    assert cost.usd == pytest.approx(usd)
    assert cost.price.startswith("set: ")


def test_what_runs_here_is_free_unless_somebody_says_otherwise() -> None:
    cost = Prices().cost(Server("p1", "m", "unix:/x"), USED, 1.0)
    assert cost is not None
    assert (cost.usd, cost.price) == (0.0, "local")


def test_a_vendor_s_list_counts_cached_input_apart() -> None:
    server = Server("p1", "c", "https://api.anthropic.com", upstream_name="claude-sonnet-4-5", dialect="anthropic")
    whole = Prices().cost(server, Used(1000, 100), 0.0)
    cached = Prices().cost(server, Used(1000, 100, cached=1000), 0.0)
    assert whole is not None
    assert cached is not None
    assert 0 < cached.usd < whole.usd
    assert whole.price.startswith("genai-prices ")
    assert "claude-sonnet-4-5" in whole.price


def test_what_is_cached_for_an_hour_and_searches_cost_more_than_tokens_do() -> None:
    """Both were counted as if they were ordinary writes and nothing: the budget of money held less than it said."""
    server = Server("p1", "c", "https://api.anthropic.com", upstream_name="claude-sonnet-4-5", dialect="anthropic")
    told = {"input_tokens": 10, "output_tokens": 5, "cache_creation_input_tokens": 900}
    told |= {"cache_creation": {"ephemeral_5m_input_tokens": 100, "ephemeral_1h_input_tokens": 800}}
    told |= {"server_tool_use": {"web_search_requests": 2, "web_fetch_requests": 1}}
    usage = reply.usage(msgspec.Raw(msgspec.json.encode(told)))
    assert usage is not None
    used = usage.used()
    assert used == Used(910, 5, written=900, written_1h=800, searches=2)
    cost = Prices().cost(server, used, 0.0)
    assert cost is not None
    assert cost.usd == pytest.approx((10 * 3 + 100 * 3.75 + 800 * 6 + 5 * 15) / 1e6 + 2 * 0.01)


def test_the_bound_is_above_what_a_cache_of_an_hour_costs() -> None:
    server = Server("p1", "c", "https://api.anthropic.com", upstream_name="claude-sonnet-4-5", dialect="anthropic")
    price = Prices().bound(server)
    cost = Prices().cost(server, Used(900_000, 0, written=900_000, written_1h=900_000), 0.0)
    assert price is not None
    assert cost is not None
    assert cost.usd <= 900_000 * price.input / PICO


@pytest.mark.parametrize(
    ("vendor", "model"),
    [
        ("https://generativelanguage.googleapis.com", "gemini-2.5-pro"),
        ("https://api.anthropic.com", "claude-sonnet-4-5"),
    ],
)
def test_the_bound_is_above_what_a_long_prompt_makes_an_answer_cost(vendor: str, model: str) -> None:
    """The output of 300,000 tokens of input was bounded by the price of an answer to a short prompt."""
    server = Server("p1", "m", vendor, upstream_name=model)
    price, cost = Prices().bound(server), Prices().cost(server, Used(300_000, 60_000), 0.0)
    assert price is not None
    assert cost is not None
    assert cost.usd <= (300_000 * price.input + 60_000 * price.output) / PICO


@pytest.mark.parametrize(
    "server",
    [
        Server("p1", "m", "https://api.openai.com/v1", upstream_name="no-such-model-9"),
        Server("p1", "m", "https://models.example.org/v1", upstream_name="gpt-4o"),
    ],
)
def test_what_is_in_no_list_is_unknown_and_not_free(server: Server) -> None:
    assert Prices().cost(server, USED, 1.0) is None


def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is an extra: what remote models cost is then unknown."""
    monkeypatch.setitem(sys.modules, "genai_prices", None)
    server = Server("p1", "m", "https://api.openai.com/v1", upstream_name="gpt-4o")
    assert Prices().cost(server, USED, 1.0) is None


def test_the_whole_way(shared: World) -> None:
    """Rows keep cost and price, the daemon is told the sums, a project is known from the process or one above."""
    shared.daemon.model("p30", "dear", shared.upstream.route, price=PricePart(input_usd=1000, output_usd=10_000))
    shared.daemon.ready("p30")
    id, key = shared.agent(project="/a/aish.toml")
    shared.gateway.chat(key, "say 5 think 2 cached 1 please", model="dear")
    told = shared.daemon.settled(id, 1).tokens
    assert (told.input, told.output, told.cached, told.reasoning, told.unpriced) == (8, 5, 1, 2, 0)
    assert told.cost_usd == pytest.approx(8 * 1e-3 + 5 * 1e-2)
    (row,) = shared.gateway.rows(f"process = '{id}'")
    assert (row["cost_usd"], row["price"], row["project"]) == (
        pytest.approx(0.058),
        "set: input=1000 output=10000",
        "/a/aish.toml",
    )
    shared.daemon.change("p30", alive=False)
