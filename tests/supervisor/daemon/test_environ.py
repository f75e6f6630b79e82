"""The environment of a child, and the files that keep it."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from aish.errors import StorageError
from aish.supervisor.daemon import environ
from aish.supervisor.daemon.environ import EnvironFiles
from aish.wire.spec import LaunchPart

CAPTURED = [b"PATH=/bin", b"ANTHROPIC_API_KEY=sk-real", b"OPENAI_API_KEY=sk-real", b"A=1", b"A=2", b"RAW=\xff\n"]


def test_provider_keys_are_replaced_and_everything_else_is_kept() -> None:
    """A leaked real key is what the gateway is there to prevent."""
    built = environ.build(CAPTURED, (), {"OPENAI_API_KEY": "aish-p1", "AISH_ID": "p1"})
    assert built == [b"PATH=/bin", b"A=1", b"A=2", b"RAW=\xff\n", b"OPENAI_API_KEY=aish-p1", b"AISH_ID=p1"]


def test_a_key_that_the_spec_names_is_kept_and_not_overwritten() -> None:
    built = environ.build(CAPTURED, ("OPENAI_API_KEY",), {"OPENAI_API_KEY": "aish-p1"})
    assert b"OPENAI_API_KEY=sk-real" in built
    assert not any(b"aish-p1" in entry or b"ANTHROPIC" in entry for entry in built)


def test_an_inherited_id_is_replaced() -> None:
    """A child of a supervised process must not carry its parent's id and key."""
    built = environ.build(
        [b"AISH_ID=p1", b"OPENAI_API_KEY=aish-p1"], (), {"AISH_ID": "p2", "OPENAI_API_KEY": "aish-p2"}
    )
    assert sorted(built) == [b"AISH_ID=p2", b"OPENAI_API_KEY=aish-p2"]


NAMED = "sk-aish-" + "n" * 43
OWN, PARENT_S = ("aish-p2-7-" + "o" * 43, "aish-p1-7-" + "q" * 43)
TOLD = [  # by `aish env`, to the shell of who starts it
    f"ANTHROPIC_CUSTOM_HEADERS=x-mine: 1\nx-aish-key: {NAMED}".encode(),
    f"ANTHROPIC_API_KEY={NAMED}".encode(),
    f"OLLAMA_API_KEY={PARENT_S}".encode(),
]


def test_what_aish_env_told_the_caller_s_shell_becomes_its_own() -> None:
    """Its requests would count as the caller's, and no budget of its own would hold them."""
    captured = environ.withheld(LaunchPart(environ=[*TOLD, f"MINE={NAMED}".encode()]), ()).environ
    assert environ.build(captured, (), {}, OWN) == [
        f"ANTHROPIC_CUSTOM_HEADERS=x-mine: 1\nx-aish-key: {OWN}".encode(),
        f"ANTHROPIC_API_KEY={OWN}".encode(),
        f"OLLAMA_API_KEY={OWN}".encode(),
        f"MINE={NAMED}".encode(),
    ]


def test_who_asks_no_models_has_no_key_of_the_caller_either() -> None:
    assert environ.build(TOLD, (), {}) == [b"ANTHROPIC_CUSTOM_HEADERS=x-mine: 1"]


def test_a_key_of_the_gateway_is_no_secret_that_a_spec_may_name() -> None:
    """Claude Code by its own login names its keys: the shell's would go before that login, and to the vendor."""
    names = ("OLLAMA_API_KEY", "ANTHROPIC_API_KEY")
    assert environ.build(TOLD, names, {}, OWN) == environ.build(TOLD, (), {}, OWN)


def test_who_has_no_key_of_its_own_keeps_one_that_is_handed_on_to_it() -> None:
    """An MCP server's `env` has a named key in it: without it that asks no models."""
    assert environ.build(TOLD, ("ANTHROPIC_API_KEY",), {})[1:] == [f"ANTHROPIC_API_KEY={NAMED}".encode()]


def test_names_only_for_inspect() -> None:
    assert environ.names(CAPTURED) == ["A", "ANTHROPIC_API_KEY", "OPENAI_API_KEY", "PATH", "RAW"]


def test_files_are_private_and_come_back(tmp_path: Path) -> None:
    files = EnvironFiles(str(tmp_path / "environ"))
    launch = LaunchPart(environ=CAPTURED, umask=0o027, rlimits={"NOFILE": (10, -1)}, nice=3)
    files.save("p1", launch)
    assert stat.S_IMODE(os.stat(files.path("p1")).st_mode) == 0o600
    assert files.load("p1") == launch
    assert files.ids() == ["p1"]
    files.drop("p1")
    files.drop("p1")
    assert files.load("p1") is None


def test_a_cut_file_is_as_if_it_were_not_there(tmp_path: Path) -> None:
    """A full disk may leave half an environment: a child must not start with it."""
    files = EnvironFiles(str(tmp_path / "environ"))
    files.save("p1", LaunchPart(environ=CAPTURED))
    os.truncate(files.path("p1"), 20)
    assert files.load("p1") is None


def test_no_link_is_followed(tmp_path: Path) -> None:
    files = EnvironFiles(str(tmp_path / "environ"))
    target = tmp_path / "victim"
    target.write_text("precious")
    os.symlink(target, files.path("p1"))
    with pytest.raises(StorageError):
        files.save("p1", LaunchPart(environ=[]))
    assert target.read_text() == "precious"
