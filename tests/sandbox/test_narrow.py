"""A child's sandbox is never wider than its parent's, in no dimension."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from aish.model.sandbox import PROFILES
from aish.sandbox import paths
from aish.sandbox.around import Around
from aish.sandbox.bwrap import Seen, words
from aish.sandbox.hosts import known, read
from aish.sandbox.narrow import narrow
from aish.sandbox.profile import GUARDED, doors, plan
from aish.wire.sandbox import SandboxPart

if TYPE_CHECKING:
    from collections.abc import Sequence

HOSTS = ["x.org", "*.x.org", "a.x.org", "*.a.x.org", "x.org:443", "x.org:22", "pypi.org", "127.0.0.1:80"]
_names = st.sampled_from(["a", "b", "ab", ".git", "hooks", "c"])
_paths = st.lists(_names, min_size=1, max_size=4).map(lambda words: os.fsencode("/" + "/".join(words)))
_lists = st.lists(_paths, max_size=4)
_parts = st.builds(
    SandboxPart,
    profile=st.sampled_from(PROFILES),
    write=_lists,
    read=_lists,
    hide=_lists,
    hosts=st.lists(st.sampled_from(HOSTS), max_size=3),
    models=st.booleans(),
    spawn=st.booleans(),
    hosted=st.booleans(),
    settled=st.just(True),
)
NETWORKS = ("own", "open")
AROUND = Around(
    "/home/u", ("/home/u/.state",), ("/usr", "/etc"), (("/bin", "usr/bin"),), ("/run/r",), ("/opt/p",), "/c"
)
_probes = st.lists(_names, min_size=1, max_size=5).map(lambda words: "/" + "/".join(words))


def writes(part: SandboxPart, path: str) -> bool:
    made = plan(part, b"/", AROUND)
    guarded = any(paths.within(path, f"{git}/{name}") for git in made.git for name in GUARDED)
    return paths.covered(path, made.write) and not paths.covered(path, made.hide) and not guarded


def reads(part: SandboxPart, path: str) -> bool:
    made = plan(part, b"/", AROUND)
    return paths.covered(path, (*made.write, *made.read)) and not paths.covered(path, made.hide)


@given(_parts, st.none() | _parts, _probes)
def test_it_is_never_wider_than_its_parent_s(parent: SandboxPart, child: SandboxPart | None, path: str) -> None:
    found = narrow(parent, child)
    assert not writes(found, path) or writes(parent, path)
    assert not reads(found, path) or reads(parent, path)
    assert PROFILES.index(found.profile) <= PROFILES.index(parent.profile)
    assert found.models <= parent.models
    assert found.spawn <= parent.spawn
    assert found.settled
    assert not found.hosted
    assert NETWORKS.index(plan(found, b"/", AROUND).network) <= NETWORKS.index(plan(parent, b"/", AROUND).network)
    assert parent.profile == "open" or set(doors(found)) <= set(doors(parent))


@given(_parts, st.none() | _parts, st.sampled_from(["x.org", "a.x.org", "b.a.x.org", "pypi.org", "127.0.0.1"]))
def test_its_hosts_are_among_its_parent_s(parent: SandboxPart, child: SandboxPart | None, name: str) -> None:
    """And none is named by itself that was not: what is named may have an address that is not public."""
    found = narrow(parent, child)
    if parent.profile != "open":
        for port in (443, 80, 22):
            assert not reaches(found, name, port) or reaches(parent, name, port)
        alone = {read(text).name for text in parent.hosts if not read(text).below} | {"pypi.org"}
        assert {read(text).name for text in found.hosts if not read(text).below} <= alone
    if child is not None and found.profile == child.profile:
        assert set(found.hosts) <= set(child.hosts)


def reaches(part: SandboxPart, name: str, port: int) -> bool:
    return any(host.covers(name, port) for host in known(part))


@given(_parts, _parts, _probes)
def test_it_is_never_wider_than_what_was_asked_for(parent: SandboxPart, child: SandboxPart, path: str) -> None:
    found = narrow(parent, child)
    assert not writes(found, path) or writes(child, path)
    assert not reads(found, path) or reads(child, path)


@given(_parts, st.none() | _parts)
def test_a_grandchild_s_is_within_both(parent: SandboxPart, child: SandboxPart | None) -> None:
    middle = narrow(parent, child)
    assert narrow(middle, None) == narrow(parent, middle)


@settings(deadline=None)  # it plans once for each path: a busy machine takes its time
@given(_parts)
def test_what_is_asked_for_in_vain_is_what_the_parent_has(part: SandboxPart) -> None:
    wide = SandboxPart(profile="open", write=[b"/"], spawn=True, hosts=part.hosts, settled=True)
    found = narrow(part, wide)
    for path in map(os.fsdecode, [*part.write, *part.read]):
        assert writes(found, path) == writes(part, path)
        assert reads(found, path) == reads(part, path)


@given(st.lists(_probes), st.lists(_probes), _probes)
def test_the_meet_of_two_sets_is_what_is_in_both(one: Sequence[str], other: Sequence[str], path: str) -> None:
    both = paths.covered(path, one) and paths.covered(path, other)
    assert paths.covered(path, paths.meet(one, other)) == both


@given(_parts)
def test_every_hidden_path_is_hidden_last(part: SandboxPart) -> None:
    """A later mount lies over an earlier one: what is hidden must not be shown again by what comes after."""
    made = plan(part, b"/a", AROUND)
    said = words("bwrap", made, Seen(lambda _: True, lambda _: True, lambda _: False))
    for at, option in enumerate(said):
        if option in ("--bind", "--ro-bind") and said[at + 1] == said[at + 2]:
            later = said[at + 3 :]
            for path in made.hide:
                if paths.within(path, said[at + 2]):
                    assert path in later


def test_no_field_is_forgotten() -> None:
    """A field that comes later has to be narrowed, too."""
    assert set(msgspec.structs.asdict(SandboxPart())) == {
        *("profile", "write", "read", "hide", "hosts", "models", "spawn", "hosted", "settled")
    }
