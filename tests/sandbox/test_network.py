"""Ways out by the network, tried in each tier: what is reached is the doors, where it is known who comes."""

from __future__ import annotations

import os
import select
import socket
import sys
from typing import TYPE_CHECKING

import pytest

from aish.model.sandbox import BWRAP, LANDLOCK
from aish.sandbox.enter.landlock import NET_ABI
from tests.sandbox.conftest import DEADLINE_S

if TYPE_CHECKING:
    from tests.sandbox.conftest import Box, Listener


def connect(port: int) -> str:
    return f"socket.create_connection(('127.0.0.1', {port}), 5)"


def skip_without_ports(box: Box) -> None:
    if box.tier == LANDLOCK and box.holding.abi < NET_ABI:
        pytest.skip("Landlock of this kernel has no rules for TCP: inspect says so")


# --- doors ----------------------------------------------------------------------------------------------------------


def test_closed_reaches_the_gateway_and_no_other_port(box: Box, listener: Listener) -> None:
    skip_without_ports(box)
    assert box.attempt(connect(listener.port)) in ("EACCES", "ECONNREFUSED")
    assert listener.came == 0
    box.port = listener.port
    assert box.attempt(connect(listener.port)) == "OPEN"


def test_the_door_of_a_network_is_reached_from_it_alone(box: Box, listener: Listener) -> None:
    """The same number outside is another one's."""
    if box.tier != BWRAP:
        pytest.skip("it has no network of its own")
    box.port = listener.port
    code = f"s = {connect(listener.port)}; s.sendall(b'from inside'); assert s.recv(9) == b'answered'"
    process = box.start(sys.executable, "-I", "-S", "-c", f"import socket; {code}")
    life, doors = box.opened()
    assert list(doors) == ["gateway"]
    doors["gateway"].settimeout(DEADLINE_S)
    came, _ = doors["gateway"].accept()
    came.settimeout(DEADLINE_S)
    assert came.recv(64) == b"from inside"
    came.sendall(b"answered")
    assert process.wait(DEADLINE_S) == 0
    assert listener.came == 0
    assert select.select([life], [], [], DEADLINE_S)[0], "that its network is over is not told"
    assert os.read(life, 1) == b""
    os.close(life)


def test_its_doors_are_by_what_it_may_reach(box: Box) -> None:
    if box.tier != BWRAP:
        pytest.skip("it has no network of its own")
    for said, found in (
        ({"profile": "dev"}, ["gateway", "proxy"]),
        ({"profile": "dev", "models": False}, ["proxy"]),
        ({"profile": "closed", "hosts": ["example.org"]}, ["gateway", "proxy"]),
    ):
        assert box.run("true", **said).returncode == 0
        life, doors = box.opened()
        os.close(life)
        assert list(doors) == found
        ports = [sock.getsockname() for sock in doors.values()]
        assert ports == [("127.0.0.1", {"gateway": box.port, "proxy": box.proxy_port}[name]) for name in found]


def test_what_serves_it_is_not_left_to_the_program(box: Box) -> None:
    """Neither channel nor sockets: it could pretend to be behind another one's door."""
    code = """
found = []
for fd in range(3, 1024):
    try:
        found.append(stat.S_ISSOCK(os.fstat(fd).st_mode))
    except OSError:
        pass
print(found)
"""
    assert box.python(code, profile="dev").stdout == "[]\n"


def test_the_door_cannot_be_taken_by_the_program(box: Box) -> None:
    if box.tier != BWRAP:
        pytest.skip("it has no network of its own")
    for option in ("SO_REUSEADDR", "SO_REUSEPORT"):
        code = f"s = socket.socket(); s.setsockopt(1, socket.{option}, 1); s.bind(('0.0.0.0', {box.port}))"
        assert box.attempt(f"{code}; s.listen()") == "EADDRINUSE"


def test_a_gateway_whose_port_nobody_may_bind_is_told(box: Box) -> None:
    if box.tier != BWRAP:
        pytest.skip("it has no network of its own")
    box.port = 80
    ran = box.run("true")
    assert (ran.returncode, ran.stderr) == (126, "aish: the sandbox cannot be set up: Permission denied\n")


