"""Where KV slots lie, what a model's server has of conversations: files that only this user can read.

state/slots/NAME                     as long as a server writes or reads one: the one folder where it may
state/agents/EPOCH-ID/slots/SHA256   kept with the checkpoints of an agent
"""

from __future__ import annotations

import os
from typing import Final

SAVES: Final = "aish-slots:"
"""Begins the tag by which a model's server says that it saves slots there, and which build it is."""
_FOLDER: Final = "slots"


def drafts(state_folder: str) -> str:
    return os.path.join(state_folder, _FOLDER)


def kept(agent_folder: str) -> str:
    return os.path.join(agent_folder, _FOLDER)


def path(agent_folder: str, sha256: str) -> str:
    """Of one that is kept, whatever is said to be its name."""
    return os.path.join(kept(agent_folder), os.path.basename(sha256))


def there(agent_folder: str, sha256: str, size_bytes: int) -> bool:
    """Whether it is kept still. What is in it is looked at by who uses it."""
    try:
        return os.stat(path(agent_folder, sha256)).st_size == size_bytes
    except OSError:
        return False
