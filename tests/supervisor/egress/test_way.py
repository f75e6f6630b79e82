"""Which proxy of the person's own a host is asked by, and what is said to it."""

from __future__ import annotations

import base64
import os
from typing import TYPE_CHECKING

import pytest

from aish.supervisor.egress.refused import RefusedError
from aish.supervisor.egress.way import Proxy, Ways, is_direct, read

if TYPE_CHECKING:
    from pathlib import Path

CORP = {"HTTPS_PROXY": "http://corp:3128", "HTTP_PROXY": "http://plain", "NO_PROXY": "inside.example,.near.example"}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "config.toml"


def said(ways: Ways, host: str, *, secure: bool = True) -> str | None:
    proxy = ways.to(host, 443 if secure else 80, secure=secure)
    return None if proxy is None else proxy.url


def test_by_the_environment_as_curl_has_it(config: Path) -> None:
    ways = Ways(str(config), CORP)
    assert said(ways, "pypi.org") == "http://corp:3128"
    assert said(ways, "pypi.org", secure=False) == "http://plain:80"
    for host in ("inside.example", "a.inside.example", "a.near.example"):
        assert said(ways, host) is None
    assert said(Ways(str(config), {**CORP, "https_proxy": "http://small:1"}), "pypi.org") == "http://small:1"
    assert said(Ways(str(config), {"NO_PROXY": "*", **CORP, "no_proxy": "*"}), "pypi.org") is None
    assert said(Ways(str(config), {"HTTPS_PROXY": "socks5://corp:1"}), "pypi.org") is None
    assert said(Ways(str(config), {}), "pypi.org") is None


@pytest.mark.parametrize("host", ["localhost", "a.localhost", "127.0.0.1", "::1", "10.0.0.5", "169.254.169.254"])
def test_this_machine_and_what_is_inside_is_never_asked_through_one(config: Path, host: str) -> None:
    """Its own loopback would be meant, and the check of the address not made."""
    assert said(Ways(str(config), CORP), host) is None


def test_what_config_toml_says_goes_before_it_and_is_read_anew(config: Path) -> None:
    ways = Ways(str(config), CORP)
    config.write_text('[egress]\nproxy = "https://other:8443"\nno_proxy = "b.example"\n')
    assert said(ways, "pypi.org") == said(ways, "pypi.org", secure=False) == "https://other:8443"
    assert said(ways, "inside.example") == "https://other:8443"
    assert said(ways, "b.example") is None
    config.write_text('[egress]\nproxy = "none"\n')
    assert said(ways, "pypi.org") is None


def test_user_and_password_come_from_a_file_and_are_not_shown(config: Path, tmp_path: Path) -> None:
    config.write_text('[egress]\nproxy = "http://corp:3128"\nkey_file = "proxy.key"\n')
    key = tmp_path / "proxy.key"
    ways = Ways(str(config), {})
    for text, mode in (("me:s3cret\n", 0o644), ("s3cret\n", 0o600), ("", 0o600), ("me:s3c\x1bret", 0o600), (None, 0)):
        key.unlink(missing_ok=True)
        if text is not None:
            key.write_text(text)
            os.chmod(key, mode)
        with pytest.raises(RefusedError) as refused:
            ways.to("pypi.org", 443, secure=True)
        assert refused.value.status == 502
        assert "s3c" not in str(refused.value)
    key.write_text("me:s3cret: and more\nsecond line")
    os.chmod(key, 0o600)
    proxy = ways.to("pypi.org", 443, secure=True)
    assert proxy is not None
    assert proxy.key == "Basic " + base64.b64encode(b"me:s3cret: and more").decode()
    assert proxy.url == "http://corp:3128"


@pytest.mark.parametrize(
    ("no_proxy", "host", "direct"),
    [
        ("a.org", "a.org", True),
        ("a.org", "b.a.org", True),
        (" .a.org , x", "b.a.org", True),
        ("*.A.org", "b.a.org", True),
        ("a.org:443", "b.a.org", True),
        ("a.org:80", "a.org", False),
        ("a.org", "ba.org", False),
        ("org", "a.org", True),
        ("*", "a.org", True),
        ("", "a.org", False),
        (",", "a.org", False),
        ("1.1.1.1", "1.1.1.1", True),
        ("1.1", "9.9.1.1", False),
        ("[2606:4700::1111]:443", "2606:4700::1111", True),
    ],
)
def test_to_whom_directly(no_proxy: str, host: str, direct: bool) -> None:
    assert is_direct(no_proxy, host, 443) is direct


def test_those_of_a_variable_are_its_own() -> None:
    proxy = read("http://me:p%40ss@[2001:db8::1]:3128/", None)
    assert proxy == Proxy("2001:db8::1", 3128, False, "Basic " + base64.b64encode(b"me:p@ss").decode())
    assert proxy.url == "http://[2001:db8::1]:3128"


def test_a_slip_does_not_let_out_directly(config: Path) -> None:
    """Who has a proxy has it for a reason."""
    config.write_text('[egress]\nproxi = "http://corp:3128"\n')
    with pytest.raises(RefusedError, match="unknown key") as refused:
        Ways(str(config), {}).to("pypi.org", 443, secure=True)
    assert refused.value.status == 502
    with pytest.raises(RefusedError, match="URL cannot be read"):
        Ways(str(config.with_name("none")), {"HTTPS_PROXY": "http://corp:port"}).to("pypi.org", 443, secure=True)