# --- all else -------------------------------------------------------------------------------------------------------


def test_without_models_the_gateway_is_not_reached(box: Box, listener: Listener) -> None:
    skip_without_ports(box)
    box.port = listener.port
    assert box.attempt(connect(listener.port), profile="dev", models=False) != "OPEN"
    assert listener.came == 0


@pytest.mark.parametrize(
    "code",
    [
        "socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)",
        "socket.socket(socket.AF_PACKET, socket.SOCK_RAW)",
        "socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)",
        "socket.socket(socket.AF_ALG, socket.SOCK_SEQPACKET)",
        "socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 9)",
        "socket.getaddrinfo('example.org', 80)",
        "socket.create_connection(('192.0.2.1', 443), 5)",
        "socket.create_connection(('2001:db8::1', 443), 5)",
        "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('192.0.2.1', 53))",
        "socket.socket(socket.AF_INET6, socket.SOCK_DGRAM).sendto(b'x', ('2001:db8::1', 53))",
        "s = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262); s.connect(('192.0.2.1', 443))",
        "s = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_SCTP); s.connect(('192.0.2.1', 443))",
    ],
)
def test_there_is_no_other_way_out(box: Box, code: str) -> None:
    """Of dev, which has more than closed."""
    skip_without_ports(box)
    assert box.attempt(code, profile="dev") not in ("OPEN", "TimeoutError", "ETIMEDOUT")


def test_datagrams_reach_nobody_of_this_machine(box: Box) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        code = f"socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', {server.getsockname()!r})"
        box.attempt(code, profile="dev")
        assert not select.select([server], [], [], 0)[0]


def test_fast_open_is_no_way_round_the_ports(box: Box, listener: Listener) -> None:
    code = f"s = socket.socket(); s.sendto(b'x', 0x20000000, ('127.0.0.1', {listener.port}))"
    assert box.attempt(code, profile="dev") in ("EPERM", "ECONNREFUSED")
    assert listener.came == 0


def test_open_has_the_network(box: Box, listener: Listener) -> None:
    assert box.attempt(connect(listener.port), profile="open") == "OPEN"
    assert box.attempt("socket.socket(socket.AF_INET, socket.SOCK_DGRAM)", profile="open") == "OPEN"
    assert box.attempt("socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)", profile="open") != "OPEN"


def test_a_server_of_its_own_is_for_itself(box: Box) -> None:
    """Tests of web servers run in a network of their own, and nobody outside sees them."""
    code = "s = socket.create_server(('127.0.0.1', 0)); c = socket.create_connection(s.getsockname(), 5); s.accept()"
    if box.tier == LANDLOCK:
        skip_without_ports(box)
        assert box.attempt(code, profile="dev") == "EACCES"
    else:
        assert box.attempt(code, profile="dev") == "OPEN"


# --- what it is told ------------------------------------------------------------------------------------------------


def test_the_proxy_is_in_its_environment_in_place_of_the_user_s(box: Box) -> None:
    environ = box.environ(AISH_ID="p7", HTTPS_PROXY="http://proxy.corp:3128", no_proxy="*", FTP_PROXY="http://x")
    print_all = "print({k: v for k, v in os.environ.items() if 'PROXY' in k.upper()})"
    found = eval(box.python(print_all, profile="dev", environ=environ).stdout)
    user = "" if box.tier == BWRAP else "p7:word@"
    url = f"http://{user}127.0.0.1:{box.proxy_port}"
    said = {name: url for word in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY") for name in (word, word.lower())}
    direct = dict.fromkeys(("NO_PROXY", "no_proxy"), "127.0.0.1,localhost,::1")
    assert found == {**said, **direct, "NODE_USE_ENV_PROXY": "1"}
    assert eval(box.python(print_all, profile="closed", environ=environ).stdout) == {}


def test_a_service_of_this_machine_that_is_named_is_asked_for_by_the_proxy(box: Box) -> None:
    ran = box.python("print(os.environ['no_proxy'])", profile="dev", hosts=["localhost:5432"])
    assert ran.stdout.strip() == "127.0.0.1,::1"
