"""Addresses that names lead to: only those out on the internet, unless that is said."""

from __future__ import annotations

import asyncio
import socket

import pytest

from aish.supervisor.egress import address
from aish.supervisor.egress.address import is_own, is_public
from aish.supervisor.egress.refused import RefusedError


@pytest.mark.parametrize(
    "text",
    [
        *("127.0.0.1", "127.9.9.9", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254"),
        *("100.64.0.1", "198.18.0.1", "192.0.2.1", "224.0.0.1", "255.255.255.255", "240.0.0.1"),
        *("::", "::1", "fe80::1", "fe80::1%lo", "fc00::1", "fd00:ec2::254", "ff02::1", "2001:db8::1"),
        *(
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::1",
            "2002:7f00:1::",
            "2002:a00:1::",
        ),
        *("2001:0:4136:e378:8000:63bf:80ff:fffe", "localhost", "", "1.2.3"),
    ],
)
def test_what_is_not_public(text: str) -> None:
    assert not is_public(text)


@pytest.mark.parametrize("text", ["1.1.1.1", "151.101.0.223", "2606:4700::1111", "::ffff:1.1.1.1"])
def test_what_is(text: str) -> None:
    assert is_public(text)


def test_this_machine_s_own_addresses_are_known() -> None:
    """A public one leads to services that are only meant for this machine."""
    assert is_own("127.0.0.1")
    assert not is_own("192.0.2.1")


def test_a_name_that_leads_inside_is_refused_and_connected_to_where_its_spec_names_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        async def tried(anywhere: bool) -> None:
            _, writer = await address.connect("localhost", port, anywhere=anywhere)
            writer.close()

        with pytest.raises(RefusedError) as refused:
            asyncio.run(tried(anywhere=False))
        assert refused.value.status == 403
        assert "not a public address" in str(refused.value)
        asyncio.run(tried(anywhere=True))


def test_the_address_that_was_checked_is_the_one_that_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that leads elsewhere at the second look (DNS rebinding) is not looked at twice."""
    looks = []

    async def resolve(host: str, port: int) -> list[str]:
        looks.append(host)
        return ["127.0.0.1"] if len(looks) > 1 else ["192.0.2.77"]

    async def connected(host: str, port: int, **_: object) -> None:
        raise OSError(f"asked for {host}")

    monkeypatch.setattr(address, "resolved", resolve)
    monkeypatch.setattr(address, "is_public", lambda text: text == "192.0.2.77")
    monkeypatch.setattr(asyncio, "open_connection", connected)
    with pytest.raises(RefusedError, match=r"asked for 192\.0\.2\.77"):
        asyncio.run(address.connect("rebind.example", 443, anywhere=False))
    assert looks == ["rebind.example"]


def test_a_name_that_is_not_there_is_told() -> None:
    with pytest.raises(RefusedError, match="is not known"):
        asyncio.run(address.connect("no-such-host.invalid", 443, anywhere=False))
