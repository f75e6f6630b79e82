"""Cut a long text into pieces that an embedding model takes. Pure."""

from __future__ import annotations

__all__ = ["split"]

_BREAKS = (b"\n\n", b"\n", b". ", b" ")  # the best place to cut first


def split(text: str, limit_bytes: int) -> list[str]:
    """Pieces of at most `limit_bytes` of UTF-8 (at least 4), about equally long, cut where the text pauses.

    Nothing but white space at the cuts is lost. Text of white space alone gives no piece.
    """
    data = text.strip().encode("utf-8", "surrogatepass")
    pieces = []
    start = 0
    while start < len(data):
        left = len(data) - start
        count = -(-left // limit_bytes)
        # A last piece of three words would weigh as much in the mean as a full one: so all get the same length.
        wanted = start + -(-left // count)
        end = _cut(data, start, wanted, start + limit_bytes) if count > 1 else len(data)
        piece = data[start:end].decode("utf-8", "surrogatepass").strip()
        if piece:
            pieces.append(piece)
        start = end
    return pieces


def _cut(data: bytes, start: int, wanted: int, limit: int) -> int:
    """Where to end the piece that begins at `start`: at the pause nearest to `wanted`, never beyond `limit`."""
    reach = (wanted - start) // 3
    for pause in _BREAKS:
        before = data.rfind(pause, wanted - reach, wanted)
        after = data.find(pause, wanted, min(wanted + reach, limit))
        places = [at + len(pause) for at in (before, after) if at >= 0 and at + len(pause) <= limit]
        if places:
            return min(places, key=lambda at: abs(at - wanted))
    end = wanted
    while end > start and data[end] & 0xC0 == 0x80:  # never within a character
        end -= 1
    if end == start:
        end = wanted
        while data[end] & 0xC0 == 0x80:
            end += 1
    return end
