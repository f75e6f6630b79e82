"""Another spec for a process that there is already: what of it stays, and what is different. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from aish.errors import InputError
from aish.model import kind
from aish.supervisor.daemon import want

if TYPE_CHECKING:
    from aish.supervisor.daemon.row import Row
    from aish.wire.spec import SpecPart


def successor(row: Row, spec: SpecPart) -> SpecPart:
    """The spec as that of this process: its name stays, and of a stored model's server what the server was planned
    with. Raises InputError."""
    if spec.kind != row.spec.kind:
        raise InputError(f"{row.name} is a {row.spec.kind} and stays one", field="kind")
    if spec.kind == kind.MODEL and not spec.argv and row.spec.argv:
        spec = msgspec.structs.replace(
            spec,
            argv=row.spec.argv,
            cwd=row.spec.cwd,
            route=row.spec.route,
            model=row.spec.model,
            vram_bytes=spec.vram_bytes if spec.vram_bytes is not None else row.spec.vram_bytes,
        )
    spec = msgspec.structs.replace(spec, name=row.spec.name)
    want.check_spec(spec)
    return spec


def differences(before: SpecPart, after: SpecPart) -> list[str]:
    """Fields that differ, by name. Pure."""
    return [field for field in before.__struct_fields__ if getattr(before, field) != getattr(after, field)]
