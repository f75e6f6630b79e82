"""What client, daemon and gateway say to each other: message types, the version, framing, keys."""

from __future__ import annotations

import sys

# msgspec takes three names from typing_extensions where that is installed, and the very same from typing where not.
# That import is a sixth of what it takes `aish ps` to start.
if "typing_extensions" not in sys.modules:
    sys.modules["typing_extensions"] = None  # type: ignore[assignment]
    try:
        import msgspec  # noqa: F401
    finally:
        del sys.modules["typing_extensions"]
