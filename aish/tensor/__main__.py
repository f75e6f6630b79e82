"""`python -m aish.tensor`: the tensor commands by themselves."""

from __future__ import annotations

import sys

from aish.tensor.commands import main

sys.exit(main(sys.argv[1:]))
