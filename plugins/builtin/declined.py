"""What a tool does not do, in words for the model, which goes on."""

from __future__ import annotations


class DeclinedError(Exception):
    """Not an error of the turn: the message is the call's result."""
