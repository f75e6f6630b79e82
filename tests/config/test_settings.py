"""config.toml: defaults where there is none, the place and a suggestion where it is wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from aish.config import settings
from aish.errors import SourceError

if TYPE_CHECKING:
    from pathlib import Path


def load(tmp_path: Path, text: str) -> settings.Settings:
    (tmp_path / "config.toml").write_text(text)
    return settings.load(str(tmp_path / "config.toml"))


def test_no_file_means_the_embedded_model(tmp_path: Path) -> None:
    assert settings.load(str(tmp_path / "none.toml")).default_model == settings.EMBEDDED_MODEL


def test_values_are_read(tmp_path: Path) -> None:
    loaded = load(tmp_path, 'default_model = "qwen"\n[gateway]\nport = 4100\n[gpu]\ndrivers = []\nreserve = "512M"\n')
    assert (loaded.default_model, loaded.gateway_port) == ("qwen", 4100)
    assert (loaded.gpu_drivers, loaded.gpu_reserve_bytes) == ((), 512 << 20)


@pytest.mark.parametrize(
    ("said", "address"),
    [("192.168.1.5", "192.168.1.5"), ("0.0.0.0", "0.0.0.0"), ("0:0::0", "::"), ("FD00::5", "fd00::5")],
)
def test_where_the_gateway_listens_beside_the_loopback(tmp_path: Path, said: str, address: str) -> None:
    assert (load(tmp_path, "").gateway_address, load(tmp_path, "").gateway_hosts) == ("127.0.0.1", ())
    loaded = load(tmp_path, f'[gateway]\naddress = "{said}"\nhosts = ["GPU-box.lan", "box"]\n')
    assert (loaded.gateway_address, loaded.gateway_hosts) == (address, ("gpu-box.lan", "box"))


def test_how_much_of_a_log_stays(tmp_path: Path) -> None:
    assert (load(tmp_path, "").log_bytes, load(tmp_path, "").log_age_s) == (None, None)
    loaded = load(tmp_path, '[logs]\nsize = "64M"\nage = "7d"\n')
    assert (loaded.log_bytes, loaded.log_age_s) == (64 << 20, 7 * 86400)


def test_the_way_out_of_sandboxes(tmp_path: Path) -> None:
    assert load(tmp_path, "").egress_proxy is None
    assert load(tmp_path, '[egress]\nproxy = "none"\n').egress_proxy == ""
    loaded = load(tmp_path, '[egress]\nproxy = "http://p:3128"\nno_proxy = "a.org"\nkey_file = "key"\n')
    assert (loaded.egress_proxy, loaded.egress_no_proxy) == ("http://p:3128", "a.org")
    assert loaded.egress_key_file == str(tmp_path / "key")


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ('[egress]\nproxy = "http://me:s3cret@p:1"', 2, "has a user or a password"),
        ('[egress]\nproxy = "socks5://p:1"', 2, "http://HOST:PORT"),
        ('[egress]\nkey_file = "key"', 2, "says nothing without proxy"),
        ('[egress]\nproxy = "none"\nno_proxy = "a"', 3, "says nothing without proxy"),
        ('[logs]\nsize = "1K"', 2, "64K or more"),
        ('[logs]\nage = "long"', 2, "not a duration"),
        ('[logs]\nage = "0.1s"', 2, "1s or more"),
        ('[logs]\nsice = "1G"', 2, "unknown key"),
        ('defualt_model = "x"', 1, "unknown key 'defualt_model'"),
        ("\n\n[gateway]\nport = 70000", 4, "port number"),
        ('[gateway]\naddress = "gpu-box.lan"', 2, "expected an address: a name may change"),
        ('[gateway]\naddress = "10.0.0.5:80"', 2, "a port has a key of its own"),
        ('[gateway]\naddress = ""', 2, "expected an address"),
        ("[gateway]\naddress = 10", 2, "text in quotes"),
        ('[gateway]\naddress = "fe80::1%eth0"', 2, "nothing can listen there"),
        ('[gateway]\naddress = "::ffff:10.0.0.5"', 2, "nothing can listen there"),
        ('[gateway]\naddress = "224.0.0.1"', 2, "nothing can listen there"),
        ('[gateway]\nadress = "10.0.0.5"', 2, "unknown key 'adress'"),
        ('[gateway]\nport = 1\nhosts = "box"', 3, "expected a list"),
        ('[gateway]\nhosts = ["*.lan"]', 2, "not a name of a machine"),
        ('[gateway]\nhosts = ["box:80"]', 2, "not a name of a machine"),
        ("[gateway]\nhosts = [3]", 2, "not a name of a machine: 3"),
        ("[gpu]\nreserve = 'lots'", 2, "not a size"),
        ("default_model = 3", 1, "text in quotes"),
        ("[gpu]\ndrivers = 'nvml'", 2, "list of names"),
        ("gateway = 4", 1, "table"),
        ('[attach]\ndetach = "d"', 2, "must be one with ctrl"),
        ('[attach]\nkeys = "ctrl-a"', 2, "unknown key 'keys'"),
        ("[gpu]\nreserve = lots", 2, "Invalid value"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(tmp_path: Path, text: str, line: int, said: str) -> None:
    with pytest.raises(SourceError, match=said) as caught:
        load(tmp_path, text)
    assert caught.value.line == line


def test_a_typo_gets_a_suggestion(tmp_path: Path) -> None:
    with pytest.raises(SourceError) as caught:
        load(tmp_path, 'defualt_model = "x"')
    assert caught.value.hint == "did you mean default_model?"


@pytest.mark.parametrize("text", ["a = ", "= 1", "[", "\x00", "a" * 100_000])
def test_what_is_no_toml_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(SourceError):
        load(tmp_path, text)


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(SourceError, match="cannot be read"):
        settings.load(str(tmp_path / "config.toml"))
