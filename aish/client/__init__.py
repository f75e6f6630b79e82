"""The client side: a connection to the daemon, started on first need.

from aish.client import connect
with connect() as client:
    view = client.request(Snapshot())
"""

from __future__ import annotations

from aish.client.connection import Client, connect

__all__ = ["Client", "connect"]
