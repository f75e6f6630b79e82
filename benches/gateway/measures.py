"""The measurements. Each takes a gateway that answers and gives figures by name."""

from __future__ import annotations

from typing import NamedTuple

from benches import machine
from benches.gateway import cores, streams, wrk
from benches.gateway.cores import Cores
from benches.gateway.driver import Driver
from benches.gateway.streams import Order
from benches.gateway.upstream import Wish
from benches.gateway.wrk import Load
from benches.tables import Figures

CHUNKS = 200
PACE_MS = 10.0
MOST = 64
"""Connections and streams at a time."""
WARM_S = 1
LONG_S = 10
LONG_REQUESTS = 200_000


class Size(NamedTuple):
    """How long each measurement lasts."""

    load_s: int
    streams_s: float
    cores: Cores


def start(driver: Driver, size: Size) -> Figures:
    """On the gateway's core: how long until it answers, and what it needs then."""
    with cores.on(size.cores.gateway):
        start_s = driver.up()
    return {"start_s": start_s, "pss_mb_before": _pss_mb(driver.own())}


def warm(driver: Driver, size: Size) -> Figures:
    """Nobody's first requests are measured."""
    _load(driver, size, MOST, WARM_S)
    return {}


def one(driver: Driver, size: Size) -> Figures:
    """Whole answers over one connection."""
    return _whole(driver, size, 1)


def sixteen(driver: Driver, size: Size) -> Figures:
    """Whole answers over 16 connections, each one after the other."""
    return _whole(driver, size, 16)


def sixty_four(driver: Driver, size: Size) -> Figures:
    """Whole answers over 64 connections."""
    return _whole(driver, size, 64)


def _whole(driver: Driver, size: Size, connections: int) -> Figures:
    own = driver.own()
    before_ns = machine.cpu_ns(own)
    load = _load(driver, size, connections, size.load_s)
    used_ns = machine.cpu_ns(own) - before_ns
    return {
        f"cpu_us_{connections}": used_ns / 1000 / load.requests if own else None,
        f"p50_ms_{connections}": load.p50_us / 1000,
        f"p99_ms_{connections}": load.p99_us / 1000,
        f"per_s_{connections}": load.per_s,
    }


def _load(driver: Driver, size: Size, connections: int, seconds: int) -> Load:
    return wrk.load(driver.address, connections, seconds, folder=driver.folder, core=size.cores.load)


def paced(driver: Driver, size: Size) -> Figures:
    """Streams as a model writes them, all at a time: when the slowest has its last chunk."""
    found = streams.read(Order(driver.address, Wish(CHUNKS, PACE_MS), MOST), size.cores.load)
    return {"paced_s": found.last_s, "paced_lost": found.lost}


def unpaced(driver: Driver, size: Size) -> Figures:
    """Streams as fast as they come."""
    order = Order(driver.address, Wish(CHUNKS), MOST, size.streams_s)
    found = streams.read(order, size.cores.load)
    return {"streams_per_s": found.streams / found.spent_s, "unpaced_lost": found.lost}


def after(driver: Driver, size: Size) -> Figures:
    """What the gateway needs after all of this, and what all that has to run for it does."""
    return {"pss_mb_after": _pss_mb(driver.own()), "whole_pss_mb_after": _pss_mb(driver.whole())}


def _pss_mb(pids: list[int]) -> float | None:
    """None where nothing runs."""
    return machine.pss_bytes(pids) / 1e6 if pids else None


def long(driver: Driver, size: Size) -> Figures:
    """What memory grows by over many requests. What was measured before has warmed it."""
    before, done = machine.pss_bytes(driver.own()), 0
    while done < LONG_REQUESTS:
        done += _load(driver, size, MOST, LONG_S).requests
    return {"growth_mb": (machine.pss_bytes(driver.own()) - before) / 1e6}
