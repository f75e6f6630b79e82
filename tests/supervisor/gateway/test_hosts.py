"""Which Host is ours: a page must not come in by a name of its own that points at this machine (DNS rebinding)."""

from __future__ import annotations

import pytest

from aish.supervisor.gateway.hosts import Hosts

LOOPBACK = ["127.0.0.1", "127.0.0.1:80", "localhost:4711", "LOCALHOST", "[::1]", "[0:0::1]:80"]
FOREIGN = ["", ":", "[", "[]", "]", "evil.example", "evil.example:80", "127.0.0.1.evil.example", "::1", "[localhost]"]


@pytest.mark.parametrize("told", [[], ["127.0.0.1"], ["127.0.0.1", "192.168.1.5"], ["0.0.0.0", "::"]])
def test_the_loopback_always_and_strange_names_never(told: list[str]) -> None:
    hosts = Hosts(told)
    assert [host for host in LOOPBACK if not hosts.admit(host)] == []
    assert [host for host in FOREIGN if hosts.admit(host)] == []
    assert not hosts.admit("0.0.0.0:80"), "browsers take it for the loopback"
    assert not hosts.admit("[::]:80")


def test_an_address_that_was_told_and_no_other() -> None:
    hosts = Hosts(["127.0.0.1", "192.168.1.5", "fd00::5"])
    assert hosts.admit("192.168.1.5:4711")
    assert hosts.admit("[FD00:0::5]:4711")
    assert not hosts.admit("192.168.1.6:4711")
    assert not hosts.admit("[fd00::6]")


def test_any_address_where_it_listens_on_all() -> None:
    """None of them is asked of a name server, so none of them can be a page's own name."""
    hosts = Hosts(["0.0.0.0"])
    assert hosts.admit("192.168.1.6:4711")
    assert not hosts.admit("192.168.1.6.evil.example")
    assert not hosts.admit("3232235782"), "a number is no way to write an address"


def test_names_that_were_listed() -> None:
    hosts = Hosts(names=["gpu-box.lan"])
    assert hosts.admit("GPU-box.lan:4711")
    assert not hosts.admit("gpu-box.lan.evil.example")
    assert not hosts.admit("x.gpu-box.lan")
    hosts.call(["other.lan"])
    assert hosts.admit("other.lan")
    assert not hosts.admit("gpu-box.lan:4711"), "what was answered before is not kept"
