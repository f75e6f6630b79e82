"""Where the gateway listens if config.toml says more than the loopback: real sockets, a real gateway."""

from __future__ import annotations

import http.client
import os
import signal
import socket
from typing import TYPE_CHECKING

import pytest

from aish.supervisor.daemon import listening
from aish.wire.message import KeyNew
from aish.wire.reply import KeyMade

if TYPE_CHECKING:
    from .conftest import Supervised

OTHER = "127.0.0.2"
"""Of this machine, and not 127.0.0.1."""


def ask(address: str, port: int, host: str, key: str = "", path: str = "/v1/models") -> int:
    connection = http.client.HTTPConnection(address, port, timeout=60)
    try:
        connection.request("GET", path, headers={"Host": host, "Authorization": f"Bearer {key}"})
        return connection.getresponse().status
    finally:
        connection.close()


def say(up: Supervised, text: str) -> None:
    folder = up.home.config
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.toml").write_text(text)


def anew(up: Supervised) -> int:
    """The port of the next supervisor, which has read config.toml."""
    assert up.home.aish("shutdown").returncode == 0
    up.next_daemon()
    return int(up.client.welcome.gateway_url.rpartition(":")[2])


def listens(address: str, port: int) -> bool:
    try:
        socket.create_connection((address, port), timeout=60).close()
    except ConnectionRefusedError:
        return False
    return True


@pytest.mark.parametrize(
    ("told", "bound"),
    [
        ("127.0.0.1", ["127.0.0.1"]),
        ("192.168.1.5", ["127.0.0.1", "192.168.1.5"]),
        ("::1", ["127.0.0.1", "::1"]),
        ("0.0.0.0", ["0.0.0.0"]),
        ("::", ["0.0.0.0", "::"]),
    ],
)
def test_the_first_one_always_covers_the_loopback(told: str, bound: list[str]) -> None:
    assert listening.addresses(told) == bound
    assert listening.beyond(["127.0.0.1", "127.0.0.2", "::1"]) == []
    assert listening.beyond(listening.addresses("::")) == ["0.0.0.0", "::"]


@pytest.mark.skipif(not socket.has_ipv6 or not os.path.exists("/proc/net/if_inet6"), reason="no IPv6 here")
def test_both_families_at_one_port() -> None:
    """A socket of IPv6 that took connections of IPv4 as well would be in the way of the first one."""
    first = listening.listen("0.0.0.0", 0)
    with first, listening.listen("::", first.getsockname()[1]) as second:
        assert listening.where([first, second]) == ["0.0.0.0", "::"]
        for host in ("127.0.0.1", "::1"):
            socket.create_connection((host, first.getsockname()[1]), timeout=60).close()


@pytest.mark.usefixtures("home")
def test_an_address_that_was_told_is_kept_over_all_deaths(up: Supervised) -> None:
    """Its second socket was forgotten by a gateway that begins anew, or a key was not asked for there."""
    say(up, f'[gateway]\naddress = "{OTHER}"\nhosts = ["gpu-box.lan"]\n')
    port = anew(up)
    url = up.client.welcome.gateway_url
    assert url == f"http://127.0.0.1:{port}", "programs here are told the loopback"
    assert ask(OTHER, port, OTHER) == 401, "the first connection there starts it, and a key is needed"
    assert ask(OTHER, port, OTHER, path="/health") == 200
    key = up.client.ask(KeyMade, KeyNew(name="me")).key
    for host in (f"{OTHER}:{port}", "gpu-box.lan", "127.0.0.1"):
        assert ask(OTHER, port, host, key) == ask("127.0.0.1", port, host, key) == 200, host
    assert ask(OTHER, port, "evil.example", key) == ask("127.0.0.1", port, "127.0.0.3", key) == 403
    assert not listens("127.0.0.3", port)

    os.kill(up.row("gateway").pid or 0, signal.SIGKILL)
    assert ask(OTHER, port, "gpu-box.lan", key) == 200, "a connection during the restart waits instead of failing"
    up.kill_daemon()
    assert ask(OTHER, port, OTHER, key) == 200
    up.next_daemon()
    assert up.view().alerts == []

    say(up, '[gateway]\nhosts = ["box.lan"]\n')
    up.client.reconnect()
    (alert,) = up.view().alerts
    assert f"listens on 127.0.0.1 and {OTHER}: config.toml says 127.0.0.1" in alert
    assert "after `aish shutdown`" in alert
    up.until("names are taken at once", lambda: ask(OTHER, port, "box.lan", key) == 200)
    assert ask(OTHER, port, "gpu-box.lan", key) == 403
    up.kill_daemon()
    up.next_daemon()
    assert up.view().alerts == [alert]
    os.kill(up.row("gateway").pid or 0, signal.SIGKILL)
    assert ask(OTHER, port, OTHER, key) == 200, "with as many sockets as there are"

    for pid in up.programs().values():
        os.kill(pid, signal.SIGKILL)
    up.next_daemon()
    assert up.client.welcome.gateway_url == url
    assert ask("127.0.0.1", port, "127.0.0.1", key) == 200, "begun again with one socket, its row had two"
    assert not listens(OTHER, port)
    assert "failed" not in [event.kind for event in up.events() if event.process == "gateway"]
    assert not [alert for alert in up.view().alerts if "listens on" in alert]


@pytest.mark.usefixtures("home")
def test_everywhere_is_told_by_doctor(up: Supervised) -> None:
    say(up, '[gateway]\naddress = "0.0.0.0"\n')
    port = anew(up)
    assert up.client.welcome.gateway_url == f"http://127.0.0.1:{port}"
    assert up.client.ask(KeyMade, KeyNew(name="me")).base_url == f"http://127.0.0.1:{port}/v1"
    assert ask("127.0.0.3", port, "127.0.0.3") == 401
    assert ask("127.0.0.3", port, "evil.example") == 403
    assert f"listens on 0.0.0.0 port {port}, beyond the loopback and without TLS" in up.home.aish("doctor").stdout


@pytest.mark.usefixtures("home")
def test_an_address_that_is_not_this_machine_s_is_told_and_the_loopback_is_served(up: Supervised) -> None:
    say(up, '[gateway]\naddress = "203.0.113.77"\n')
    port = anew(up)
    (alert,) = up.view().alerts
    assert f"cannot listen on 203.0.113.77 port {port}" in alert
    assert ask("127.0.0.1", port, "127.0.0.1") == 401
