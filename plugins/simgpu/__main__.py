"""python -m aish.plugins.simgpu"""

from __future__ import annotations

import sys

from aish.plugins.simgpu.command import main

if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
