"""Which code this is: a fingerprint of the package's files, told in hello, so that a daemon knows an old holder."""

from __future__ import annotations

import binascii
import os


def fingerprint() -> str:
    """8 hexadecimal digits of the names and texts of this package's files as they are on disk now. Raises OSError.

    A checksum, no proof: it tells one release from another, and who can write these files needs no collision.
    """
    folder = os.path.dirname(os.path.abspath(__file__))
    total = 0
    for name in sorted(os.listdir(folder)):
        if name.endswith(".py"):
            with open(os.path.join(folder, name), "rb") as file:
                total = binascii.crc32(name.encode() + b"\0" + file.read(), total)
    return f"{total:08x}"


OWN = fingerprint()
"""Of the code in memory: taken before the other files are loaded, so that files replaced meanwhile make it differ."""
