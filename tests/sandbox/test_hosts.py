"""Entries of hosts: one way to read each, and what could be taken for another host is none."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aish.sandbox import hosts
from aish.sandbox.hosts import BUILT_IN, Host, known, named, read, within
from aish.wire.sandbox import SandboxPart


@pytest.mark.parametrize(
    ("text", "entry"),
    [
        ("example.org", Host("example.org")),
        ("Example.ORG.", Host("example.org")),
        ("*.Example.org", Host("example.org", below=True)),
        ("example.org:8443", Host("example.org", port=8443)),
        ("bücher.example", Host("xn--bcher-kva.example")),
        ("BÜCHER.example", Host("xn--bcher-kva.example")),
        ("xn--bcher-kva.example", Host("xn--bcher-kva.example")),
        ("10.0.0.5:5432", Host("10.0.0.5", port=5432)),
        ("[2001:DB8:0::1]:443", Host("2001:db8::1", port=443)),
        ("[::1]", Host("::1")),
        ("localhost:3000", Host("localhost", port=3000)),
        ("my_service.internal", Host("my_service.internal")),
    ],
)
def test_what_an_entry_says(text: str, entry: Host) -> None:
    assert read(text) == entry


@pytest.mark.parametrize(
    "text",
    [
        *("", "*", "*.", "*.*.org", "a.*.org", "a*.org", ".org", "a..org", "example.org..", "-a.org", "a-.org"),
        *("https://example.org", "user@example.org", "example.org/path", "example.org?x", "a b.org", "a\n.org"),
        *("example.org:", "example.org:0", "example.org:65536", "example.org:8x", "example.org:80:80", "a:-1"),
        *("127.1", "0x7f.0.0.1", "2130706433", "017700000001", "1.2.3.4.5", "256.1.1.1", "01.2.3.4", "example.0x1"),
        *("[::1", "::1]", "[example.org]", "[fe80::1%eth0]", "[::1]x", "*.10.0.0.1", "*.[::1]"),
        *("a" * 64 + ".org", "a." * 130 + "org", "\u0131\u0307" * 300, "a\0.org"),
    ],
)
def test_what_is_no_host_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        read(text)


@pytest.mark.parametrize(
    ("entry", "name", "port", "covered"),
    [
        ("example.org", "example.org", 443, True),
        ("example.org", "example.org", 80, True),
        ("example.org", "example.org", 22, False),
        ("example.org", "a.example.org", 443, False),
        ("example.org", "notexample.org", 443, False),
        ("example.org", "example.org.evil.com", 443, False),
        ("*.example.org", "a.example.org", 443, True),
        ("*.example.org", "a.b.example.org", 443, True),
        ("*.example.org", "example.org", 443, False),
        ("*.example.org", "notexample.org", 443, False),
        ("example.org:22", "example.org", 22, True),
        ("example.org:22", "example.org", 443, False),
    ],
)
def test_whole_labels_and_ports_count(entry: str, name: str, port: int, covered: bool) -> None:
    assert read(entry).covers(name, port) == covered


@given(st.text(max_size=300))
def test_what_is_read_is_read_the_same_again(text: str) -> None:
    """Else two programs that read it could mean two hosts."""
    try:
        found = named(text)
    except ValueError:
        return
    assert named(found) == found
    assert not set(found) & set("@/?#[]* \t\r\n%\0\\")


@given(st.text(alphabet="ab.*:[]0123456789x@%-", max_size=40))
def test_every_entry_is_read_or_refused(text: str) -> None:
    try:
        found = read(text)
    except ValueError:
        return
    assert found.port is None or 0 < found.port < 65536
    assert found.below == text.startswith("*.")


def test_the_list_of_dev_is_of_names_at_the_ports_of_the_web() -> None:
    for text, why in BUILT_IN.items():
        found = read(text)
        assert found.port is None, text
        assert not hosts.is_address(found.name), text
        assert why
    assert len(BUILT_IN) < 40  # each is a way out: reasons are needed, and a short list


def test_closed_has_nothing_but_what_is_named() -> None:
    assert known(SandboxPart(profile="closed", hosts=["a.org"])) == [Host("a.org")]
    assert len(known(SandboxPart(profile="dev", hosts=["a.org"]))) == len(BUILT_IN) + 1


def test_named_alone_below_a_name_is_left_out() -> None:
    """What is named by itself may have an address of this network, which nobody above has said."""
    assert within(["a.corp.org"], [Host("corp.org", below=True)]) == []
    assert within(["*.a.corp.org"], [Host("corp.org", below=True)]) == ["*.a.corp.org"]


def test_the_page_lists_what_is_built_in() -> None:
    page = (Path(__file__).parents[2] / "docs" / "reference" / "sandbox.md").read_text()
    table = page.split("`dev` reaches without a word:")[1].split("\n\n")[1]
    assert re.findall(r"`([^`]+)`", table) == list(BUILT_IN)
