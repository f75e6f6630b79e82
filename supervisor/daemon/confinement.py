"""What may be asked of a sandbox, and what a sandboxed process may have started. Pure but for the links in paths."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from aish.errors import InputError, RefusedError
from aish.model import kind
from aish.model.sandbox import HOSTS_MOST, PATHS_MOST, PROFILES
from aish.sandbox import hosts
from aish.sandbox.narrow import narrow
from aish.sandbox.settle import settle

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from aish.sandbox.around import Around
    from aish.supervisor.daemon.process import Process
    from aish.wire.spec import SpecPart

_TOO_WIDE = (b"/", b"/proc", b"/dev", b"/sys", b"/run", b"/tmp")
HOST = (b"-P", b"-m", b"aish.agents.host")
_PATHS = ("write", "read", "hide")


def flaws(spec: SpecPart) -> Iterator[InputError]:
    part = spec.sandbox
    if part is None:
        return
    if part.profile not in PROFILES:
        yield InputError(f"expected {', '.join(PROFILES)}", field="sandbox.profile")
    if spec.kind == kind.MODEL:
        yield InputError("a model's server has no sandbox", field="sandbox")
    if part.hosted and tuple(spec.argv[1:4]) != HOST:
        yield InputError("only the host of an agent stays outside of its sandbox", field="sandbox.hosted")
    if spec.rights == "owner":
        hint = "what acts as the user reaches what the user does"
        yield InputError("a sandbox and the rights of the owner exclude each other", field="sandbox", hint=hint)
    for name in _PATHS:
        for path in getattr(part, name):
            if not path.startswith(b"/") or b"\0" in path or len(path) > 4096:
                yield InputError("expected an absolute path", field=f"sandbox.{name}")
            elif name != "hide" and path.rstrip(b"/") in (b"", *_TOO_WIDE):
                yield InputError(f"{path.decode(errors='replace')} is too much", field=f"sandbox.{name}")
    if any(len(getattr(part, name)) > PATHS_MOST for name in _PATHS) and not part.settled:
        yield InputError(f"at most {PATHS_MOST} paths", field="sandbox")
    if len(part.hosts) > HOSTS_MOST:
        yield InputError(f"at most {HOSTS_MOST} hosts", field="sandbox.hosts")
    for host in part.hosts[:HOSTS_MOST]:
        try:
            hosts.read(host)
        except ValueError as error:
            hint = "example.org, *.example.org, example.org:8443"
            yield InputError(f"{host[:80]!r}: {error}", field="sandbox.hosts", hint=hint)


def confined(
    parent: Process,
    spec: SpecPart,
    environ: Sequence[bytes],
    above: Sequence[bytes],
    around: Around,
    *,
    helper: bool = False,
) -> SpecPart:
    """What `parent`, which has a sandbox, may have started: in no wider one. `above` is its own environment.
    `helper`: its leader starts it, and it ends with that; the host of an agent, which is outside, needs no right.

    The holder starts it outside of its parent's sandbox, and the daemon does things for it that its parent could not
    do itself. Raises RefusedError."""
    outer = parent.row.spec.sandbox
    if outer is None:
        return spec
    if not outer.spawn and not (helper and outer.hosted):
        raise RefusedError(
            f"{parent.row.name} ({parent.id}) may not start processes: its sandbox says so",
            hint="the user can allow it: --sandbox-spawn",
        )
    for probe in (spec.ready, spec.live):
        if probe is not None and (probe.url is not None or probe.address is not None):
            raise RefusedError("what is in a sandbox cannot have the supervisor connect to an address for it")
    if spec.observe is not None:
        raise RefusedError("what is in a sandbox cannot have logs of sessions read for it")
    settled = settle(outer, parent.row.spec.cwd, above, _program(parent.row.spec), around)
    inner = spec.sandbox
    if inner is not None:
        asked = msgspec.structs.replace(inner, settled=False)
        inner = settle(asked, spec.cwd, environ, _program(spec), around)
    return msgspec.structs.replace(spec, sandbox=narrow(settled, inner))


def _program(spec: SpecPart) -> bytes:
    return spec.program or (spec.argv[0] if spec.argv else b"")
