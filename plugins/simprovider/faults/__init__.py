"""Everything that can go wrong with an answer of the simulated provider, by the names that scripts know. Pure."""

from __future__ import annotations

from typing import Final

from aish.plugins.simprovider.faults.fault import Fault
from aish.plugins.simprovider.faults.http import HTTP, WHOLES
from aish.plugins.simprovider.faults.sse import STREAMS
from aish.plugins.simprovider.faults.usage import USAGE

FAULTS: Final[dict[str, Fault]] = {**HTTP, **WHOLES, **STREAMS, **USAGE}
