"""A view as JSON, and back: what `--once --json` prints, and what pictures and tests replay.

Keys carry their units (_bytes, _s, _percent, _w, _c); what is unknown is null; what is no UTF-8 in arguments is shown
by backslash escapes.
"""

from __future__ import annotations

import json

import msgspec

from aish.errors import InputError
from aish.wire.plain import plain
from aish.wire.reply import View


def dump(view: View, *, indent: int | None = 2) -> str:
    """JSON in ASCII, so that it is the same in every locale."""
    return json.dumps(plain(view), indent=indent, allow_nan=False)


def load(text: str, name: str = "view") -> View:
    """The view that `dump` wrote. Raises InputError with what is wrong; `name` says where the text is from."""
    try:
        table = json.loads(text)
        if not isinstance(table, dict):
            raise InputError(f"{name}: not a view: expected a JSON object")
        for process in table.get("processes") or []:
            process["argv"] = [word.encode() for word in process.get("argv") or []]
        return msgspec.convert(table, View)
    except (ValueError, TypeError, AttributeError, RecursionError, msgspec.ValidationError) as error:
        raise InputError(f"{name}: not a view: {error}", hint="`aish top --once --json` writes one") from error
