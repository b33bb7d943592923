# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m export`."""

import sys

if sys.argv[1:2] == ["rollout"]:
    # The way back is taken in a hurry: it does not wait for pandas to load, which the other commands need.
    from export.rollout.command import main as roll_out

    sys.exit(roll_out(sys.argv[2:]))

from export.cli import main

sys.exit(main())
