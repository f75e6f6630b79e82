"""`python -m aish.shell`: the shell without the verbs."""

import os
import sys

from aish.shell import main

os._exit(main(sys.argv[1:]))
