"""GET /v1/models as Anthropic's clients read it. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from aish.supervisor.gateway.dialects.openai import Listed


def model(listed: Listed) -> dict[str, object]:
    created = datetime.fromtimestamp(listed.created_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "type": "model",
        "id": listed.id,
        "display_name": listed.id,
        "created_at": created,
        "lifecycle": "active",
        "max_input_tokens": listed.context_tokens,
        "state": listed.state,
    }


def models(listed: list[Listed]) -> bytes:
    """All of them are one page."""
    ids = [each.id for each in listed]
    page = {"data": [model(each) for each in listed], "has_more": False}
    return msgspec.json.encode({**page, "first_id": ids[0] if ids else None, "last_id": ids[-1] if ids else None})
