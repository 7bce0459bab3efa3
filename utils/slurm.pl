#!/usr/bin/env -S python3 -IS
"""The job launcher under its Kaldi name; see espnet_posinv/launch."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
from espnet_posinv.launch.launcher import main

sys.exit(main("slurm", sys.argv[1:]))
